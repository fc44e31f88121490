"""A client made by openapi-python-client from the server's own /openapi.json, and run."""

import base64
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from io import BytesIO
from pathlib import Path

from steps import DATA, MODEL, URL, step

PLACE = Path(tempfile.mkdtemp())
with urllib.request.urlopen(URL + "/openapi.json") as reply:
    (PLACE / "openapi.json").write_bytes(reply.read())
(PLACE / "config.json").write_text(
    json.dumps({"content_type_overrides": {"image/png": "application/octet-stream"}, "post_hooks": []})
)
made = subprocess.run(
    [sys.executable, "-m", "openapi_python_client", "generate", "--path", "openapi.json", "--config", "config.json",
     "--meta", "none"], cwd=PLACE, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"},
)  # fmt: skip
sys.path.insert(0, str(PLACE))
step("generate", lambda: made.returncode == 0 or made.stdout[-200:] + made.stderr[-200:])

from nin_client import Client, models  # noqa: E402
from nin_client.api.nin import get_models, post_explain, post_models_model_predict, post_predict  # noqa: E402
from nin_client.api.open_inference_protocol import post_v2_models_model_infer  # noqa: E402
from nin_client.types import File  # noqa: E402

client = Client(base_url=URL)
whole = {m.name: m.classes for m in get_models.sync(client=client)}[MODEL]
step("octet-stream", lambda: post_predict.sync(client=client, body=File(BytesIO(DATA)), top=1)[0].label)
form = models.PostPredictFilesBody
step("form", lambda: post_predict.sync(client=client, body=form(File(BytesIO(DATA), "a.jpg")), top=2)[0].label)
step("form, no file name", lambda: post_predict.sync(client=client, body=form(File(BytesIO(DATA))), maps=1)[0].label)
step("by model", lambda: post_models_model_predict.sync(MODEL, client=client, body=File(BytesIO(DATA)))[0].label)
step("PNG", lambda: post_explain.sync(client=client, body=File(BytesIO(DATA))).payload.read()[:4] == b"\x89PNG")
step("an error", lambda: "cannot be read" in post_predict.sync(client=client, body=File(BytesIO(b"x"))).error)


def infer():
    given = models.Input(name="files", datatype="BYTES", shape=[1], data=[base64.b64encode(DATA).decode()])
    outputs = post_v2_models_model_infer.sync(MODEL, client=client, body=models.Infer(inputs=[given])).outputs
    values = outputs[0].data
    return whole[values.index(max(values))]


step("infer", infer)

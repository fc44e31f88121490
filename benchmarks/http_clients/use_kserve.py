"""KServe's client, version 2 of the protocol, binary and not."""

import asyncio
import base64

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from PIL import Image
from steps import DATA, MODEL, PICTURE, URL, refused, step

PIXELS = np.asarray(Image.open(PICTURE).convert("RGB"))[None]


async def ask(work, protocol="v2"):
    client = InferenceRESTClient(RESTConfig(protocol=protocol, timeout=20, retries=0))
    try:
        return await work(client)
    finally:
        await client.close()


def labels():
    import json
    import urllib.request

    return {m["name"]: m["classes"] for m in json.load(urllib.request.urlopen(URL + "/models"))}[MODEL]


def infer(name, values, kind, binary):
    made = InferInput(name, list(values.shape), kind)
    made.set_data_from_numpy(values, binary_data=binary)
    asked = InferRequest(model_name=MODEL, infer_inputs=[made])
    reply = asyncio.run(ask(lambda client: client.infer(URL, asked, model_name=MODEL)))
    return labels()[int(reply.outputs[0].as_numpy().argmax())]


step(
    "live, ready",
    lambda: (
        asyncio.run(ask(lambda c: c.is_server_live(URL))) and asyncio.run(ask(lambda c: c.is_model_ready(URL, MODEL)))
    ),
)
for binary in (False, True):
    step(f"UINT8, binary={binary}", lambda b=binary: infer("pictures", PIXELS, "UINT8", b))
step("BYTES, binary", lambda: infer("files", np.array([DATA], object), "BYTES", True))
step("BYTES in base64", lambda: infer("files", np.array([base64.b64encode(DATA)], object), "BYTES", False))
old = {"instances": [{"image": {"b64": base64.b64encode(DATA).decode()}}]}
refused("version 1", lambda: asyncio.run(ask(lambda c: c.infer(URL, old, model_name=MODEL), "v1")), "404")

"""tritonclient over HTTP with its defaults: binary tensors in and out; and with what it can be told."""

import asyncio
import base64

import numpy as np
import tritonclient.http as triton
import tritonclient.http.aio
from PIL import Image
from steps import DATA, MODEL, PICTURE, URL, refused, step

PLACE = URL.removeprefix("http://")
PIXELS = np.asarray(Image.open(PICTURE).convert("RGB"))[None]
client = triton.InferenceServerClient(PLACE)
FILES = np.array([DATA], object)
CODED = np.array([base64.b64encode(DATA)], object)


def tensor(name="pictures", values=PIXELS, kind="UINT8", binary=True):
    made = triton.InferInput(name, list(values.shape), kind)
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def best(reply):
    """The label of the likeliest class; probabilities must be those of a distribution."""
    values = reply.as_numpy("probabilities")
    assert values.dtype == np.float32 and abs(values.sum() - 1) < 1e-4
    wanted = [triton.InferRequestedOutput("probabilities", class_count=1)]
    words = client.infer(MODEL, [tensor()], outputs=wanted).as_numpy("probabilities")
    score, index, label = words[0][0].decode().split(":")
    assert int(index) == values[0].argmax() and abs(float(score) - values[0].max()) < 1e-3
    return label


def ask(*inputs, out=None, **more):
    wanted = None if out is None else [triton.InferRequestedOutput("probabilities", binary_data=out)]
    return best(client.infer(MODEL, list(inputs), outputs=wanted, **more))


step("health, metadata", lambda: client.is_server_ready() and client.is_model_ready(MODEL)
     and client.get_model_metadata(MODEL)["name"] == MODEL)  # fmt: skip
for binary in (True, False):
    for out in (None, True, False):
        step(f"UINT8, binary={binary}, out={out}", lambda b=binary, o=out: ask(tensor(binary=b), out=o))
step("BYTES [1], binary", lambda: ask(tensor("files", FILES, "BYTES")))
step("BYTES [1, 1], binary", lambda: ask(tensor("files", FILES[:, None], "BYTES")))
step("BYTES in base64, JSON", lambda: ask(tensor("files", CODED, "BYTES", False), out=False))
for press in ("gzip", "deflate"):
    step(f"request in {press}", lambda p=press: ask(tensor(), request_compression_algorithm=p))
    step(f"reply in {press} asked", lambda p=press: ask(tensor(), response_compression_algorithm=p))
step("id, priority, timeout", lambda: ask(tensor(), request_id="a", priority=1, timeout=10**6))
version = client.get_model_metadata(MODEL)["versions"][0]
step("its own version", lambda: ask(tensor(), model_version=version))
step("asynchronous", lambda: best(client.async_infer(MODEL, [tensor()]).get_result()))


async def with_aio():
    async with tritonclient.http.aio.InferenceServerClient(PLACE) as other:
        return best(await other.infer(MODEL, [tensor()]))


step("asyncio (JSON called octet-stream)", lambda: asyncio.run(with_aio()))
refused("FP32", lambda: ask(tensor(values=PIXELS.astype(np.float32), kind="FP32")), "for this model are UINT8")
refused("another version", lambda: ask(tensor(), model_version="1"), "no such version")
refused("model configuration", lambda: client.get_model_config(MODEL), "nothing at this address")
refused("statistics", lambda: client.get_inference_statistics(MODEL), "nothing at this address")
refused("repository", client.get_model_repository_index, "nothing at this address")
client.close()

"""MLServer's codecs, sent with requests: each spelling of a picture that they have."""

import base64

import numpy as np
import requests
from mlserver.codecs import Base64Codec, NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
from PIL import Image
from steps import DATA, MODEL, PICTURE, URL, step

PIXELS = np.asarray(Image.open(PICTURE).convert("RGB"))[None]
LABELS = {m["name"]: m["classes"] for m in requests.get(URL + "/models").json()}[MODEL]


def ask(given):
    body = InferenceRequest(inputs=[given]).model_dump(exclude_none=True)
    reply = requests.post(f"{URL}/v2/models/{MODEL}/infer", json=body)
    assert reply.ok, reply.text
    outputs = InferenceResponse.model_validate(reply.json()).outputs
    return LABELS[int(NumpyCodec.decode_output(outputs[0]).argmax())]


step("NumpyCodec", lambda: ask(NumpyCodec.encode_input("pictures", PIXELS)))
step("Base64Codec", lambda: ask(Base64Codec.encode_input("files", [DATA], use_bytes=False)))
step(
    "StringCodec of base64",
    lambda: ask(StringCodec.encode_input("files", [base64.b64encode(DATA).decode()], use_bytes=False)),
)

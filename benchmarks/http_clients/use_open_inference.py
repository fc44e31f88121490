"""The client that is generated from the protocol's own document."""

import base64

from open_inference.openapi import InferenceRequest, RequestInput, RequestOutput
from open_inference.openapi.client import OpenInferenceClient
from steps import DATA, MODEL, URL, refused, step

client = OpenInferenceClient(base_url=URL)
CODED = base64.b64encode(DATA).decode()


def ask(**more):
    given = RequestInput(name="files", shape=[1], datatype="BYTES", data=[CODED], **more)
    outputs = [RequestOutput(name="probabilities", parameters={"classification": 1})]
    reply = client.model_infer(MODEL, request=InferenceRequest(inputs=[given], outputs=outputs))
    return str(next(iter(reply.outputs[0].data.__root__))).split(":")[-1]


step("live, ready, metadata", lambda: client.read_model_metadata(MODEL).name == MODEL)
step("BYTES in base64", ask)
step("BYTES with content_type", lambda: ask(parameters={"content_type": "base64"}))
refused("no such model", lambda: client.read_model_metadata("nobody"), "there is no model of this name")

"""The Open Inference Protocol: replies after its published OpenAPI (written down here by hand), answers by hand."""

import base64
import json

import jsonschema_rs
import numpy as np
import pytest

from live_server import Live, StandIn, expected

STRING, PARAMETERS = {"type": "string"}, {"type": "object"}


def record(required: str, **properties):
    return {"type": "object", "required": required.split(), "properties": properties}


# kserve/open-inference-protocol, specification/protocol/open_inference_rest.yaml, components/schemas
TENSOR_DATA = {"type": "array", "items": {"type": ["number", "string", "boolean", "array"]}}
SHAPE = {"type": "array", "items": {"type": "integer"}}
META = {"type": "array", "items": record("name datatype shape", name=STRING, datatype=STRING, shape=SHAPE)}
OUTPUT = record(
    "name shape datatype data", name=STRING, shape=SHAPE, datatype=STRING, parameters=PARAMETERS, data=TENSOR_DATA
)
SCHEMAS = {
    "/v2": record(
        "name version extensions", name=STRING, version=STRING, extensions={"type": "array", "items": STRING}
    ),
    "/v2/models/colours": record(
        "name platform",
        name=STRING,
        versions={"type": "array", "items": STRING},
        platform=STRING,
        inputs=META,
        outputs=META,
    ),
    "infer": record(
        "model_name outputs",
        model_name=STRING,
        model_version=STRING,
        id=STRING,
        parameters=PARAMETERS,
        outputs={"type": "array", "items": OUTPUT},
    ),
    "error": record("error", error=STRING),
}
DATATYPES = {
    "BOOL",
    "FP16",
    "FP32",
    "FP64",
    "BYTES",
    *(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)),
}
INFER = "/v2/models/colours/infer"


def infer(live, document, path=INFER):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    reply = live.ask("POST", path, body, "application/json")
    jsonschema_rs.validate(SCHEMAS["infer" if reply.status == 200 else "error"], reply.json)
    return reply


def files(*pngs: bytes, **more):
    data = [base64.b64encode(png).decode() for png in pngs]
    return {"name": "files", "datatype": "BYTES", "shape": [len(pngs)], "data": data, **more}


def tensor(pixels: np.ndarray, nested: bool = False, **more):
    data = pixels.tolist() if nested else pixels.ravel().tolist()
    return {"name": "pictures", "datatype": "UINT8", "shape": list(pixels.shape), "data": data, **more}


def outputs(reply) -> dict[str, np.ndarray]:
    return {one["name"]: np.array(one["data"]).reshape(one["shape"]) for one in reply.json["outputs"]}


@pytest.mark.parametrize("path", ["/v2", "/v2/models/colours"])
def test_metadata_is_as_published(path, live):
    for spelled in (path, path + "/"):
        reply = live.ask("GET", spelled)
        assert reply.status == 200
        jsonschema_rs.validate(SCHEMAS[path], reply.json)
    model = live.ask("GET", "/v2/models/colours").json
    assert {t["datatype"] for t in model["inputs"] + model["outputs"]} <= DATATYPES
    (version,) = model["versions"]
    assert live.ask("GET", f"/v2/models/colours/versions/{version}").json == model
    assert live.ask("GET", f"/v2/models/colours/versions/{version}/ready").json == {"name": "colours", "ready": True}
    assert live.ask("GET", "/v2/models/colours/versions/1").status == 404
    assert live.ask("GET", "/v2/models/nobody/ready").status == 404


def test_health_has_the_published_member(live):
    assert live.ask("GET", "/v2/health/live").json == {"live": True}
    assert live.ask("GET", "/v2/health/ready").json["live"] is True


@pytest.mark.parametrize("form", ["flat", "nested", "files"])
def test_answers_are_those_of_hand_calculation(form, live, pictures):
    some = pictures[:5]
    pixels = np.stack([picture for picture, _ in some])
    given = files(*(png for _, png in some)) if form == "files" else tensor(pixels, form == "nested")
    reply = infer(live, {"id": "42", "inputs": [given]})
    assert (reply.status, reply.json["id"], reply.json["model_name"]) == (200, "42", "colours")
    assert reply.json["model_version"] == ("ab" * 32)[:12]
    found = outputs(reply)
    assert {name: array.shape for name, array in found.items()} == {
        "probabilities": (5, 3),
        "logits": (5, 3),
        "class_maps": (5, 3, 2, 2),
    }
    for row, picture in enumerate(pixels):
        for name, value in zip(("class_maps", "logits", "probabilities"), expected(picture), strict=True):
            assert np.allclose(found[name][row], value, atol=1e-5)


def test_a_model_that_knows_its_training_pictures_has_one_output_more(live, pictures):
    pixels = np.stack([picture for picture, _ in pictures[:4]])
    with Live(StandIn(unknown_beyond=100.0)) as knowing:
        described = knowing.ask("GET", "/v2/models/colours").json["outputs"]
        assert described[-1] == {"name": "distance", "datatype": "FP32", "shape": [-1]}
        found = outputs(infer(knowing, {"inputs": [tensor(pixels, False)]}))
        assert list(found) == ["probabilities", "logits", "class_maps", "distance"]
        np.testing.assert_allclose(found["distance"], pixels.mean((1, 2, 3)), rtol=1e-5)
        asked = {"name": "distance", "parameters": {"classification": 2}}
        reply = infer(knowing, {"inputs": [tensor(pixels, False)], "outputs": [asked]})
        assert reply.status == 400 and "distance has no classification" in reply.json["error"]
    reply = infer(live, {"inputs": [tensor(pixels, False)], "outputs": [{"name": "distance"}]})
    assert reply.status == 400 and "none of probabilities, logits, class_maps" in reply.json["error"]


def test_outputs_are_those_asked_for_and_the_id_only_where_one_was_given(live, pictures):
    reply = infer(live, {"inputs": [files(pictures[0][1])], "outputs": [{"name": "logits"}, {"name": "logits"}]})
    assert [one["name"] for one in reply.json["outputs"]] == ["logits"]
    assert "id" not in reply.json


def test_a_version_in_the_address_is_honoured(live, pictures):
    version = ("ab" * 32)[:12]
    document = {"inputs": [files(pictures[0][1])]}
    assert infer(live, document, f"/v2/models/colours/versions/{version}/infer").status == 200
    assert infer(live, document, "/v2/models/colours/versions/2/infer").status == 404


def test_pictures_of_another_size_are_resized_as_the_model_says(live):
    pixels = np.random.default_rng(3).integers(0, 256, (2, 20, 13, 1), np.uint8)
    found = outputs(infer(live, {"inputs": [tensor(pixels)]}))
    fitted = np.stack([live.engines[0].preprocess.resize(picture) for picture in pixels])
    assert np.allclose(found["logits"], [expected(picture)[1] for picture in fitted], atol=1e-5)


ONE = np.zeros((1, 2, 2, 3), np.uint8)
GOOD = tensor(ONE)
WRONG = {
    "not JSON": (b"{", "the body is not JSON"),
    "NaN": (b'{"inputs": [NaN]}', "the body is not JSON"),
    "deep": (b"[" * 100_000, "the body is not JSON"),
    "not UTF-8": (b'{"id": "\xff"}', "the body is not JSON"),
    "list": ([], "the body is not a JSON object"),
    "empty": ({}, "inputs is not a list of one tensor: pictures (UINT8) or files (BYTES)"),
    "two": ({"inputs": [GOOD, GOOD]}, "inputs is not a list of one tensor: "),
    "id": ({"id": 4, "inputs": [GOOD]}, "id is not a string"),
    "parameters": ({"parameters": 1, "inputs": [GOOD]}, "parameters is not an object"),
    "outputs": ({"inputs": [GOOD], "outputs": [{}]}, "outputs is not a list of objects with a name"),
    "output": (
        {"inputs": [GOOD], "outputs": [{"name": "x"}]},
        "an output is none of probabilities, logits, class_maps",
    ),
    "datatype": ({"inputs": [{**GOOD, "datatype": "FP32"}]}, "pictures for this model are UINT8; convert them, "),
    "input": ({"inputs": [{**GOOD, "name": "x"}]}, "the input is neither pictures (UINT8) nor files (BYTES)"),
    "no shape": ({"inputs": [{**GOOD, "shape": None}]}, "shape is not a list of whole numbers above 0"),
    "true shape": ({"inputs": [{**GOOD, "shape": [True, 2, 2, 3]}]}, "shape is not a list of whole numbers above 0"),
    "flat shape": ({"inputs": [{**GOOD, "shape": [12]}]}, "the shape of pictures is not [N, height, width, 1, 3 or 4]"),
    "channels": ({"inputs": [{**GOOD, "shape": [1, 2, 3, 2]}]}, "the shape of pictures is not [N, height, width, "),
    "huge": ({"inputs": [{**GOOD, "shape": [1, 60000, 60000, 3]}]}, "the pictures are too large"),
    "astronomic": ({"inputs": [{**GOOD, "shape": [1, 10**30, 1, 3]}]}, "the pictures are too large"),
    "many": ({"inputs": [{**GOOD, "shape": [65, 2, 2, 3]}]}, "there are more than 64 pictures"),
    "few": ({"inputs": [{**GOOD, "data": [1, 2]}]}, "data of pictures is not as many whole numbers as shape says"),
    "fractions": ({"inputs": [{**GOOD, "data": [0.5] * 12}]}, "data of pictures is not as many whole numbers"),
    "words": ({"inputs": [{**GOOD, "data": ["1"] * 12}]}, "data of pictures is not as many whole numbers"),
    "negative": ({"inputs": [{**GOOD, "data": [-1] * 12}]}, "data of pictures is not from 0 to 255"),
    "256": ({"inputs": [{**GOOD, "data": [256] * 12}]}, "data of pictures is not from 0 to 255"),
    "great": ({"inputs": [{**GOOD, "data": [10**30] * 12}]}, "data of pictures is not"),
    "ragged": ({"inputs": [{**GOOD, "data": [[1], [2, 3]]}]}, "data of pictures is not even"),
    "no data": ({"inputs": [{**GOOD, "data": None}]}, "data is not a list"),
    "turned": (
        {"inputs": [{**GOOD, "shape": [1, 1, 4, 3], "data": ONE.tolist()}]},
        "data of pictures has another shape",
    ),
    "count": ({"inputs": [files(b"x", shape=[2])]}, "data of files is not a list of as many strings as shape says"),
    "base64": ({"inputs": [files(b"x", data=["*"])]}, "data of files is not base64"),
    "coding": (
        {"inputs": [files(b"x", parameters={"content_type": "np"})]},
        "the content_type of files is not base64",
    ),
    "picture": ({"inputs": [files(b"hello")]}, "a picture in files cannot be read: "),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_400_with_the_published_error(name, live):
    document, reason = WRONG[name]
    reply = infer(live, document)
    assert reply.status == 400
    assert reply.json["error"].startswith(reason)


def test_a_reply_has_a_largest_size():
    with Live(StandIn()) as live:
        live.server.models["colours"].current.engine.classes = ("x",)
        from nin.server import oip

        before, oip.NUMBERS = oip.NUMBERS, 20
        try:
            reply = infer(live, {"inputs": [tensor(np.zeros((4, 8, 8, 3), np.uint8))]})
            assert (reply.status, "ask for fewer" in reply.json["error"]) == (400, True)
        finally:
            oip.NUMBERS = before

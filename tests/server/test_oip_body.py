"""Bodies of inference requests: binary tensors put together by hand after Triton's document, compression, long JSON.

Source of the bytes: triton-inference-server/server, docs/protocol/extension_binary_data.md and
extension_classification.md: JSON, then the tensors in order; BYTES elements behind four bytes of length, little-endian.
"""

import base64
import gzip
import json
import random
import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from live_server import CLASSES, QUICK, expected
from nin.data.images import Limits
from nin.data.preprocess import Preprocess
from nin.server.messages import Refused, Request
from nin.server.oip import read_infer
from nin.server.oip_body import LENGTH, TIMES, read_body, read_numbers

INFER = "/v2/models/colours/infer"
ALL = ("probabilities", "logits", "class_maps")


def packed(*elements: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(one)) + one for one in elements)


def ask(live, document, tail=b"", kind="application/octet-stream", path=INFER, **headers):
    """Send JSON and what follows it as tritonclient does; the JSON of the reply, and what follows that."""
    head = json.dumps(document).encode()
    if tail:
        headers["Inference-Header-Content-Length"] = str(len(head))
    reply = live.ask("POST", path, head + tail, kind, **headers)
    length = int(reply.headers.get("Inference-Header-Content-Length", len(reply.body)))
    return reply, json.loads(reply.body[:length]), reply.body[length:]


def tensor(name, datatype, shape, size, **more):
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size, **more}}


def by_hand(pixels):
    maps, logits, chances = zip(*(expected(one) for one in pixels), strict=True)
    return dict(zip(ALL, map(np.stack, (chances, logits, maps)), strict=True))


@pytest.fixture
def some(pictures):
    pixels = np.stack([picture for picture, _ in pictures[:3]])
    return pixels, [png for _, png in pictures[:3]]


@pytest.mark.parametrize("form", ["pictures", "files", "files, base64", "files, rows"])
def test_binary_tensors_go_in_and_out(form, live, some):
    pixels, pngs = some
    if form == "pictures":
        tail = pixels.tobytes()
        given = tensor("pictures", "UINT8", list(pixels.shape), len(tail))
    else:
        tail = packed(*(base64.b64encode(png) if "base64" in form else png for png in pngs))
        given = tensor("files", "BYTES", [3, 1] if "rows" in form else [3], len(tail))
    reply, found, rest = ask(live, {"inputs": [given], "parameters": {"binary_data_output": True}}, tail)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/octet-stream")
    for output in found["outputs"]:
        size = output["parameters"]["binary_data_size"]
        value, rest = np.frombuffer(rest[:size], "<f4").reshape(output["shape"]), rest[size:]
        assert np.allclose(value, by_hand(pixels)[output["name"]], atol=1e-5) and "data" not in output
    assert rest == b"" and [output["name"] for output in found["outputs"]] == list(ALL)


def test_each_output_may_be_binary_or_not(live, some):
    pixels, _ = some
    wanted = [
        {"name": "logits", "parameters": {"binary_data": False}},
        {"name": "probabilities", "parameters": {"binary_data": True}},
        {"name": "class_maps"},
    ]
    given = tensor("pictures", "UINT8", list(pixels.shape), pixels.nbytes)
    _, found, rest = ask(live, {"inputs": [given], "outputs": wanted}, pixels.tobytes())
    assert ["data" in output for output in found["outputs"]] == [True, False, True]
    assert np.allclose(np.frombuffer(rest, "<f4").reshape(3, 3), by_hand(pixels)["probabilities"], atol=1e-5)


@pytest.mark.parametrize("kind", ["application/octet-stream", "application/x-www-form-urlencoded", "text/plain", ""])
def test_json_is_read_whatever_it_is_labelled(kind, live, some):
    """aiohttp says octet-stream of bytes, curl -d says form; httpie and others say nothing."""
    data = [base64.b64encode(png).decode() for png in some[1]]
    document = {"inputs": [{"name": "files", "datatype": "BYTES", "shape": [3], "data": data}]}
    reply, found, rest = ask(live, document, kind=kind)
    assert (reply.status, reply.headers["Content-Type"], rest) == (200, "application/json", b"")
    assert np.allclose(found["outputs"][1]["data"], by_hand(some[0])["logits"].ravel(), atol=1e-5)


@pytest.mark.parametrize(
    "spelled",
    [
        lambda data: ([3, 1], data, {"content_type": "base64"}),  # mlserver's Base64Codec
        lambda data: ([3, 1], data, {"content_type": "str"}),  # mlserver's StringCodec over base64
        lambda data: ([3, 1], [[one] for one in data], {}),
        lambda data: ([3], ["data:image/png;base64," + one for one in data], {}),
        lambda data: ([3], [base64.encodebytes(base64.b64decode(one)).decode() for one in data], {}),  # in lines
    ],
)
def test_files_come_in_the_spellings_of_clients(spelled, live, some):
    shape, data, parameters = spelled([base64.b64encode(png).decode() for png in some[1]])
    given = {"name": "files", "datatype": "BYTES", "shape": shape, "data": data, "parameters": parameters}
    reply, found, _ = ask(live, {"inputs": [given]}, kind="application/json")
    assert reply.status == 200
    assert np.allclose(found["outputs"][1]["data"], by_hand(some[0])["logits"].ravel(), atol=1e-5)


@pytest.mark.parametrize("binary", [True, False])
def test_classes_in_words_are_value_index_and_label_likeliest_first(binary, live, some):
    pixels, _ = some
    wanted = [{"name": "probabilities", "parameters": {"classification": 2, "binary_data": binary}}]
    given = tensor("pictures", "UINT8", list(pixels.shape), pixels.nbytes)
    _, found, rest = ask(live, {"inputs": [given], "outputs": wanted}, pixels.tobytes())
    (output,) = found["outputs"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [3, 2])
    words = []
    for chances in by_hand(pixels)["probabilities"]:
        words += [f"{chances[i]:.6f}:{i}:{CLASSES[i]}" for i in np.argsort(-chances)[:2]]
    assert (rest == packed(*map(str.encode, words))) if binary else (output["data"] == words)


@pytest.mark.parametrize(("encoding", "press"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_requests_are_read(encoding, press, live, some):
    pixels, _ = some
    head = json.dumps({"inputs": [tensor("pictures", "UINT8", list(pixels.shape), pixels.nbytes)]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Encoding": encoding}
    body = press(head + pixels.tobytes())
    reply = live.ask("POST", INFER, body, "application/octet-stream", **headers)
    assert np.allclose(reply.json["outputs"][1]["data"], by_hand(pixels)["logits"].ravel(), atol=1e-5)
    for damaged, why in ((body[:-3], "cut short"), (b"x" + body, "damaged"), (body + b"x", "follows it")):
        reply = live.ask("POST", INFER, damaged, "application/octet-stream", **headers)
        assert reply.status == 400 and why in reply.json["error"], why
    bomb = press(bytes(TIMES * QUICK.body_bytes + 1))
    assert len(bomb) < 10_000
    reply = live.ask("POST", INFER, bomb, "application/json", **{"Content-Encoding": encoding})
    assert (reply.status, "when it is unpacked" in reply.json["error"]) == (413, True)
    assert live.ask("POST", INFER, body, "application/json", **{"Content-Encoding": "br"}).status == 415


TWO = np.zeros((1, 2, 2, 3), np.uint8)
GOOD = tensor("pictures", "UINT8", [1, 2, 2, 3], 12)
BAD = {
    "short": (GOOD, bytes(11), "binary_data_size is not the number of bytes behind the JSON"),
    "long": (GOOD, bytes(13), "binary_data_size is not the number of bytes behind the JSON"),
    "true": (tensor("pictures", "UINT8", [1, 1, 1, 1], True), b"x", "binary_data_size is not the number of bytes"),
    "no size": ({**GOOD, "parameters": {}}, bytes(12), "bytes follow the JSON, but no input has a binary_data_size"),
    "twice": ({**GOOD, "data": [0] * 12}, bytes(12), "an input has data and a binary_data_size"),
    "shape": ({**GOOD, "shape": [1, 2, 2, 1]}, bytes(12), "the binary data of pictures is not as many bytes as shape"),
    "floats": ({**GOOD, "datatype": "FP32"}, bytes(12), "pictures for this model are UINT8; convert them, other"),
    "cut length": (tensor("files", "BYTES", [1], 3), b"abc", "the binary data of files ends within a length"),
    "cut file": (tensor("files", "BYTES", [1], 5), b"\2\0\0\0x", "the binary data of files ends within a file"),
    "huge file": (tensor("files", "BYTES", [1], 5), b"\xff" * 5, "the binary data of files ends within a file"),
    "count": (tensor("files", "BYTES", [2], 5), b"\1\0\0\0x", "data of files is not a list of as many strings"),
    "no picture": (
        tensor("files", "BYTES", [1], 9),
        packed(b"hello"),
        "a picture in files cannot be read: a text file",
    ),
    "memory": (
        {**GOOD, "parameters": {"shared_memory_region": "x", "shared_memory_byte_size": 12}},
        b"",
        "shared memory is not offered; send the data in the request",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_in_a_binary_body_is_400_in_one_line(name, live):
    given, tail, reason = BAD[name]
    reply, found, _ = ask(live, {"inputs": [given]}, tail)
    assert reply.status == 400 and found["error"].startswith(reason), found


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"shared_memory_region": "x"}, "shared memory is not offered; take the outputs from the reply"),
        ({"binary_data": 1}, "binary_data and binary_data_output are true or false"),
        ({"classification": -1}, "classification is not a whole number of classes"),
        ({"classification": True}, "classification is not a whole number of classes"),
        ({"classification": 1, "name": "class_maps"}, "class_maps have no classification; "),
    ],
)
def test_what_an_output_cannot_be_is_refused(parameters, reason, live):
    wanted = [{"name": parameters.pop("name", "logits"), "parameters": parameters}]
    reply, found, _ = ask(live, {"inputs": [GOOD], "outputs": wanted}, bytes(12))
    assert reply.status == 400 and found["error"].startswith(reason)


@pytest.mark.parametrize("length", ["0", "-1", "x", "99999", "+5", "1e1", "9" * 400, ""])
def test_a_wrong_length_of_the_json_is_refused(length, live):
    body = json.dumps({"inputs": [GOOD]}).encode() + bytes(12)
    headers = {"Inference-Header-Content-Length": length}
    assert live.ask("POST", INFER, body, "application/octet-stream", **headers).status == 400


def request(document) -> Request:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Request(body=bytearray(text))


def listed(data, most=10**6):
    return read_body(request({"inputs": data}), most)[0]["inputs"]


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("indent", [None, 1])
def test_long_lists_are_the_numbers_of_the_json_reader(nested, indent):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 150, 111, 3), np.uint8)
    data = pixels.tolist() if nested else pixels.ravel().tolist()
    text = json.dumps({"id": 'a "[1, 2] \\" NaN', "data": data, "more": [[1], {"x": [data[0]]}]}, indent=indent)
    found, _ = read_body(request(text.encode()), 10**6)
    assert found["data"].values.tobytes() == pixels.tobytes() and found["data"].has_shape(pixels.shape)
    assert not found["data"].has_shape((2, 111, 150, 3)) or not nested
    assert found["id"] == 'a "[1, 2] \\" NaN' and found["more"][0] == [1]


@pytest.mark.parametrize(
    "bad", ["{}[", "{}]", "{},", ",{}", "[{}", "-{}", "1{}", "[{}]]", "{}1", "NaN", "Infinity", "-Infinity"]
)
def test_what_is_no_json_is_none_with_long_lists_too(bad):
    text = '{"a": [1], "inputs": ' + bad.replace("{}", json.dumps([7] * 900)) + "}"
    with pytest.raises(ValueError):
        json.loads(text, parse_constant=lambda word: int(word))
    with pytest.raises(Refused):
        read_body(request(text.encode()), 10**6)


def test_numbers_with_one_character_changed_are_refused_or_the_same_as_the_json_reader_has_them():
    """Commas lost, doubled and moved, spaces within numbers, brackets astray: never another tensor than JSON says."""
    rng, shape = random.Random(0), (1, 20, 30, 3)
    text = json.dumps(np.random.default_rng(1).integers(0, 256, shape, np.uint8).tolist()).encode()
    for _ in range(1500):
        changed, at = bytearray(text), rng.randrange(len(text))
        changed[at : at + rng.randrange(2)] = rng.choice((b",", b" ", b"[", b"]", b"1", b"", b",,", b"9999"))
        try:
            right = np.array(json.loads(changed))
        except ValueError:
            right = None
        try:
            found = read_numbers(changed, 0, len(changed), 10**6)
        except ValueError:
            assert right is None
            continue
        if found.has_shape(shape):
            assert right is not None and right.shape == shape and np.array_equal(right.ravel(), found.values)


def test_a_body_counts_by_what_it_holds_and_costs_no_more(live):
    """Six times the limit in digits is read; memory stays near what is held; lists would take 8 bytes a number."""
    count = QUICK.body_bytes // 3 // 10 * 10
    pixels = np.full((1, 10, count // 10, 3), 255, np.uint8)
    text = json.dumps(
        {"inputs": [{"name": "pictures", "datatype": "UINT8", "shape": list(pixels.shape), "data": pixels.tolist()}]}
    ).encode()
    assert len(text) > 5 * QUICK.body_bytes
    assert live.ask("POST", INFER, text, "application/json").status == 200
    big = request(json.dumps({"data": [255] * 4_000_000}).encode())
    tracemalloc.start()
    read_body(big, 4_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * 4_000_000


def test_what_is_over_the_limit_is_413(live):
    most = QUICK.body_bytes
    zeros = {"name": "pictures", "datatype": "UINT8", "shape": [1, 1, 1, 3], "data": [0] * (most + 1)}
    assert live.ask("POST", INFER, json.dumps({"inputs": [zeros]}).encode(), "application/json").status == 413
    words = {"name": "files", "datatype": "BYTES", "shape": [1], "data": ["A" * (3 * most)]}
    assert live.ask("POST", INFER, json.dumps({"inputs": [words]}).encode(), "application/json").status == 413
    reply, *_ = ask(live, {"inputs": [tensor("files", "BYTES", [1], most + 1)]}, bytes(most + 1))
    assert reply.status == 413
    assert live.ask("POST", INFER, bytes(TIMES * most + 1), "application/json").status == 413
    with pytest.raises(Refused):
        listed([0] * 2_000, most=1_000)
    assert live.site.held == 0


@pytest.mark.parametrize(
    ("limits", "kind", "dtype"), [((0.0, 4095.0), "UINT16", "<u2"), ((-1.5, 2.5), "FP32", "<f4"), (None, "UINT8", "u1")]
)
def test_a_model_of_deep_pictures_takes_their_own_numbers_in_every_form(limits, kind, dtype):
    preprocess = Preprocess((8, 8), 1, "stretch", (0.5,), (0.5,), value_range=limits)
    low, high = limits or (0, 255)
    pixels = np.random.default_rng(0).uniform(low, high, (2, 30, 20, 1)).astype(dtype)
    given = {"name": "pictures", "datatype": kind, "shape": list(pixels.shape)}
    head = json.dumps({"inputs": [{**given, "parameters": {"binary_data_size": pixels.nbytes}}]}).encode()
    binary = Request(body=bytearray(head + pixels.tobytes()), headers={LENGTH: str(len(head))})
    lists = [request({"inputs": [{**given, "data": data}]}) for data in (pixels.tolist(), pixels.ravel().tolist())]
    right = np.stack([preprocess.fit_pixels(picture, "x")[0] for picture in pixels])
    for asked in (binary, *lists):
        given_back = read_infer(asked, preprocess, Limits()).pictures
        found = [preprocess.fit_pixels(picture, "x")[0] for picture in given_back]
        assert np.array_equal(np.stack(found), right)
    if kind == "FP32":
        pixels[0, 0, 0, 0] = np.nan
        binary.body[len(head) :] = pixels.tobytes()
        with pytest.raises(Refused, match="not finite"):
            read_infer(binary, preprocess, Limits())

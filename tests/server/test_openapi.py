"""The OpenAPI document against the server: complete, valid, and true under generated requests (Schemathesis).

NIN_HEAVY=1 raises the number of requests to R35's 100,000 together with the raw bytes below.
"""

import os
import random

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import openapi

from live_server import Live, post, statuses
from nin.server import handlers
from nin.server.openapi import openapi as document
from nin.server.routes import PREDICT, ROUTES, Operation, Route

HEAVY = os.environ.get("NIN_HEAVY") == "1"
EXAMPLES = 2_500 if HEAVY else 15  # of every operation
RAW = 60_000 if HEAVY else 400
DOCUMENT = document(("colours",), 200_000)


@pytest.fixture(scope="module", autouse=True)
def served():
    with Live() as running:
        yield running


def test_every_route_is_described_and_every_schema_is_one():
    described = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert described == {(route.method, route.path) for route in ROUTES}
    names = [operation["operationId"] for methods in DOCUMENT["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(names)
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema_rs.Draft202012Validator({**schema, "components": DOCUMENT["components"]})


def test_every_route_has_words_and_a_reply():
    for route in ROUTES:
        operation = route.operation
        assert operation.summary and operation.description, route
        ((status, reply),) = operation.reply.items()
        assert reply["description"], route
        if status == "307":  # the way to the page
            assert reply["headers"]["Location"], route
        else:
            assert status == "200" and reply["content"], route
            assert all(media and content["schema"] for media, content in reply["content"].items()), route


def test_the_document_says_how_large_an_upload_may_be():
    for size, words in (
        (10 * 2**20, "10 MB"),
        (2**20, "1 MB"),
        (200_000, "200,000 bytes"),
        (2**20 + 1, "1,048,577 bytes"),
    ):
        assert f" Uploads up to {words}: JPEG, " in document(("colours",), size)["info"]["description"]


@pytest.mark.parametrize("takes", ["nothing", "picture"])
def test_a_route_without_a_handler_is_refused_when_the_server_is_made(takes, monkeypatch):
    new = Operation("New", "Nobody answers it.", PREDICT.reply, takes)
    monkeypatch.setattr(handlers, "ROUTES", (*ROUTES, Route("GET", "/new", new)))
    with pytest.raises(LookupError, match=r"^GET /new has no handler$"):
        Live()


@schemathesis.serializer(
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/bmp",
    "image/gif",
    "image/tiff",
    "image/avif",
    "image/x-portable-anymap",
)
def picture(_context, value):
    """What stands for a picture goes out as it is."""
    return value if isinstance(value, bytes) else str(getattr(value, "data", value)).encode("utf-8", "replace")


schema = openapi.from_dict(DOCUMENT)
CHECKS = (
    schemathesis.checks.not_a_server_error,
    *(getattr(schemathesis.specs.openapi.checks, name) for name in (
        "status_code_conformance", "content_type_conformance", "response_schema_conformance",
        "response_headers_conformance", "unsupported_method", "use_after_free",
    )),
)  # fmt: skip


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_generated_requests_get_what_is_described(case, served):
    response = case.call(base_url=f"http://127.0.0.1:{served.port}", timeout=5)
    case.validate_response(response, checks=CHECKS)
    for secret in (b"Traceback", b".py", b"site-packages", b"httptools"):
        assert secret not in response.content


def test_bytes_that_are_nearly_requests_never_fail_the_server(served, pictures):
    """Requests with bytes flipped, cut, repeated and put together at random: 4xx, 200, or nothing; never 500."""
    rng = random.Random(0)
    seeds = [post(png, path) for path in ("/predict", "/explain?top=2") for _, png in pictures[:3]]
    seeds += [b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", post(b'{"inputs": [1]}', "/v2/models/colours/infer")]
    for number in range(RAW):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(data) or 1)
            kind = rng.randrange(4)
            if kind == 0 and data:
                data[at] = rng.randrange(256)
            elif kind == 1:
                del data[at : at + rng.randrange(1, 30)]
            elif kind == 2:
                data[at:at] = data[at : at + rng.randrange(1, 60)]
            else:
                data[at:at] = rng.choice((b"\r\n", b"\0", b"%", b": ", b"chunked", b"99999999", b"\xff\xfe"))
        answer = served.say(bytes(data), end=True)
        assert all(status < 500 or status in (501, 505) for status in statuses(answer)), (number, data, answer)
        assert b"Traceback" not in answer
    assert served.ask("POST", "/predict", pictures[0][1]).status == 200
    assert (served.server.admitted, served.site.held) == (0, 0)

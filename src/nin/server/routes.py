"""What a server answers, and where: every address with its words, what it takes and what it replies, in one table.

The simple interface, the Open Inference Protocol, and what describes them. handlers.py has an answer for every
operation here; openapi.py makes the document of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nin.server import schemas
from nin.server.metrics import KIND
from nin.server.schemas import BOOLEAN, BYTES, FILE, JSON, STRING, Schema, array, component, object_schema, parameter

TOP = 3  # classes shown by default, as nin predict shows them
MOST_TOP = 1_000  # classes shown at most
MOST_MAPS = 20  # classes shown at most with their maps


@dataclass(frozen=True, eq=False)
class Operation:
    """What is done at an address, and its words. `reply`: the status of success -> OpenAPI's words for that answer.

    takes: what the body is; query: the parameters beside `model`, which every picture's request may have.
    """

    summary: str
    description: str
    reply: Mapping[str, Any]
    takes: Literal["nothing", "picture", "json"] = "nothing"
    query: tuple[Schema, ...] = ()

    @property
    def queues(self) -> bool:
        """Whether the engine is needed, so that there must be room in the queue."""
        return self.takes != "nothing"


@dataclass(frozen=True)
class Route:
    """One address and what is done there. `path` may hold {model} and {version}."""

    method: Literal["GET", "POST"]
    path: str
    operation: Operation


def _done(kind: str, schema: Schema) -> dict[str, Any]:
    return {"200": {"description": "Done.", "content": {kind: {"schema": schema}}}}


def _top(most: int) -> Schema:
    numbers = {"type": "integer", "minimum": 1, "maximum": most, "default": TOP}
    return parameter("query", "top", numbers, what="How many classes.")


_MAPS = parameter(
    "query",
    "maps",
    {"type": "integer", "minimum": 0, "maximum": 1, "default": 0},
    what=f"1: with class maps; top is then at most {MOST_MAPS}.",
)

PREDICT = Operation(
    "What is in a picture",
    "Classes with probabilities, likeliest first. Under the model's own threshold, and for a picture "
    'unlike those it was trained on, every entry also says "unknown": true. With maps=1 each entry has its class '
    "map, laid over the picture, as PNG in base64.",
    _done(JSON, array(component("class"), minItems=1)),
    "picture",
    (_top(MOST_TOP), _MAPS),
)
EXPLAIN = Operation(
    "Where the network sees each class",
    "One PNG: the picture beside the exact class maps of its likeliest classes, whose means are the logits.",
    _done(schemas.PNG, FILE),
    "picture",
    (_top(MOST_MAPS),),
)
LIST_MODELS = Operation(
    "The models that are served",
    "The first one answers where no model is named.",
    _done(JSON, array(component("model"), minItems=1)),
)
LIVE = Operation("Liveness", "Always 200 while the process answers.", _done(JSON, schemas.STATUS))
READY = Operation("Readiness", "503 from the moment the server is asked to stop.", _done(JSON, schemas.STATUS))
METRICS = Operation(
    "Counters for Prometheus",
    "Answers, times, batches, queue, refusals, reloads, models.",
    _done(KIND, STRING),
)
OPENAPI = Operation("This interface in OpenAPI 3.1", "What this page is made of.", _done(JSON, {"type": "object"}))
DOCS = Operation("A page to read and try", "Works without any other server.", _done(schemas.PAGE, STRING))
HOME = Operation(
    "The way to the page",
    "Leads to docs, relative to this address.",
    {"307": {"description": "The page is at docs, beside this address.", "headers": {"Location": {"schema": STRING}}}},
)
OIP_SERVER = Operation(
    "Open Inference Protocol: the server",
    "The version is that of this interface.",
    _done(JSON, object_schema("name version extensions", name=STRING, version=STRING, extensions=array(STRING))),
)
OIP_LIVE = Operation(
    "Open Inference Protocol: live", "Always 200 while the process answers.", _done(JSON, schemas.LIVE)
)
OIP_READY = Operation(
    "Open Inference Protocol: ready", "503 from the moment the server is asked to stop.", _done(JSON, schemas.LIVE)
)
OIP_MODEL = Operation(
    "Open Inference Protocol: a model",
    "Inputs and outputs; -1 stands for what varies.",
    _done(
        JSON,
        object_schema(
            "name versions platform inputs outputs",
            name=STRING,
            versions=array(STRING),
            platform=STRING,
            inputs=array(schemas.TENSOR),
            outputs=array(schemas.TENSOR),
        ),
    ),
)
OIP_MODEL_READY = Operation(
    "Open Inference Protocol: a model is ready",
    "503 once the server is asked to stop.",
    _done(JSON, object_schema("name ready", name=STRING, ready=BOOLEAN)),
)
OIP_INFER = Operation(
    "Open Inference Protocol: answers",
    "One input: pictures (UINT8, [N, height, width, channels], any size) or files (BYTES, [N], base64 of encoded "
    "pictures). Outputs by name: probabilities, logits, class_maps, and of models that measure it distance; all "
    "where none is named. Binary data of tensors may follow the JSON, which is then as long as "
    "Inference-Header-Content-Length says.",
    {
        "200": {
            "description": "Done.",
            "content": {JSON: {"schema": component("answers")}, BYTES: {"schema": FILE}},
        }
    },
    "json",
)

ROUTES = (
    Route("POST", "/predict", PREDICT),
    Route("POST", "/explain", EXPLAIN),
    Route("GET", "/models", LIST_MODELS),
    Route("POST", "/models/{model}/predict", PREDICT),
    Route("POST", "/models/{model}/explain", EXPLAIN),
    Route("GET", "/healthz", LIVE),
    Route("GET", "/readyz", READY),
    Route("GET", "/metrics", METRICS),
    Route("GET", "/openapi.json", OPENAPI),
    Route("GET", "/docs", DOCS),
    Route("GET", "/", HOME),
    Route("GET", "/v2", OIP_SERVER),
    Route("GET", "/v2/health/live", OIP_LIVE),
    Route("GET", "/v2/health/ready", OIP_READY),
    Route("GET", "/v2/models/{model}", OIP_MODEL),
    Route("GET", "/v2/models/{model}/ready", OIP_MODEL_READY),
    Route("POST", "/v2/models/{model}/infer", OIP_INFER),
    Route("GET", "/v2/models/{model}/versions/{version}", OIP_MODEL),
    Route("GET", "/v2/models/{model}/versions/{version}/ready", OIP_MODEL_READY),
    Route("POST", "/v2/models/{model}/versions/{version}/infer", OIP_INFER),
)


def find(path: str) -> tuple[dict[str, Route], dict[str, str]]:
    """Method -> route of an address, and the names in it; empty when there is nothing at that address."""
    parts = path.removesuffix("/").split("/") if path != "/" else ["", ""]
    for pattern, routes in _PATTERNS.items():
        if len(pattern) == len(parts) and all(a == b or a[:1] == "{" for a, b in zip(pattern, parts, strict=True)):
            return routes, {a[1:-1]: b for a, b in zip(pattern, parts, strict=True) if a[:1] == "{"}
    return {}, {}


_PATTERNS: dict[tuple[str, ...], dict[str, Route]] = {}
for _route in ROUTES:
    _PATTERNS.setdefault(tuple(_route.path.split("/")), {})[_route.method] = _route

"""The interface of the server in OpenAPI 3.1, as it is served at /openapi.json."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from nin.data.codecs.headers import FORMATS, READABLE
from nin.server.routes import ROUTES, Route

LICENSE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
API_VERSION = "1.0"  # of the interface, not of the program: what serves is nobody's business
JSON, BYTES, PNG, PAGE, TEXT = (
    "application/json",
    "application/octet-stream",
    "image/png",
    "text/html; charset=utf-8",
    "text/plain; version=0.0.4; charset=utf-8",
)
ERRORS = {
    400: "The request is not as this page says; the answer says what is wrong.",
    404: "There is no such model, or version of it.",
    405: "This address takes another method.",
    408: "The request did not come in time.",
    411: "The request says nothing of a body.",
    413: "The body is too large.",
    415: "A body of this type is not read.",
    422: "The picture cannot be read; the answer says why.",
    431: "The head of the request is too large.",
    500: "The server failed; its log says why.",
    503: "There is no room now, or the server is stopping; Retry-After says when to try again.",
}
WORDS: Mapping[str, tuple[str, str]] = {  # handler -> summary, description
    "predict": (
        "What is in a picture",
        "Classes with probabilities, likeliest first. Under the model's own threshold, and for a picture "
        'unlike those it was trained on, every entry also says "unknown": true. With maps=1 each entry has its class '
        "map, laid over the picture, as PNG in base64.",
    ),
    "explain": (
        "Where the network sees each class",
        "One PNG: the picture beside the exact class maps of its likeliest classes, whose means are the logits.",
    ),
    "list_models": ("The models that are served", "The first one answers where no model is named."),
    "live": ("Whether the server lives", "Always 200 while the process answers."),
    "is_ready": ("Whether requests are welcome", "503 from the moment the server is asked to stop."),
    "show_metrics": ("Counters for Prometheus", "Answers, times, batches, queue, refusals, reloads, models."),
    "show_openapi": ("This interface in OpenAPI 3.1", "What this page is made of."),
    "show_docs": ("A page to read and try", "Works without any other server."),
    "home": ("The way to the page", "Leads to docs, relative to this address."),
    "oip_server": ("Open Inference Protocol: the server", "The version is that of this interface."),
    "oip_live": ("Open Inference Protocol: live", "Always 200 while the process answers."),
    "oip_ready": ("Open Inference Protocol: ready", "503 from the moment the server is asked to stop."),
    "oip_model": ("Open Inference Protocol: a model", "Inputs and outputs; -1 stands for what varies."),
    "oip_model_ready": ("Open Inference Protocol: a model is ready", "503 once the server is asked to stop."),
    "oip_infer": (
        "Open Inference Protocol: answers",
        "One input: pictures (UINT8, [N, height, width, channels], any size) or files (BYTES, [N], base64 of encoded "
        "pictures). Outputs by name: probabilities, logits, class_maps, and of models that measure it distance; all "
        "where none is named. Binary data of "
        "tensors may follow the JSON, which is then as long as Inference-Header-Content-Length says.",
    ),
}


def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required.split(), "properties": properties}


def _list(items: Any, **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **more}


STRING, NUMBER, BOOLEAN = {"type": "string"}, {"type": "number"}, {"type": "boolean"}
SHARE = {"type": "number", "minimum": 0, "maximum": 1}
COUNT = {"type": "integer", "minimum": 1}
TENSOR = _object("name datatype shape", name=STRING, datatype=STRING, shape=_list({"type": "integer", "minimum": -1}))
OUTPUT_NAME = {"type": "string", "enum": ["probabilities", "logits", "class_maps", "distance"]}
UNKNOWN = "The best score is under the model's threshold, or the picture is unlike those that the model was trained on."
ASKED = {
    "type": "object",
    "description": "binary_data: true, behind the JSON; classification: so many classes in words.",
}
SCHEMAS: dict[str, Any] = {
    "error": {**_object("error", error=STRING), "additionalProperties": False},
    "class": {
        **_object(
            "label score",
            label=STRING,
            score=SHARE,
            unknown={"type": "boolean", "const": True, "description": UNKNOWN},
            map={"type": "string", "contentEncoding": "base64", "contentMediaType": PNG},
        ),
        "additionalProperties": False,
    },
    "model": _object(
        "name classes size channels unknown_below precision sha256",
        name=STRING,
        classes=_list(STRING),
        size=_list(COUNT, minItems=2, maxItems=2, description="Height and width that the network sees."),
        channels={"type": "integer", "enum": [1, 3, 4]},
        unknown_below=SHARE,
        unknown_beyond={
            "type": "number",
            "minimum": 0,
            "description": "Distance; only models that measure it have it.",
        },
        precision=STRING,
        sha256={"type": "string", "pattern": "^[0-9a-f]{64}$"},
    ),
    "infer": _object(
        "inputs",
        id=STRING,
        parameters={"type": "object", "description": "binary_data_output: true, for all outputs behind the JSON."},
        inputs=_list({"$ref": "#/components/schemas/input"}, minItems=1, maxItems=1),
        outputs=_list(_object("name", name={**STRING, "description": "One of the outputs."}, parameters=ASKED)),
    ),
    "input": _object(
        "name shape datatype",
        name={"type": "string", "description": "pictures or files."},  # generators make a class of an enum
        shape=_list(COUNT, minItems=1, maxItems=4),
        datatype={"type": "string", "description": "UINT8 or BYTES."},
        parameters={"type": "object", "description": "binary_data_size, where the data is behind the JSON."},
        data=_list({}, description="Numbers, flat or nested, or pictures in base64."),
    ),
    "answers": _object(
        "model_name outputs",
        model_name=STRING,
        model_version=STRING,
        id=STRING,
        outputs=_list(
            _object(
                "name shape datatype",
                name=OUTPUT_NAME,
                shape=_list(COUNT),
                datatype={"type": "string", "enum": ["FP32", "BYTES"]},
                parameters={"type": "object", "description": "binary_data_size, where the data is behind the JSON."},
                data=_list({}),
            )
        ),
    ),
}
FILE = {"type": "string", "format": "binary"}  # generators make bytes of it; OpenAPI 3.1 itself would need no schema
STATUS = _object("status", status=STRING)
LIVE = _object("live", live=BOOLEAN, ready=BOOLEAN)
REPLIES: Mapping[str, tuple[str, Any]] = {  # handler -> media type and schema of its 200
    "predict": (JSON, _list({"$ref": "#/components/schemas/class"}, minItems=1)),
    "explain": (PNG, FILE),
    "list_models": (JSON, _list({"$ref": "#/components/schemas/model"}, minItems=1)),
    "live": (JSON, STATUS),
    "is_ready": (JSON, STATUS),
    "show_metrics": (TEXT, STRING),
    "show_openapi": (JSON, {"type": "object"}),
    "show_docs": (PAGE, STRING),
    "oip_server": (JSON, _object("name version extensions", name=STRING, version=STRING, extensions=_list(STRING))),
    "oip_live": (JSON, LIVE),
    "oip_ready": (JSON, LIVE),
    "oip_model": (
        JSON,
        _object(
            "name versions platform inputs outputs",
            name=STRING,
            versions=_list(STRING),
            platform=STRING,
            inputs=_list(TENSOR),
            outputs=_list(TENSOR),
        ),
    ),
    "oip_model_ready": (JSON, _object("name ready", name=STRING, ready=BOOLEAN)),
    "oip_infer": (JSON, {"$ref": "#/components/schemas/answers"}),
}


def openapi(models: Sequence[str], body_bytes: int) -> dict[str, Any]:
    """The document for a server of these models."""
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, models)
    about = (
        "Send a picture, get its classes and where in the picture they are. Bodies have at most "
        f"{body_bytes:,} bytes; {READABLE} are read, whatever a body is called. What is asked in the "
        'query may be fields of the form instead. Every error is {"error": "why"}.'
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": "nin", "version": API_VERSION, "description": about, "license": LICENSE},
        "servers": [{"url": "."}],
        "paths": paths,
        "components": {"schemas": SCHEMAS},
    }


def _operation(route: Route, models: Sequence[str]) -> dict[str, Any]:
    summary, description = WORDS[route.name]
    identity = re.sub(r"\W+", "_", f"{route.method.lower()} {route.path}".rstrip("/") or "home").strip("_")
    operation: dict[str, Any] = {"operationId": identity, "summary": summary, "description": description}
    operation["tags"] = ["Open Inference Protocol" if route.name.startswith("oip") else "nin"]
    parameters = [_in("path", name, STRING, required=True) for name in re.findall(r"{(\w+)}", route.path)]
    if parameters:
        parameters[0]["examples"] = {name: {"value": name} for name in models[:10]}
    parameters += _query_parameters(route)
    if parameters:
        operation["parameters"] = parameters
    if route.takes != "nothing":
        operation["requestBody"] = {"required": True, "content": _bodies(route)}
    return {**operation, "responses": _responses(route)}


def _in(place: str, name: str, schema: Any, *, required: bool = False, what: str = "") -> dict[str, Any]:
    return {
        "in": place,
        "name": name,
        "required": required,
        "schema": schema,
        **({"description": what} if what else {}),
    }


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.takes != "picture":
        return []
    most = 20 if route.name == "explain" else 1_000
    found = [
        _in("query", "top", {"type": "integer", "minimum": 1, "maximum": most, "default": 3}, what="How many classes.")
    ]
    if route.name == "predict":
        maps = {"type": "integer", "minimum": 0, "maximum": 1, "default": 0}
        found.append(_in("query", "maps", maps, what="1: with class maps; top is then at most 20."))
    if "{model}" not in route.path:
        found.append(_in("query", "model", STRING, what="Which model; by default the first."))
    return found


def _bodies(route: Route) -> dict[str, Any]:
    if route.takes == "json":
        return {JSON: {"schema": {"$ref": "#/components/schemas/infer"}}}
    raw = {kind: {"schema": FILE} for kind in (BYTES, *(media for _, media in FORMATS.values()))}
    form = {"schema": {**_object("file", file=FILE), "additionalProperties": False}}
    return {"multipart/form-data": form, **raw}


def _responses(route: Route) -> dict[str, Any]:
    statuses = {400, 405, 408, 413, 431, 500, 503}  # what any request can meet
    statuses |= {411, 415} if route.takes != "nothing" else set()
    statuses |= {422} if route.takes == "picture" else set()
    statuses |= {404} if "{" in route.path or route.takes == "picture" else set()
    problem = {JSON: {"schema": {"$ref": "#/components/schemas/error"}}}
    found: dict[str, Any] = {str(s): {"description": ERRORS[s], "content": problem} for s in sorted(statuses)}
    if route.name == "home":
        return {
            "307": {
                "description": "The page is at docs, beside this address.",
                "headers": {"Location": {"schema": STRING}},
            },
            **found,
        }
    kind, schema = REPLIES[route.name]
    content = {kind: {"schema": schema}}
    if route.takes == "json":
        content[BYTES] = {"schema": FILE}
    return {"200": {"description": "Done.", "content": content}, **found}

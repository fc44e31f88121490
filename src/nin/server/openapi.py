"""The interface of the server in OpenAPI 3.1, as it is served at /openapi.json."""

import re
from collections.abc import Sequence
from typing import Any

from nin.data.codecs.headers import FORMATS, READABLE
from nin.server.messages import size_in_words
from nin.server.routes import ROUTES, Route
from nin.server.schemas import BYTES, FILE, JSON, SCHEMAS, STRING, Schema, component, object_schema, parameter

LICENSE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
API_VERSION = "1.0"  # of the interface: replies do not tell the version of the program
ERRORS = {
    400: "The request is not as this page says; the answer says what is wrong.",
    404: "There is no such model, or version of it.",
    405: "This address takes another method.",
    408: "The request did not come in time.",
    411: "The request has no Content-Length and is not chunked.",
    413: "The body is too large.",
    415: "A body of this type is not read.",
    422: "The picture cannot be read; the answer says why.",
    431: "The head of the request is too large.",
    500: "The server failed; its log says why.",
    503: "There is no room now, or the server is stopping; Retry-After says when to try again.",
}


def openapi(models: Sequence[str], body_bytes: int) -> dict[str, Any]:
    """The document for a server of these models."""
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, models)
    about = (
        "Send a picture, get its classes and where in the picture they are. Uploads up to "
        f"{size_in_words(body_bytes)}: {READABLE}, whatever their Content-Type says. Parameters of the query may be "
        'fields of a form instead. Every error is {"error": "why"}.'
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": "nin", "version": API_VERSION, "description": about, "license": LICENSE},
        "servers": [{"url": "."}],
        "paths": paths,
        "components": {"schemas": SCHEMAS},
    }


def _operation(route: Route, models: Sequence[str]) -> dict[str, Any]:
    operation = route.operation
    identity = re.sub(r"\W+", "_", f"{route.method.lower()} {route.path}".rstrip("/") or "home").strip("_")
    document: dict[str, Any] = {
        "operationId": identity,
        "summary": operation.summary,
        "description": operation.description,
        "tags": ["Open Inference Protocol" if route.path.startswith("/v2") else "nin"],
    }
    if parameters := [*_path_parameters(route, models), *_query_parameters(route)]:
        document["parameters"] = parameters
    if operation.takes != "nothing":
        document["requestBody"] = {"required": True, "content": _bodies(route)}
    return {**document, "responses": {**operation.reply, **_errors(route)}}


def _path_parameters(route: Route, models: Sequence[str]) -> list[Schema]:
    found = [parameter("path", name, STRING, required=True) for name in re.findall(r"{(\w+)}", route.path)]
    if found:  # the first one is the model
        found[0]["examples"] = {name: {"value": name} for name in models[:10]}
    return found


def _query_parameters(route: Route) -> list[Schema]:
    found = list(route.operation.query)
    if route.operation.takes == "picture" and "{model}" not in route.path:
        found.append(parameter("query", "model", STRING, what="Which model; by default the first."))
    return found


def _bodies(route: Route) -> dict[str, Any]:
    if route.operation.takes == "json":
        return {JSON: {"schema": component("infer")}}
    raw = {kind: {"schema": FILE} for kind in (BYTES, *(media for _, media in FORMATS.values()))}
    form = {"schema": {**object_schema("file", file=FILE), "additionalProperties": False}}
    return {"multipart/form-data": form, **raw}


def _errors(route: Route) -> dict[str, Any]:
    takes = route.operation.takes
    statuses = {400, 405, 408, 413, 431, 500, 503}  # what any request can meet
    if takes != "nothing":
        statuses |= {411, 415}
    if takes == "picture":
        statuses |= {404, 422}
    if "{" in route.path:
        statuses |= {404}
    problem = {JSON: {"schema": component("error")}}
    return {str(status): {"description": ERRORS[status], "content": problem} for status in sorted(statuses)}

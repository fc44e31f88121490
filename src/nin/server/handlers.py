"""The server: pictures in over HTTP, classes and class maps out (torch-free).

One event loop reads and writes (wire.py); a few threads decode, draw and read JSON; every model has a thread of its
own for its engine (microbatch.py). At most `queue` requests are admitted at a time; the others hear 503 at once.
"""

import base64
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Protocol

import numpy as np

from nin.data.images import Limits, PictureError
from nin.data.machine import usable_cores
from nin.engine.engine import Answers, Engine
from nin.engine.graph import outputs_of
from nin.errors import NinError, escape_name
from nin.server import metrics, oip, routes
from nin.server.cors import permission, preflight
from nin.server.decoding import Decoders
from nin.server.forms import expect_plain, maps_of, read_picture_body, read_query, top_of, unreadable
from nin.server.hot_models import Served
from nin.server.messages import Checked, ClientLimits, Refused, Request, Response, error, json_body
from nin.server.oip_body import expect_encoding, most_of
from nin.server.openapi import API_VERSION, openapi
from nin.server.routes import MOST_MAPS, MOST_TOP, ROUTES, TOP, Operation, Route, find
from nin.server.schemas import PAGE

LOG = logging.getLogger("nin.serve")
ACCESS = logging.getLogger("nin.access")
Headers = tuple[tuple[str, str], ...]
AtOnce = Mapping[Operation, Callable[["Match"], Response]]
Queued = Mapping[Operation, Callable[["Match", Request], Awaitable[Response]]]
PIXELS = 16 * 2**20  # of one picture as decoded; ours: a phone's 12 MP and some more
JPEG_PIXELS = 64_000_000  # of a JPEG that is decoded smaller
UNKNOWN_MODEL = "there is no model of this name; GET /models lists them"


class Drawing(Protocol):
    """Class maps as PNG; what draws lives to the right of this room."""

    def overlay(self, pixels: np.ndarray, values: np.ndarray, limit: float) -> bytes:
        """A map (h, w) over its picture (H, W, C) uint8; `limit` is the end of the colour scale."""

    def sheet(self, pixels: np.ndarray, answers: Answers, classes: Sequence[str], top: int) -> bytes:
        """The picture beside the maps of its `top` likeliest classes; answers of that one picture."""


@dataclass(frozen=True)
class Capacity:
    """What a server allows. queue: requests that wait or are computed at one time; most: pictures of one batch."""

    queue: int = 256
    most: int = 32
    decoders: int = 0  # threads that decode ordinary pictures; 0 for as many as there are cores, at most 4
    limits: ClientLimits = field(default_factory=ClientLimits)
    origins: tuple[str, ...] = ()  # whose pages may read the answers; * for all


@dataclass(frozen=True)
class Match:
    """Where a request goes: its route, its model (the first one where none is named), and what its query asks."""

    route: Route
    served: Served
    query: dict[str, str]


class Server:
    """Answers requests about some models; the first of them where no name is given."""

    def __init__(self, models: Sequence[Served], drawing: Drawing, capacity: Capacity) -> None:
        self.models = {served.name: served for served in models}
        self.capacity = capacity
        self._drawing = drawing
        self.metrics = metrics.Metrics()
        self.picture_limits = Limits(capacity.limits.body_bytes, PIXELS, JPEG_PIXELS)
        self.ready = False
        self.admitted = 0
        self.connections: Callable[[], int] = lambda: 0
        self._decoders = Decoders(capacity.decoders or min(4, usable_cores()), self.picture_limits)
        self._openapi = json_body(200, openapi(tuple(self.models), capacity.limits.body_bytes))
        self._docs = docs_page(resources.files("nin.server").joinpath("docs.html").read_text(encoding="utf-8"))
        self._full = error(503, "the queue is full; try again", "queue")
        # Two tables, because what needs the engine waits for it and reads the body
        self._at_once: AtOnce = {
            routes.LIST_MODELS: self.list_models,
            routes.LIVE: self.live,
            routes.READY: self.is_ready,
            routes.METRICS: self.show_metrics,
            routes.OPENAPI: self.show_openapi,
            routes.DOCS: self.show_docs,
            routes.HOME: self.home,
            routes.OIP_SERVER: self.oip_server,
            routes.OIP_LIVE: self.oip_live,
            routes.OIP_READY: self.oip_ready,
            routes.OIP_MODEL: self.oip_model,
            routes.OIP_MODEL_READY: self.oip_model_ready,
        }
        self._queued: Queued = {
            routes.PREDICT: self.predict,
            routes.EXPLAIN: self.explain,
            routes.OIP_INFER: self.oip_infer,
        }
        _expect_handlers(self._at_once, self._queued)

    def start(self) -> None:
        """Begin to answer; needs a running loop."""
        for served in self.models.values():
            served.start(self.capacity.most, self.metrics)
        self.ready = True

    # What the wire asks

    def check(self, request: Request) -> Checked[Match]:
        """Refuse what the head alone shows to be wrong, and everything that there is no room for."""
        match = None
        try:
            if allowed := preflight(self.capacity.origins, request, _methods(find(request.path)[0])):
                return Checked(None, allowed)
            match = self._match(request)
            operation = match.route.operation
            if operation.takes == "picture":
                expect_plain(request)
            if operation.takes == "json":
                request.most = most_of(request, self.capacity.limits.body_bytes)
                expect_encoding(request)
        except Refused as refused:
            return Checked(match, refused.response)
        full = operation.queues and self.admitted >= self.capacity.queue
        return Checked(match, self._full if full else None)

    async def handle(self, request: Request, match: Match) -> Response:
        """The answer to a complete request that `check` let pass."""
        operation = match.route.operation
        try:
            if not operation.queues:
                return self._at_once[operation](match)
            with self._admission():
                return await self._queued[operation](match, request)
        except Refused as refused:
            return refused.response
        except PictureError as picture:
            return error(422, unreadable(request, picture.reason))
        except NinError as failed:
            LOG.error("a picture could not be answered: %s", failed)
            return error(500, "the model gives no usable answer for this picture")

    def added(self, request: Request) -> tuple[tuple[str, str], ...]:
        """What every answer says of the origins that may read it."""
        return permission(self.capacity.origins, request)

    def answered(self, request: Request, match: Match | None, response: Response, seconds: float) -> None:
        """Count an answer, and write a line when that is wanted."""
        path = "none" if match is None else match.route.path
        self.metrics.request(path, response.status, seconds, response.reason)
        if ACCESS.isEnabledFor(logging.INFO):
            asked = f"{request.method or '-'} {request.target or '-'}"
            ACCESS.info("%s %d %d bytes %.1f ms", asked, response.status, len(response.body), 1000 * seconds)

    def _match(self, request: Request) -> Match:
        methods, names = find(request.path)
        if not methods:
            raise Refused(404, "there is nothing at this address; GET /docs shows what there is")
        route = methods.get("GET" if request.method == "HEAD" else request.method)
        if route is None:
            allowed = _methods(methods)
            raise Refused(405, f"this address takes {allowed}", headers=(("Allow", allowed),))
        if route.operation.queues and not request.announced:
            raise Refused(411, "the request has no body length; send a Content-Length")
        query = read_query(request.query) if route.operation.takes == "picture" else {}
        if "model" in query and "model" in names:
            raise Refused(400, "the model is named twice")
        maps_of(query)  # refused from the head, before the picture is sent
        served = self._model(names.get("model", query.get("model")))
        if names.get("version", oip.version_of(served.engine)) != oip.version_of(served.engine):
            raise Refused(404, "the model has no such version; GET /v2/models/NAME shows the one it has")
        return Match(route, served, query)

    def _model(self, name: str | None) -> Served:
        served = next(iter(self.models.values())) if name is None else self.models.get(name)
        if served is None:
            raise Refused(404, UNKNOWN_MODEL)
        return served

    @contextmanager
    def _admission(self) -> Iterator[None]:
        """A place among the requests that are worked on."""
        if self.admitted >= self.capacity.queue:  # again: it may have filled while the body came
            raise Refused(503, "the queue is full; try again", "queue")
        self.admitted += 1
        try:
            yield
        finally:
            self.admitted -= 1

    # The simple interface

    async def predict(self, match: Match, request: Request) -> Response:
        """[{label, score}, ...], likeliest first; with maps=1 each with its class map as PNG."""
        picture, query, served = self._asked(match, request)
        maps = maps_of(query)
        top = top_of(query, TOP, MOST_MAPS, " with maps") if maps else top_of(query, TOP, MOST_TOP)
        engine, pixels, said, answers = await self._see(served, picture)
        probabilities = answers.probabilities[0]  # (K,)
        best = np.argsort(-probabilities, kind="stable")[:top]  # (top,), equal ones in the order of the classes
        found: list[dict[str, Any]] = [{"label": engine.classes[i], "score": float(probabilities[i])} for i in best]
        if engine.calibration.is_unknown(float(probabilities[best[0]]), answers.distance(0)):
            for entry in found:
                entry["unknown"] = True
        if maps:
            limit = float(np.abs(answers.maps[0, best]).max()) or 1.0  # one scale for all maps (top, h, w) shown
            for entry, index in zip(found, best, strict=True):
                png = await self._decoders.aside(self._drawing.overlay, pixels, answers.maps[0, index], limit)
                entry["map"] = base64.b64encode(png).decode("ascii")
        return json_body(200, found, headers=said)

    async def explain(self, match: Match, request: Request) -> Response:
        """One PNG: the picture, and where the network sees each of its likeliest classes."""
        picture, query, served = self._asked(match, request)
        top = top_of(query, TOP, MOST_MAPS, " with maps")
        if "maps" in query:
            raise Refused(400, "the query has maps; an explanation has them always")
        engine, pixels, said, answers = await self._see(served, picture)
        sheet = await self._decoders.aside(self._drawing.sheet, pixels, answers, engine.classes, top)
        return Response(200, sheet, "image/png", said)

    def _asked(self, match: Match, request: Request) -> tuple[bytes, dict[str, str], Served]:
        """The picture, the query with a form's fields, and the model that is to answer."""
        picture, query = read_picture_body(request, match.query)
        if "model" not in query or "model" in match.query:
            return picture, query, match.served
        if "{model}" in match.route.path:
            raise Refused(400, "the model is named twice")
        return picture, query, self._model(query["model"])

    async def _see(self, served: Served, picture: bytes) -> tuple[Engine, np.ndarray, Headers, Answers]:
        """The engine that answered, the picture (H, W, C) as it saw it, what is to be said of that, and the answer."""
        batcher = served.current
        with batcher.expecting():
            ((pixels, notes),) = await self._decoders.fit(batcher.engine.preprocess, [picture])
        said = tuple(("Nin-Note", escape_name(note)) for note in notes)
        return batcher.engine, pixels, said, await batcher.run(pixels[None])  # (1, H, W, C)

    def list_models(self, _match: Match) -> Response:
        """Every model with its classes and what it looks at."""
        return json_body(200, [_facts(served) for served in self.models.values()])

    # What describes the server

    def live(self, _match: Match) -> Response:
        """Liveness."""
        return json_body(200, {"status": "ok"})

    def is_ready(self, _match: Match) -> Response:
        """Readiness: 503 once the server is asked to stop."""
        if self.ready:
            return json_body(200, {"status": "ready"})
        return error(503, "the server is stopping")

    def show_metrics(self, _match: Match) -> Response:
        """Counters for Prometheus."""
        gauges = {
            "nin_queue_depth": ("Requests that wait or are computed.", float(self.admitted)),
            "nin_connections": ("Open connections.", float(self.connections())),
            "nin_ready": ("1 until the server is asked to stop.", float(self.ready)),
        }
        facts = {
            name: {"sha256": served.engine.digest, "precision": served.engine.precision}
            for name, served in self.models.items()
        }
        return Response(200, self.metrics.text(gauges, facts).encode(), metrics.KIND)

    def show_openapi(self, _match: Match) -> Response:
        """This interface in OpenAPI 3.1."""
        return self._openapi

    def show_docs(self, _match: Match) -> Response:
        """The same as a page to read and try, which needs nothing from elsewhere."""
        return self._docs

    def home(self, _match: Match) -> Response:
        """The way to the page, also behind a proxy that takes a prefix off."""
        return Response(307, b"", "text/plain", (("Location", "docs"),))

    # The Open Inference Protocol

    def oip_server(self, _match: Match) -> Response:
        """The server's metadata; the version is that of this interface."""
        return json_body(200, {"name": "nin", "version": API_VERSION, "extensions": list(oip.EXTENSIONS)})

    def oip_live(self, _match: Match) -> Response:
        """Liveness."""
        return json_body(200, {"live": True})

    def oip_ready(self, _match: Match) -> Response:
        """Readiness; the protocol's text names this `live` too."""
        return json_body(200, {"live": True, "ready": True}) if self.ready else error(503, "the server is stopping")

    def oip_model(self, match: Match) -> Response:
        """The model's metadata."""
        return json_body(200, match.served.metadata)

    def oip_model_ready(self, match: Match) -> Response:
        """Readiness of one model."""
        ready = {"name": match.served.name, "ready": True}
        return json_body(200, ready) if self.ready else error(503, "the server is stopping")

    async def oip_infer(self, match: Match, request: Request) -> Response:
        """Tensors or encoded pictures in, tensors out."""
        served = match.served
        batcher = served.current
        with batcher.expecting():
            engine = batcher.engine
            names = outputs_of(engine.calibration)
            read = oip.read_infer, request, engine.preprocess, self.picture_limits, names
            asked = await self._decoders.aside(*read)
            with oip.refusing_pictures(asked):
                fitted = await self._decoders.fit(engine.preprocess, asked.pictures)
        answers = await batcher.run(np.stack([pixels for pixels, _ in fitted]))  # (N, H, W, C)
        return await self._decoders.aside(oip.reply, served.name, engine, asked, answers)


def _expect_handlers(at_once: AtOnce, queued: Queued) -> None:
    """LookupError for an address that nothing answers: when the server is made, not when somebody asks there."""
    for route in ROUTES:
        if route.operation not in (queued if route.operation.queues else at_once):
            raise LookupError(f"{route.method} {route.path} has no handler")


def _facts(served: Served) -> dict[str, Any]:
    engine = served.engine
    return {
        "name": served.name,
        "classes": list(engine.classes),
        "size": list(engine.preprocess.size),
        "channels": engine.preprocess.channels,
        **{name: value for name, value in engine.calibration.to_dict().items() if name != "temperature"},
        "precision": engine.precision,
        "sha256": engine.digest,
    }


def _methods(routes: Iterable[str]) -> str:
    return ", ".join(method for known in routes for method in ((known, "HEAD") if known == "GET" else (known,)))


def docs_page(page: str) -> Response:
    """The page, with a policy that lets it run its own script and style, ask this server, and nothing else."""

    def allowed(tag: str) -> str:
        found = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(t.encode()).digest()).decode()}'" for t in found)

    policy = (
        f"default-src 'none'; script-src {allowed('script')}; style-src {allowed('style')}; img-src data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Response(200, page.encode(), PAGE, (("Content-Security-Policy", policy),))

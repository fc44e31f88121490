"""The server: pictures in over HTTP, classes and class maps out (torch-free).

One event loop reads and writes (wire.py); a few threads decode, draw and read JSON; every model has a thread of its
own for its engine (batching.py). At most `queue` requests are admitted at a time; the others hear 503 at once.
"""

import asyncio
import base64
import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import resources
from typing import Any, Protocol, TypeVar

import numpy as np

from nin.artifacts import escape_name
from nin.data.images import Limits, PictureError
from nin.data.machine import usable_cores
from nin.engine.engine import Answers, Engine
from nin.engine.graph import outputs_of
from nin.errors import NinError
from nin.server import metrics, oip
from nin.server.cors import permission, preflight
from nin.server.forms import expect_plain, maps_of, read_picture_body, read_query, top_of, unreadable
from nin.server.hot_models import Served
from nin.server.messages import Bounds, Refused, Request, Response, error, json_body
from nin.server.oip_body import expect_encoding, most_of
from nin.server.openapi import API_VERSION, openapi
from nin.server.routes import Route, find

LOG = logging.getLogger("nin.serve")
ACCESS = logging.getLogger("nin.access")
Headers = tuple[tuple[str, str], ...]
T = TypeVar("T")
TOP, MOST_TOP, MOST_MAPS = 3, 1_000, 20  # classes shown: by default as nin predict, at most, and with their maps
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
class Allowance:
    """What a server allows. queue: requests that wait or are computed at one time; most: pictures of one batch."""

    queue: int = 256
    most: int = 32
    decoders: int = 0  # threads that decode; 0 for as many as there are cores, at most 4
    bounds: Bounds = field(default_factory=Bounds)
    origins: tuple[str, ...] = ()  # whose pages may read the answers; * for all


@dataclass(frozen=True)
class _Match:
    """Where a request goes: its route, its model, and what its query asks."""

    route: Route
    served: Served | None
    query: dict[str, str]


class Server:
    """Answers requests about some models; the first of them where no name is given."""

    def __init__(self, models: Sequence[Served], drawing: Drawing, options: Allowance) -> None:
        self.models = {served.name: served for served in models}
        self.options, self._drawing = options, drawing
        self.metrics = metrics.Metrics()
        self.limits = Limits(options.bounds.body_bytes, PIXELS, JPEG_PIXELS)
        self.ready = False
        self.admitted = 0
        self.connections: Callable[[], int] = lambda: 0
        self._pool = ThreadPoolExecutor(options.decoders or min(4, usable_cores()), thread_name_prefix="nin-decode")
        self._openapi = json_body(200, openapi(tuple(self.models), options.bounds.body_bytes))
        self._docs = docs_page(resources.files("nin.server").joinpath("docs.html").read_text(encoding="utf-8"))
        self._full = error(503, "the queue is full; try again", "queue")

    def start(self) -> None:
        """Begin to answer; needs a running loop."""
        for served in self.models.values():
            served.start(self.options.most, self.metrics)
        self.ready = True

    # What the wire asks

    def look(self, request: Request) -> Response | None:
        """Refuse what the head alone shows to be wrong, and everything that there is no room for."""
        try:
            if allowed := preflight(self.options.origins, request, _methods(find(request.path)[0])):
                return allowed
            request.route = match = self._match(request)
            if match.route.takes == "picture":
                expect_plain(request)
            if match.route.takes == "json":
                request.most = most_of(request, self.options.bounds.body_bytes)
                expect_encoding(request)
        except Refused as refused:
            return refused.response
        return self._full if match.route.queues and self.admitted >= self.options.queue else None

    async def handle(self, request: Request) -> Response:
        """The answer to a complete request that `look` let pass."""
        match: _Match = request.route
        answer = getattr(self, match.route.name)
        try:
            if not match.route.queues:
                return answer(match)  # type: ignore[no-any-return]
            with self._admission():
                return await answer(match, request)  # type: ignore[no-any-return]
        except Refused as refused:
            return refused.response
        except PictureError as picture:
            return error(422, unreadable(request, picture.reason))
        except NinError as failed:
            LOG.error("a picture could not be answered: %s", failed)
            return error(500, "the model gives no usable answer for this picture")

    def added(self, request: Request) -> tuple[tuple[str, str], ...]:
        """What every answer says of the origins that may read it."""
        return permission(self.options.origins, request)

    def answered(self, request: Request, response: Response, seconds: float) -> None:
        """Count an answer, and write a line when that is wanted."""
        route = request.route.route.path if request.route is not None else "none"
        self.metrics.request(route, response.status, seconds, response.reason)
        if ACCESS.isEnabledFor(logging.INFO):
            asked = f"{request.method or '-'} {request.target or '-'}"
            ACCESS.info("%s %d %d bytes %.1f ms", asked, response.status, len(response.body), 1000 * seconds)

    def _match(self, request: Request) -> _Match:
        routes, names = find(request.path)
        if not routes:
            raise Refused(404, "there is nothing at this address; GET /docs shows what there is")
        route = routes.get("GET" if request.method == "HEAD" else request.method)
        if route is None:
            allowed = _methods(routes)
            raise Refused(405, f"this address takes {allowed}", headers=(("Allow", allowed),))
        if route.queues and not request.announced:
            raise Refused(411, "the request says nothing of a body; send a Content-Length")
        query = read_query(request.query) if route.takes == "picture" else {}
        if "model" in query and "model" in names:
            raise Refused(400, "the model is named twice")
        maps_of(query)
        served = self._model(names.get("model", query.get("model")))
        if names.get("version", oip.version_of(served.engine)) != oip.version_of(served.engine):
            raise Refused(404, "the model has no such version; GET /v2/models/NAME shows the one it has")
        return _Match(route, served, query)

    def _model(self, name: str | None) -> Served:
        served = next(iter(self.models.values())) if name is None else self.models.get(name)
        if served is None:
            raise Refused(404, UNKNOWN_MODEL)
        return served

    @contextmanager
    def _admission(self) -> Iterator[None]:
        """A place among the requests that are worked on."""
        if self.admitted >= self.options.queue:
            raise Refused(503, "the queue is full; try again", "queue")
        self.admitted += 1
        try:
            yield
        finally:
            self.admitted -= 1

    async def _aside(self, work: Callable[..., T], *arguments: Any) -> T:
        """Let a thread do it, so that the others are still heard."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(work, *arguments))

    # The simple interface

    async def predict(self, match: _Match, request: Request) -> Response:
        """[{label, score}, ...], likeliest first; with maps=1 each with its class map as PNG."""
        picture, query, served = self._asked(match, request)
        maps = maps_of(query)
        top = top_of(query, TOP, MOST_MAPS, " with maps") if maps else top_of(query, TOP, MOST_TOP)
        engine, pixels, said, answers = await self._see(served, picture)
        probabilities = answers.probabilities[0]
        best = np.argsort(-probabilities, kind="stable")[:top]
        found: list[dict[str, Any]] = [{"label": engine.classes[i], "score": float(probabilities[i])} for i in best]
        if engine.calibration.is_unknown(float(probabilities[best[0]]), answers.distance(0)):
            for entry in found:
                entry["unknown"] = True
        if maps:
            limit = float(np.abs(answers.maps[0, best]).max()) or 1.0
            for entry, index in zip(found, best, strict=True):
                png = await self._aside(self._drawing.overlay, pixels, answers.maps[0, index], limit)
                entry["map"] = base64.b64encode(png).decode("ascii")
        return json_body(200, found, headers=said)

    async def explain(self, match: _Match, request: Request) -> Response:
        """One PNG: the picture, and where the network sees each of its likeliest classes."""
        picture, query, served = self._asked(match, request)
        top = top_of(query, TOP, MOST_MAPS, " with maps")
        if "maps" in query:
            raise Refused(400, "the query has maps; an explanation has them always")
        engine, pixels, said, answers = await self._see(served, picture)
        sheet = await self._aside(self._drawing.sheet, pixels, answers, engine.classes, top)
        return Response(200, sheet, "image/png", said)

    def _asked(self, match: _Match, request: Request) -> tuple[bytes, dict[str, str], Served]:
        """The picture, the query with a form's fields, and the model that is to answer."""
        assert match.served is not None
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
            read = partial(batcher.engine.preprocess.open_picture, limits=self.limits)
            pixels, notes = await self._aside(read, picture)
        said = tuple(("Nin-Note", escape_name(note)) for note in notes)
        return batcher.engine, pixels, said, await batcher.run(pixels[None])

    def list_models(self, _match: _Match) -> Response:
        """Every model with its classes and what it looks at."""
        return json_body(200, [_facts(served) for served in self.models.values()])

    # What describes the server

    def live(self, _match: _Match) -> Response:
        """Whether the process lives."""
        return json_body(200, {"status": "ok"})

    def is_ready(self, _match: _Match) -> Response:
        """Whether requests are welcome: not any more once it is asked to stop."""
        if self.ready:
            return json_body(200, {"status": "ready"})
        return error(503, "the server is stopping")

    def show_metrics(self, _match: _Match) -> Response:
        """Counters for Prometheus."""
        gauges = {
            "nin_queue_depth": ("Requests that wait or are computed.", float(self.admitted)),
            "nin_connections": ("Open connections.", float(self.connections())),
            "nin_ready": ("1 while requests are welcome.", float(self.ready)),
        }
        facts = {
            name: {"sha256": served.engine.digest, "precision": served.engine.precision}
            for name, served in self.models.items()
        }
        return Response(200, self.metrics.text(gauges, facts).encode(), metrics.KIND)

    def show_openapi(self, _match: _Match) -> Response:
        """This interface in OpenAPI 3.1."""
        return self._openapi

    def show_docs(self, _match: _Match) -> Response:
        """The same as a page to read and try, which needs nothing from elsewhere."""
        return self._docs

    def home(self, _match: _Match) -> Response:
        """The way to the page, also behind a proxy that takes a prefix off."""
        return Response(307, b"", "text/plain", (("Location", "docs"),))

    # The Open Inference Protocol

    def oip_server(self, _match: _Match) -> Response:
        """The server's metadata; the version is that of this interface."""
        return json_body(200, {"name": "nin", "version": API_VERSION, "extensions": list(oip.EXTENSIONS)})

    def oip_live(self, _match: _Match) -> Response:
        """Whether the process lives."""
        return json_body(200, {"live": True})

    def oip_ready(self, _match: _Match) -> Response:
        """Whether requests are welcome; the protocol's text names this `live` too."""
        return json_body(200, {"live": True, "ready": True}) if self.ready else error(503, "the server is stopping")

    def oip_model(self, match: _Match) -> Response:
        """The model's metadata."""
        assert match.served is not None
        return json_body(200, match.served.metadata)

    def oip_model_ready(self, match: _Match) -> Response:
        """Whether requests for this model are welcome."""
        assert match.served is not None
        ready = {"name": match.served.name, "ready": True}
        return json_body(200, ready) if self.ready else error(503, "the server is stopping")

    async def oip_infer(self, match: _Match, request: Request) -> Response:
        """Tensors or encoded pictures in, tensors out."""
        served = match.served
        assert served is not None
        batcher = served.current
        with batcher.expecting():
            engine = batcher.engine
            names = outputs_of(engine.calibration)
            asked = await self._aside(oip.read_infer, request, engine.preprocess, self.limits, names)
        answers = await batcher.run(asked.images)
        return await self._aside(oip.reply, served.name, engine, asked, answers)


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
    return Response(200, page.encode(), "text/html; charset=utf-8", (("Content-Security-Policy", policy),))

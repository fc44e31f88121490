"""A real server on a real port, in a thread, over an engine whose every answer can be worked out by hand."""

import asyncio
import http.client
import json
import re
import socket
import threading
import time
from dataclasses import dataclass, field

import numpy as np

from nin.bundle.card import Calibration
from nin.data.preprocess import Preprocess
from nin.engine.engine import Answers
from nin.errors import ModelError
from nin.server.handlers import Capacity, Server
from nin.server.hot_models import Served
from nin.server.messages import ClientLimits
from nin.server.serve import Drawn
from nin.server.wire import Connection, Site

SIZE = 8
CLASSES = ("고양이", "dog", "<b>owl</b>")
QUICK = ClientLimits(idle=0.6, head=0.6, body=0.6, work=5.0, send=0.6, body_bytes=200_000)


def expected(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Maps (3, 2, 2) of a picture (8, 8, 3): means of its quarters, red, green and blue, in tenths; logits; softmax."""
    quarters = pixels.astype(np.float64).reshape(2, 4, 2, 4, 3).mean((1, 3))
    maps = quarters.transpose(2, 0, 1) / 10
    logits = maps.mean((1, 2))
    powers = np.exp(logits - logits.max())
    return maps, logits, powers / powers.sum()


@dataclass
class StandIn:
    """An engine by hand. `slow`: seconds a call; `broken`: pictures whose first value is this make the call fail."""

    name: str = "colours"
    digest: str = "ab" * 32
    slow: float = 0.0
    broken: int = -1
    unknown_below: float = 0.0
    unknown_beyond: float | None = None  # with one, a picture's distance is the mean of its pixels
    precision: str = "float32"
    threads: int = 1
    runtime: str = "onnxruntime"
    classes: tuple[str, ...] = CLASSES
    size: int = SIZE
    batches: list[int] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)  # while it is cleared, nothing is answered

    def __post_init__(self):
        self.gate.set()
        self.preprocess = Preprocess((self.size, self.size), 3, "stretch", (0.5,) * 3, (0.5,) * 3)
        self.calibration = Calibration(unknown_below=self.unknown_below, unknown_beyond=self.unknown_beyond)

    def run(self, images: np.ndarray) -> Answers:
        assert images.dtype == np.uint8 and images.shape[1:] == (self.size, self.size, 3)
        self.batches.append(len(images))
        self.gate.wait(10)
        time.sleep(self.slow)
        if (images[:, 0, 0, 0] == self.broken).any():
            raise ModelError("colours gives numbers that are not finite; train it again or get it again")
        maps, logits, chances = zip(*(expected(picture) for picture in images), strict=True)
        distances = None if self.unknown_beyond is None else images.mean((1, 2, 3)).astype(np.float32)
        return Answers(*(np.stack(part).astype(np.float32) for part in (chances, logits, maps)), distances)


class Live:
    """A server that runs in a thread until the end of a `with`."""

    def __init__(self, *engines: StandIn, opener=None, places=None, **capacity) -> None:
        engines = engines or (StandIn(),)
        capacity.setdefault("limits", QUICK)
        served = [
            Served(engine.name, (places or {}).get(engine.name, "/nowhere"), engine, (), opener) for engine in engines
        ]
        self.engines, self.server = engines, Server(served, Drawn(), Capacity(**capacity))
        self.site = Site(self.server, capacity["limits"])
        self.server.connections = lambda: len(self.site.connections)
        self._begun = threading.Event()

    def __enter__(self) -> "Live":
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        assert self._begun.wait(10)
        for engine in self.engines:
            engine.batches.clear()  # it has been asked once for the size of its maps
        return self

    def __exit__(self, *_) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _run(self) -> None:
        self.loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self.server.start()
        watches = [self.loop.create_task(self.site.watch())]
        watches += [self.loop.create_task(served.watch()) for served in self.server.models.values()]
        listening = await self.loop.create_server(lambda: Connection(self.site), "127.0.0.1", 0, backlog=1024)
        self.port = listening.sockets[0].getsockname()[1]
        self._begun.set()
        await self._stop.wait()
        listening.close()
        for watch in watches:
            watch.cancel()
        for connection in list(self.site.connections):
            connection.abort()
        for served in self.server.models.values():
            await served.current.close()
        await asyncio.sleep(0.01)

    def states(self) -> list[str]:
        return [connection.state for connection in self.site.connections]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)

    def say(self, *pieces: bytes, pause: float = 0.0, end: bool = False) -> bytes:
        """Everything the server answers to these bytes until it closes."""
        with self.connect() as sock:
            for piece in pieces:
                sock.sendall(piece)
                time.sleep(pause)
            if end:
                sock.shutdown(socket.SHUT_WR)
            return drained(sock)

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "image/png", **headers) -> "Reply":
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            sent = {**({} if body is None else {"Content-Type": kind}), **headers}
            connection.request(method, path, body, sent)
            reply = connection.getresponse()
            return Reply(reply.status, dict(reply.getheaders()), reply.read())
        finally:
            connection.close()


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


def drained(sock: socket.socket) -> bytes:
    """Everything until the other side closes."""
    parts = []
    try:
        while part := sock.recv(65536):
            parts.append(part)
    except (ConnectionResetError, TimeoutError):
        pass
    return b"".join(parts)


def post(body: bytes, path: str = "/predict", *more: str, kind: str = "image/png", close: bool = True) -> bytes:
    """A request as bytes."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *more]
    return "\r\n".join([*lines, *(["Connection: close"] if close else []), "", ""]).encode() + body


def statuses(answer: bytes) -> list[int]:
    """The status of every answer in a stream."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]

"""HTTP/1.1 on sockets: every connection has an absolute deadline and a byte budget in every state (torch-free).

llhttp (httptools) reads the bytes, strictly; what is decided here is what to refuse, when to give up and when to close.
States of a connection, each with its own deadline:

    idle   nothing of a request has come                        closed in silence
    head   the first bytes have come, the empty line has not    408
    body   the head is complete, the body is not                408
    work   the request is complete, the answer is not           503
    send   the answer has not been taken by the other side      cut off
    linger the answer is out and ends the connection; what still comes is thrown away, so that it can be read
"""

import asyncio
import logging
import socket
import struct
import time
from collections import deque
from contextlib import suppress
from email.utils import formatdate
from typing import Any, Generic, Literal

import httptools

from nin.server.messages import Application, ClientLimits, M, Received, Response, error, locate, size_in_words

State = Literal["idle", "head", "body", "work", "send", "linger"]
LOG = logging.getLogger("nin.serve")
UNWELL = "something is wrong with this server; its log says what"
SWEEP = 0.25  # seconds between looks at the deadlines
LINGER = 2.0  # seconds in which the other side may read a last answer
LISTS = ("connection", "transfer-encoding", "host")  # whose lines count together, RFC 9110, 5.3; of Host to be refused
DISCARDED = 64 * 2**10  # bytes of body that are read and thrown away to keep a connection whose request is refused


class _Stop(Exception):
    """Ends the reading of a request that is refused."""


class Site(Generic[M]):
    """The connections of one server and what they may take together."""

    def __init__(self, application: Application[M], limits: ClientLimits) -> None:
        self.application = application
        self.limits = limits
        self.connections: dict[Connection[M], None] = {}  # the one that has been in its state longest first
        self.held = 0  # bytes of bodies
        self.draining = False
        self._date: tuple[int, bytes] = (0, b"")

    def date(self) -> bytes:
        """The present second as HTTP writes it."""
        now = int(time.time())
        if now != self._date[0]:
            self._date = now, formatdate(now, usegmt=True).encode()
        return self._date[1]

    def make_room(self) -> None:
        """Close the connection that has kept waiting longest when there are too many; busy ones are left alone."""
        if len(self.connections) > self.limits.connections:
            oldest = next((c for c in self.connections if c.state in ("idle", "head", "body", "linger")), None)
            if oldest is not None:
                oldest.abort()

    async def watch(self) -> None:
        """Enforce the deadlines, for ever."""
        while True:
            await asyncio.sleep(SWEEP)
            now = time.monotonic()
            for connection in [c for c in self.connections if c.deadline <= now]:
                connection.expire()

    def close_silent(self, seconds: float) -> None:
        """Close every connection on which nothing has come for so long, nor is anything under way."""
        now = time.monotonic() + self.limits.idle
        for connection in [c for c in self.connections if c.state == "idle" and now - c.deadline >= seconds]:
            connection.abort()


class Connection(asyncio.Protocol, Generic[M]):
    """One client. Requests of one connection are answered one after the other, in order."""

    transport: asyncio.Transport

    def __init__(self, site: Site[M]) -> None:
        self.site = site
        self.parser: Any = httptools.HttpRequestParser(self)
        self.state: State = "idle"
        self.deadline = 0.0
        self.draft: Received[M] | None = None  # being received
        self.waiting: deque[Received[M]] = deque()  # complete, to be answered
        self.task: asyncio.Task[None] | None = None
        self.last = False  # nothing more is read
        self.ended = False  # the other side has said that nothing more comes
        self._raw = self._chunks = self._held = 0
        self._completed = False  # a request ended in the bytes being parsed

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=0)  # resume_writing then means: all has been taken
        self._enter("idle")
        self.site.make_room()

    def connection_lost(self, _error: Exception | None) -> None:
        self.site.connections.pop(self, None)
        self._release(self._held)
        self.waiting.clear()
        if self.task is not None:
            self.task.cancel()

    def eof_received(self) -> bool:
        if self.state == "linger" or not (self.waiting or self.task):
            return False
        self.last = self.ended = True
        self.draft = None
        return True  # half closed: the answers under way are still sent

    def resume_writing(self) -> None:
        if self.state == "send":
            self._next()

    def pause_writing(self) -> None:
        """Nothing to do: an answer is written at once, and the next one waits for resume_writing."""

    def data_received(self, data: bytes) -> None:
        if self.last or self.state == "linger":
            return
        self._raw += len(data)
        self._completed = False
        if self.state == "idle":
            self._enter("head")
        try:
            self._feed(data)
            self._expect_bounded()
        except _Stop:
            self._broken(None)
        except httptools.HttpParserCallbackError as fault:
            if not isinstance(fault.__context__, _Stop):
                LOG.error("reading a request failed", exc_info=fault)
            self._broken(None)
        except httptools.HttpParserInvalidMethodError:
            self._broken(error(501, "this method is not known"))
        except httptools.HttpParserError:
            self._broken(error(400, "this is not a request in HTTP/1.1"))
        if self.task is None and self.state not in ("send", "linger"):
            self._next()

    def _feed(self, data: bytes) -> None:
        """Parse; an offer of another protocol (Upgrade) is not taken, as RFC 9110, 7.8 allows.

        llhttp takes whatever follows such a head for the other protocol, the body too. So the head is read once more
        without the offer, by a parser that knows nothing of it; every check is made again.
        """
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as stopped:
                if self.draft is None:  # CONNECT, which is answered
                    self.last = True
                    return
                head = self.draft.without_offer()
                self.parser = httptools.HttpRequestParser(self)
                data = head + data[stopped.args[0] :]

    def _expect_bounded(self) -> None:
        """What is not yet a whole head or body has its limit too."""
        limits = self.site.limits
        if self.draft is None:
            return
        if not self.draft.method and self._raw > limits.head_bytes:
            raise self._stop(431, f"the head is longer than {limits.head_bytes:,} bytes")
        if self._raw > limits.head_bytes + self._most() + DISCARDED:
            self._drop(self._too_large())

    def _most(self) -> int:
        return (self.draft and self.draft.most) or self.site.limits.body_bytes

    # What the parser calls

    def on_message_begin(self) -> None:
        if len(self.waiting) >= self.site.limits.pipelined:
            raise self._stop(429, "too many requests were sent before the first was answered")
        if self._completed:
            self._raw = 0
        self._chunks = 0
        self.draft = Received()

    def on_url(self, url: bytes) -> None:
        assert self.draft is not None
        self.draft.target += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.draft is None or self.draft.method:  # a trailer
            return
        if len(self.draft.headers) >= self.site.limits.headers:
            raise self._stop(431, f"there are more than {self.site.limits.headers} headers")
        headers = self.draft.headers
        field = name.decode("latin-1").lower()
        said = value.decode("latin-1")
        headers[field] = f"{headers[field]}, {said}" if field in LISTS and field in headers else said

    def on_headers_complete(self) -> None:
        assert self.draft is not None
        draft = self.draft
        limits = self.site.limits
        draft.method = self.parser.get_method().decode("ascii")
        version = self.parser.get_http_version()
        draft.old = version == "1.0"
        draft.keep = self.parser.should_keep_alive() and draft.method != "CONNECT"
        if self._offers():
            return
        if version not in ("1.0", "1.1"):
            raise self._stop(505, "only HTTP/1.0 and HTTP/1.1 are supported")
        if len(draft.target) + sum(len(n) + len(v) + 4 for n, v in draft.headers.items()) > limits.head_bytes:
            raise self._stop(431, f"the head is longer than {limits.head_bytes:,} bytes")
        if "," in draft.headers.get("host", "," if version == "1.1" else ""):  # RFC 9112, 3.2
            raise self._stop(400, "the request names no host, or more than one")
        if draft.headers.get("transfer-encoding", "chunked").lower() != "chunked":
            raise self._stop(501, "of transfer encodings only chunked is known")
        if draft.old and "transfer-encoding" in draft.headers:
            draft.keep = False  # RFC 9112, 6.1: its framing may have been misread on the way
        if not locate(draft):
            raise self._stop(400, "the address is not readable")
        checked = self.site.application.check(draft)
        draft.match = checked.match
        refusal = checked.refusal
        if (draft.length or 0) > self._most():
            self._drop(self._too_large())
        if refusal is None and self.site.held + (draft.length or 0) > limits.held_bytes:
            refusal = error(503, "too much is being received; try again", "memory")
        if refusal is not None:
            if draft.length is None or draft.length > DISCARDED or "expect" in draft.headers:
                self._drop(refusal)
            draft.refusal = refusal
        elif draft.headers.get("expect", "").lower() == "100-continue" and draft.announced and not draft.old:
            draft.invited = False
        if not self.waiting and self.task is None and self.state != "send":
            self._enter("body")
            self._invite()

    def _offers(self) -> bool:
        """Whether the head being read offers another protocol and will be read again without that."""
        return bool(self.parser.should_upgrade()) and self.parser.get_method() != b"CONNECT"

    def _invite(self) -> None:
        """Say 100 Continue to who waits for it; not before everything asked earlier is answered."""
        if self.draft is not None and not self.draft.invited:
            self.draft.invited = True
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_chunk_header(self) -> None:
        self._chunks += 1
        if self._chunks > self.site.limits.chunks:
            raise self._stop(413, f"the body comes in more than {self.site.limits.chunks:,} parts")

    def on_body(self, data: bytes) -> None:
        draft = self.draft
        if draft is None or draft.refusal is not None:
            return
        if len(draft.body) + len(data) > self._most():
            self._drop(self._too_large())
        self._held += len(data)
        self.site.held += len(data)
        if self.site.held > self.site.limits.held_bytes:
            self._drop(error(503, "too much is being received; try again", "memory"))
        draft.body += data

    def on_message_complete(self) -> None:
        assert self.draft is not None
        if self._offers():
            return
        self.waiting.append(self.draft)
        self.draft = None
        self._raw = 0
        self._completed = True

    # Answers

    def _next(self) -> None:
        """Answer the next complete request, or wait for more of one."""
        if self.waiting:
            self._enter("work")
            request = self.waiting.popleft()
            if request.refusal is not None:  # at once: refusing must cost little
                self._send(request, request.refusal)
            else:
                self.task = asyncio.get_running_loop().create_task(self._answer(request))
        elif self.last:
            self._finish()
        elif self.draft is not None:
            if self.state not in ("head", "body"):
                self._enter("body" if self.draft.method else "head")
            self._invite()
        elif self.state in ("work", "send"):
            self._enter("idle")  # stopping or not: this client has been told that the connection stays

    async def _answer(self, request: Received[M]) -> None:
        try:
            assert request.match is not None  # else `check` had refused it
            response = await self.site.application.handle(request, request.match)
        except Exception:
            LOG.exception("an answer failed")
            response = error(500, UNWELL)
        self.task = None
        self._send(request, response)

    def _send(self, request: Received[M], response: Response) -> None:
        """Write the answer to `request`, whose body is then let go, and go on."""
        self._release(len(request.body))
        if not request.keep:
            self.waiting.clear()
        self.last = self.last or not request.keep or self.site.draining
        close = self.last and not self.waiting
        said = "close" if close else "keep-alive" if request.old else ""
        more = self.site.application.added(request) + response.headers
        head = response.head(more, said, self.site.date())
        self.transport.write(head if request.method == "HEAD" else head + response.body)
        self.site.application.answered(request, request.match, response, time.monotonic() - request.began)
        if self.transport.get_write_buffer_size():
            self._enter("send")
        else:
            self._next()

    def _finish(self) -> None:
        """Say that nothing more comes, and read on for a while: closing at once could destroy the answer on its way."""
        if self.ended or self.transport.is_closing():
            self.transport.close()
            return
        self._enter("linger")
        with suppress(OSError):  # the other side may have gone this very moment
            self.transport.write_eof()

    # Refusals and deadlines

    def _too_large(self) -> Response:
        return error(413, f"the body is larger than {size_in_words(self._most())}")

    def _stop(self, status: int, why: str) -> _Stop:
        """To be raised inside the parser: the request under way is refused and the connection ends with that."""
        request = self.draft or Received()
        request.refusal = error(status, why)
        self.draft = request
        return _Stop()

    def _drop(self, refusal: Response) -> None:
        assert self.draft is not None
        self.draft.refusal = refusal
        raise _Stop

    def _broken(self, refusal: Response | None) -> None:
        """Answer what is complete, then refuse the request under way, then close."""
        request = self.draft or Received()
        request.refusal = refusal or request.refusal or error(500, UNWELL)
        request.keep = False
        self.last = True
        self.draft = None
        self.waiting.append(request)
        if self.task is None and self.state != "send":
            self._next()

    def expire(self) -> None:
        """The deadline of the present state has passed."""
        limits = self.site.limits
        if self.state == "head":
            self._broken(error(408, f"the head did not come within {limits.head:g} s", "slow"))
        elif self.state == "body":
            self._broken(error(408, f"the body did not come within {limits.body:g} s", "slow"))
        elif self.state == "work" and self.task is not None:
            self.task.cancel()
            self.task = None
            self.waiting.clear()
            late: Received[M] = Received(keep=False)
            self._release(self._held)
            self._send(late, error(503, f"there was no answer within {limits.work:g} s", "late"))
        else:
            self.abort()

    def abort(self) -> None:
        """Close without another word; what the other side has not taken is thrown away by the kernel too."""
        if self.state == "send":
            self.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        self.site.connections.pop(self, None)  # connection_lost comes later
        self.transport.abort()

    def _enter(self, state: State) -> None:
        self.state = state
        self.deadline = time.monotonic() + (LINGER if state == "linger" else getattr(self.site.limits, state))
        self.site.connections.pop(self, None)
        self.site.connections[self] = None

    def _release(self, count: int) -> None:
        self._held -= count
        self.site.held -= count

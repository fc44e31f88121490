"""What goes over the wire: requests, answers, and what one client may take (torch-free)."""

import json
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import unquote

M = TypeVar("M")  # what an application finds in the head of a request: where the request goes


@dataclass(frozen=True)
class ClientLimits:
    """What one client, and all together, may take. Seconds and bytes."""

    idle: float = 10.0
    head: float = 10.0
    body: float = 30.0
    work: float = 30.0
    send: float = 30.0
    head_bytes: int = 32 * 2**10
    body_bytes: int = 10 * 2**20
    headers: int = 100
    chunks: int = 16_384  # of one body: tiny ones cost time, not memory
    pipelined: int = 16  # requests sent before the first was answered
    held_bytes: int = 256 * 2**20  # of all bodies that are here at one time
    connections: int = 4_096


@dataclass(eq=False)
class Request:
    """One request; `path` is decoded, `query` is not; `headers` by lower-case name, the last of a name counts."""

    method: str = ""
    target: str = ""
    path: str = ""
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    keep: bool = True  # the connection may be used again
    old: bool = False  # HTTP/1.0: who keeps the connection must say so
    most: int = 0  # bytes that the body may have; 0 for ClientLimits.body_bytes
    began: float = field(default_factory=time.monotonic)

    @property
    def length(self) -> int | None:
        """Bytes of the body as announced; None for a chunked one; 0 where nothing is announced."""
        if "transfer-encoding" in self.headers:
            return None
        return int(self.headers.get("content-length", 0))

    @property
    def announced(self) -> bool:
        """Whether the head says that a body follows, and how its end is found."""
        return "transfer-encoding" in self.headers or "content-length" in self.headers

    def without_offer(self) -> bytes:
        """The head as bytes, without Upgrade. Line ends cannot be in it: llhttp has read every part."""
        lines = [f"{self.method} {self.target} HTTP/{'1.0' if self.old else '1.1'}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items() if name != "upgrade"]
        lines += [] if self.keep else ["connection: close"]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


@dataclass(frozen=True)
class Response:
    """One answer; `reason` names in one word why a request was refused, for the metrics."""

    status: int
    body: bytes
    kind: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    reason: str = ""

    def head(self, more: tuple[tuple[str, str], ...], connection: str, date: bytes) -> bytes:
        """The head as bytes; `more` are headers beside its own, `connection` what the Connection header says, or ""."""
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"Content-Type: {self.kind}", f"Content-Length: {len(self.body)}"]
        lines += [f"{name}: {value}" for name, value in more]
        lines += ["X-Content-Type-Options: nosniff", "Cache-Control: no-store"]
        lines += [f"Connection: {connection}"] if connection else []
        return b"".join(("\r\n".join(lines).encode("latin-1"), b"\r\nDate: ", date, b"\r\n\r\n"))


@dataclass(frozen=True)
class Checked(Generic[M]):
    """What an application says of a head. match: None where it leads nowhere; refusal: None to go on with the body."""

    match: M | None
    refusal: Response | None = None


@dataclass(eq=False)
class Received(Request, Generic[M]):
    """A request as its connection keeps it, with what the application says of its head."""

    match: M | None = None
    refusal: Response | None = None  # decided from the head; the body is not kept
    invited: bool = True  # nobody waits for 100 Continue before the body


class Refused(Exception):
    """A request that gets an answer of 400 and more; `why` is said to the client, in one line."""

    def __init__(self, status: int, why: str, reason: str = "", headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(why)
        self.response = error(status, why, reason, headers)


def size_in_words(count: int) -> str:
    """10485760 -> "10 MB", as --max-body counts megabytes; a size that is not whole megabytes in bytes."""
    return f"{count // 2**20:,} MB" if count % 2**20 == 0 else f"{count:,} bytes"


def json_body(status: int, value: object, **more: Any) -> Response:
    """An answer in JSON; ValueError for a number that is not finite, which JSON does not have."""
    body = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(", ", ": "))
    return Response(status, body.encode("utf-8", "backslashreplace"), **more)


def error(status: int, why: str, reason: str = "", headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """{"error": why}; whoever is refused for want of room is told when to try again."""
    again = (("Retry-After", "1"),) if status in (429, 503) else ()
    return json_body(status, {"error": why}, reason=reason, headers=(*again, *headers))


class Application(Protocol[M]):
    """What answers requests."""

    def check(self, request: Request) -> Checked[M]:
        """Where a request goes, and a refusal that needs the head only, before any byte of the body is taken."""

    async def handle(self, request: Request, match: M) -> Response:
        """The answer to a complete request that `check` let pass."""

    def added(self, request: Request) -> tuple[tuple[str, str], ...]:
        """Headers that every answer to this request gets, refusals too."""

    def answered(self, request: Request, match: M | None, response: Response, seconds: float) -> None:
        """Told once for every answer; `seconds` since the first byte of the request."""


def locate(request: Request) -> bool:
    """Fill in path and query from the target; False when there is none in it that can be read."""
    target = request.target
    if not target.startswith("/"):
        _, scheme, rest = target.partition("://")
        if not scheme and target != "*":
            return request.method == "CONNECT"
        target = "/" + rest.partition("/")[2]
    target = target.partition("#")[0]
    path, _, request.query = target.partition("?")
    try:
        request.path = unquote(path, errors="strict")
    except UnicodeDecodeError:
        return False
    return True

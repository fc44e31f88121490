"""The server behind `nin explore`: it gives files held in memory to this machine, and knows when its page is closed.

Only requests that name this machine are answered (a page of another origin cannot make a name of its own point here),
nothing is listed, and nothing on the disk can be reached. (torch-free)
"""

import re
import secrets
import sys
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from nin.explorer.built_page import FOLDER_POLICY
from nin.explorer.site import SITE

HOST = "127.0.0.1"
HERE = re.compile(r"(127\.0\.0\.1|localhost)(:[0-9]{1,5})?", re.IGNORECASE)  # what requests to be answered name
LINGER = 2.0  # seconds after the last page was closed in which one may come back: it is being loaded again
LOADING = 30.0  # seconds in which a page that was asked for may take to say that it is open
GOODBYE = "goodbye/"
LONGEST_GOODBYE = 4096  # bytes of its body, which nobody reads
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".png": "image/png",
    ".jpg": "image/jpeg",
}
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": f"{FOLDER_POLICY}; frame-ancestors 'none'",
}


class OpenPages:
    """The pages that are open, each known by a token; `wait` ends once all of them were closed."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._changed = threading.Condition()
        self._open: set[str] = set()
        self._loading = False
        self._until: float | None = None  # when it is over, unless something happens before

    def load(self) -> None:
        """The page was asked for; a browser asks before it closes the one that it replaces."""
        with self._changed:
            self._loading = True
            if self._until is not None:
                self._set(LOADING)

    def open(self) -> str:
        """A page is open: the token with which it will say goodbye."""
        token = secrets.token_urlsafe(16)
        with self._changed:
            self._open.add(token)
            self._loading = False
            self._set(None)
        return token

    def close(self, token: str) -> bool:
        """A page was closed; False for a token that none has."""
        with self._changed:
            if token not in self._open:
                return False
            self._open.remove(token)
            if not self._open:
                self._set(LOADING if self._loading else LINGER)
        return True

    def wait(self) -> None:
        """Until the last page was closed and none has come back."""
        with self._changed:
            while self._until is None or self._until > self._now():
                self._changed.wait(None if self._until is None else self._until - self._now())

    def _set(self, seconds: float | None) -> None:
        self._until = None if seconds is None else self._now() + seconds
        self._changed.notify_all()


class PageServer(ThreadingHTTPServer):
    """Answers with `files` by path, and with page.json as `site` makes it for the address of a goodbye.

    Raises OSError where the port cannot be listened at; 0 takes a free one.
    """

    daemon_threads = True  # a connection that a browser keeps does not keep the program

    def __init__(self, port: int, files: Mapping[str, bytes], site: Callable[[str | None], bytes]) -> None:
        self.files = files
        self.site = site
        self.pages = OpenPages()
        super().__init__((HOST, port), _Handler)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that has gone is no error; anything else is shown as it always is."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds without a byte after which a connection is closed

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        """The one thing that a page may tell: it was closed."""
        self.close_connection = True
        length = self.headers.get("Content-Length", "0")
        if length.isascii() and length.isdigit() and int(length) <= LONGEST_GOODBYE:
            self.rfile.read(int(length))
        path = self._path()
        if path is not None:
            known = path.startswith(GOODBYE) and self.server.pages.close(path.removeprefix(GOODBYE))
            self._reply(204 if known else 404)

    def _answer(self) -> None:
        path = self._path()
        if path is None:
            return
        if path == SITE:
            goodbye = f"/{GOODBYE}{self.server.pages.open()}" if self.command == "GET" else None
            self._reply(200, self.server.site(goodbye), KINDS[".json"])
            return
        path = path or "index.html"
        if path == "index.html" and self.command == "GET":
            self.server.pages.load()
        data = self.server.files.get(path)
        if data is None:
            self._reply(404)
        else:
            self._reply(200, data, KINDS.get(PurePosixPath(path).suffix, "application/octet-stream"))

    def _path(self) -> str | None:
        """The path that is asked for, without its first slash; None, once it was refused, where it is not for us."""
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or not HERE.fullmatch(hosts[0]):
            self.close_connection = True
            self._reply(421)  # misdirected request
            return None
        if not self.path.startswith("/"):
            return self.path  # of a proxy or for the whole server: no file has such a name
        return unquote(self.path.partition("?")[0].partition("#")[0]).removeprefix("/")

    def _reply(self, status: int, body: bytes = b"", kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        return "nin"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the command line has more to say than this."""

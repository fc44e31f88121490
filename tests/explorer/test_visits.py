"""The server of the page: what it answers and what it refuses, over real sockets; when it thinks that all is over."""

import http.client
import socket
import threading
import time
from contextlib import contextmanager

import pytest

from nin.explorer.visits import LINGER, LOADING, OpenPages, PageServer

FILES = {
    "index.html": "<p>두".encode(),
    "models/한글/config.json": b"{}",
    "models/a/model.safetensors": bytes(range(256)) * 4000,
}


@contextmanager
def answering(files=FILES):
    with PageServer(0, files, lambda goodbye: f"site {goodbye}".encode()) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(10)


def ask(server, path, method="GET", **headers):
    """Status, headers and body of one request; a header None is left out."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        connection.putrequest(method, path, skip_host=True)
        for name, value in {"Host": f"127.0.0.1:{server.server_port}", **headers}.items():
            if value is not None:
                connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()
    finally:
        connection.close()


def test_files_come_as_they_are_with_their_kind():
    with answering() as server:
        status, headers, body = ask(server, "/")
        assert (status, body) == (200, FILES["index.html"])
        assert headers["Content-Type"] == "text/html; charset=utf-8" and headers["Server"] == "nin"
        assert headers["Cache-Control"] == "no-store" and headers["X-Content-Type-Options"] == "nosniff"
        policy = headers["Content-Security-Policy"].split("; ")
        assert {"default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'"} <= set(policy)
        assert ask(server, "/index.html?x=1")[2] == FILES["index.html"]
        status, headers, body = ask(server, "/models/%ED%95%9C%EA%B8%80/config.json")
        assert (status, headers["Content-Type"], body) == (200, "application/json", b"{}")
        status, headers, body = ask(server, "/models/a/model.safetensors")
        assert (status, headers["Content-Type"], body) == (
            200, "application/octet-stream", FILES["models/a/model.safetensors"]
        )  # fmt: skip
        status, headers, body = ask(server, "/models/a/model.safetensors", "HEAD")
        assert (status, headers["Content-Length"], body) == (200, "1024000", b"")


@pytest.mark.parametrize(
    "path",
    ["/models", "/models/", "/models/a", "/../etc/passwd", "/%2e%2e/etc/passwd", "//etc/passwd", "/etc/passwd",
     "/goodbye/", "/favicon.ico", "http://127.0.0.1/index.html", "*", "/%00", "/%ff%fe"],
)  # fmt: skip
def test_what_is_not_there_is_not_there(path):
    with answering() as server:
        status, headers, body = ask(server, path)
        assert (status, body, headers["Content-Length"]) == (404, b"", "0")
        assert ask(server, path, "POST")[0] == 404


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1", 200), ("localhost", 200), ("LOCALHOST:80", 200), ("localhost:5000", 200), ("evil.example", 421),
     ("127.0.0.1.evil.example", 421), ("evil.example:127", 421), ("127.0.0.1@evil.example", 421), ("", 421),
     (None, 421), ("[::1]:80", 421), ("[", 421), ("localhost\u00e9", 421), ("192.168.0.1", 421)],
)  # fmt: skip
def test_only_requests_that_name_this_machine_are_answered(host, status):
    """A page of another origin can make a name of its own point here; its requests then bear that name."""
    with answering() as server:
        assert ask(server, "/", Host=host)[0] == status
        assert ask(server, "/page.json", Host=host)[0] == status
        token = server.pages.open()
        assert ask(server, f"/goodbye/{token}", "POST", Host=host)[0] == (204 if status == 200 else 421)


def test_two_names_of_a_host_are_refused():
    with answering() as server, socket.create_connection(("127.0.0.1", server.server_port), 10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 421 ")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"])
def test_other_methods_are_none(method):
    with answering() as server:
        assert ask(server, "/", method)[0] == 501


def test_every_page_has_a_goodbye_of_its_own_that_counts_once():
    with answering() as server:
        addresses = [ask(server, "/page.json")[2].decode().removeprefix("site ") for _ in range(3)]
        assert len(set(addresses)) == 3 and all(address.startswith("/goodbye/") for address in addresses)
        assert ask(server, "/page.json", "HEAD")[0] == 200  # no page
        assert ask(server, addresses[0])[0] == 404
        assert ask(server, f"{addresses[0]}x", "POST")[0] == 404
        assert ask(server, addresses[0], "POST", Content_Length="0")[0] == 204
        assert ask(server, addresses[0], "POST")[0] == 404
        begun = time.monotonic()
        ended = threading.Thread(target=server.pages.wait)
        ended.start()
        assert ask(server, addresses[1], "POST")[0] == ask(server, addresses[2], "POST")[0] == 204
        ended.join(LINGER + 5)
        assert not ended.is_alive() and time.monotonic() - begun >= LINGER - 0.05


def test_a_goodbye_with_a_body_as_browsers_send_it():
    with answering() as server:
        token = server.pages.open()
        with socket.create_connection(("127.0.0.1", server.server_port), 10) as connection:
            head = f"POST /goodbye/{token} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n"
            connection.sendall(head.encode() + b"gone")
            assert connection.recv(100).startswith(b"HTTP/1.1 204 ")


def test_a_browser_that_goes_in_the_middle_is_no_error(capfd):
    with answering({"index.html": bytes(50_000_000)}) as server:
        connection = socket.create_connection(("127.0.0.1", server.server_port), 10)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.recv(10)
        connection.close()
        time.sleep(0.3)
        assert ask(server, "/nothing")[0] == 404
    assert capfd.readouterr() == ("", "")


class Clock:
    """Time that passes when it is told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def over(pages: OpenPages) -> bool:
    """Whether `wait` ends at once."""
    waiting = threading.Thread(target=pages.wait, daemon=True)
    waiting.start()
    waiting.join(0.3)
    return not waiting.is_alive()


def test_it_is_over_when_the_last_page_was_closed_and_none_came_back():
    clock = Clock()
    pages = OpenPages(clock)
    clock.now += 1e6
    assert not over(pages)  # nobody has come yet
    pages.load()
    first, second = pages.open(), pages.open()
    assert pages.close(first) and not pages.close(first) and not pages.close("")
    clock.now += 1e6
    assert not over(pages)
    assert pages.close(second)
    clock.now += LINGER - 0.01
    assert not over(pages)
    clock.now += 0.02
    assert over(pages)


def test_a_page_that_is_loaded_again_does_not_end_it():
    """A browser asks for the new page before it closes the old one."""
    clock = Clock()
    pages = OpenPages(clock)
    pages.load()
    token = pages.open()
    pages.load()
    assert pages.close(token)
    clock.now += LOADING - 0.01
    assert not over(pages)  # a slow machine may take so long to load it
    token = pages.open()
    clock.now += 1e6
    assert not over(pages)
    assert pages.close(token)
    pages.load()  # or after: then it comes while it is waited for
    clock.now += LOADING - 0.01
    assert not over(pages)
    clock.now += 0.02
    assert over(pages)  # it was asked for and never shown

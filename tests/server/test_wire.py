"""Raw sockets against the server: framing, limits and deadlines of every state, judged by what comes back and when."""

import socket
import struct
import threading
import time
from dataclasses import replace

import pytest

from live_server import QUICK, Live, StandIn, drained, post, statuses
from nin.server.handlers import Match
from nin.server.messages import Request, Response
from nin.server.wire import LINGER, SWEEP

LATE = SWEEP + LINGER + 0.5  # seconds after a deadline in which a connection must be gone
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
# as Java's HttpClient and curl --http2 offer it
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
UPGRADE = b"GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"


def chunked(*chunks: bytes) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"
    return HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + body


def test_a_connection_is_used_again_and_pipelined_requests_are_answered_in_order(live, pictures):
    both = post(pictures[0][1], "/predict?top=1", close=False) + GET + post(pictures[1][1], "/predict?top=2") + GET
    answer = live.say(both)
    assert statuses(answer) == [200, 200, 200]  # what follows "Connection: close" is not a request any more
    first, health, second = answer.split(b"HTTP/1.1 200")[1:]
    assert (first.count(b"label"), health.count(b"status"), second.count(b"label")) == (1, 1, 2)
    assert b"Connection: close" in second and b"Connection: close" not in first


def test_bytes_may_come_one_by_one_and_chunked(live, pictures):
    _, png = pictures[0]
    whole = live.say(post(png))
    with live.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for value in post(png):
            sock.sendall(bytes((value,)))
        assert drained(sock).partition(b"\r\n\r\n")[2] == whole.partition(b"\r\n\r\n")[2]
    for answer in (live.say(chunked(png)), live.say(chunked(png[:9], png[9:100], png[100:]))):
        assert answer.partition(b"\r\n\r\n")[2] == whole.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("piece", [1, 7, 100_000])
def test_an_offer_of_another_protocol_is_not_taken_and_the_connection_stays(framing, piece, live, pictures):
    """RFC 9110, 7.8: a server may ignore Upgrade; the body is one of HTTP/1.1 then, and more may follow."""
    _, png = pictures[0]
    plain = live.say(post(png)).partition(b"\r\n\r\n")[2]
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(png), png) if framing == "chunks" else png
    frame = b"Transfer-Encoding: chunked\r\n" if framing == "chunks" else b"Content-Length: %d\r\n" % len(png)
    sent = HEAD + H2C + frame + b"\r\n" + body + UPGRADE + b"\r\n" + HEAD + H2C + frame + b"\r\n" + body + LAST
    with live.connect() as sock:
        for start in range(0, len(sent), piece):
            sock.sendall(sent[start : start + piece])
        answers = drained(sock).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200"] * 4
    assert [answer.partition(b"\r\n\r\n")[2] for answer in answers] == [plain, b'{"status": "ok"}'] * 2
    assert [b"Connection: close" in answer for answer in answers] == [False, False, False, True]


def test_an_offer_with_close_is_the_last_request(live):
    two_lines = UPGRADE + b"Connection: close\r\n\r\n" + GET
    assert statuses(live.say(two_lines)) == [200]


def test_http_1_0_is_told_whether_its_connection_stays(live, pictures):
    """Who speaks HTTP/1.0 waits for the end of the connection unless it hears keep-alive (RFC 9112, 9.3; `ab -k`)."""
    kept = b"GET /healthz HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"
    answers = live.say(kept, kept, b"GET /nothing HTTP/1.0\r\n\r\n").split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200", b"200", b"404"]
    assert [b"Connection: keep-alive" in answer for answer in answers] == [True, True, False]
    assert [b"Connection: close" in answer for answer in answers] == [False, False, True]
    assert b"Connection" not in live.say(GET, end=True)
    _, png = pictures[0]
    old = post(png, "/predict", "Connection: keep-alive", close=False).replace(b"HTTP/1.1", b"HTTP/1.0")
    both = live.say(old, old, end=True)
    assert (statuses(both), both.count(b"Connection: keep-alive"), both.count(b"Connection: close")) == (
        [200, 200],
        1,
        1,
    )
    unsure = chunked(png).replace(b"HTTP/1.1", b"HTTP/1.0").replace(b": close", b": keep-alive")
    answer = live.say(unsure + kept)
    assert statuses(answer) == [200] and b"Connection: close" in answer


def test_http_1_0_and_an_absolute_address_are_understood(live):
    assert statuses(live.say(b"GET /healthz HTTP/1.0\r\n\r\n")) == [200]
    assert statuses(live.say(b"GET http://x/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")) == [200]
    assert statuses(live.say(b"GET /%68ealthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")) == [200]


def test_head_has_the_head_of_get_and_no_body(live):
    get, head = (live.say(LAST.replace(b"GET", method)) for method in (b"GET", b"HEAD"))
    assert head == get.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def test_expect_100_continue_is_answered_before_the_body_and_only_when_it_is_wanted(live, pictures):
    _, png = pictures[0]
    with live.connect() as sock:
        sock.sendall(post(b"", "/predict", "Expect: 100-continue").replace(b"Length: 0", b"Length: %d" % len(png)))
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(png)
        assert statuses(drained(sock)) == [200]
    with live.connect() as sock:  # never before the answer to what was asked earlier
        later = post(b"", "/predict", "Expect: 100-continue").replace(b"Length: 0", b"Length: %d" % len(png))
        sock.sendall(post(png, close=False) + later)
        head = b""
        while b"100 Continue" not in head:
            head += sock.recv(100)
        assert statuses(head) == [200, 100] and b'"label"' in head
        sock.sendall(png)
        assert statuses(drained(sock)) == [200]
    old = later.replace(b"HTTP/1.1", b"HTTP/1.0") + png
    assert statuses(live.say(old)) == [200]
    refused = post(b"", "/nothing", "Expect: 100-continue").replace(b"Length: 0", b"Length: 9")
    assert statuses(live.say(refused)) == [404]


MALFORMED = {
    "not http": (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", 501),
    "no version": (b"GET /healthz\r\n\r\n", 505),
    "http/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "unknown method": (b"BREW /predict HTTP/1.1\r\nHost: x\r\n\r\n", 501),
    "no host": (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    "a host twice": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nhost: x\r\n\r\n", 400),
    "two hosts in 1.0": (b"GET /healthz HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    "upgrade, two hosts": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n" + H2C + b"\r\n", 400),
    "bare line feeds": (b"GET /healthz HTTP/1.1\nHost: x\n\n", 400),
    "folded header": (b"GET /healthz HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
    "space before colon": (b"GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    "bytes in the address": (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "broken utf-8": (b"GET /%ff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "length and chunks": (HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunks and length": (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
    "two lengths": (HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    "signed length": (HEAD + b"Content-Length: +3\r\n\r\nabc", 400),
    "negative length": (HEAD + b"Content-Length: -3\r\n\r\nabc", 400),
    "huge length": (HEAD + b"Content-Length: 99999999999999999999999999\r\n\r\n", 400),
    "long length": (HEAD + b"Content-Length: 9999999999\r\n\r\n", 413),
    "gzip, chunked": (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "identity": (HEAD + b"Transfer-Encoding: identity\r\n\r\n", 501),
    "bad chunk size": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
    "chunk overflow": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400),
    "line feed in chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\na\n0\n\n", 400),
    "upgrade, other bytes": (UPGRADE + b"\r\n\x81\x05hello", 501),
    "upgrade, two lengths": (HEAD + H2C + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    "upgrade, length and chunks": (
        HEAD + H2C + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "upgrade, gzip": (HEAD + H2C + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "upgrade, no host": (b"GET /healthz HTTP/1.1\r\n" + H2C + b"\r\n", 400),
    "upgrade, long length": (HEAD + H2C + b"Content-Length: 9999999999\r\n\r\n", 413),
    "gzip and chunked in two lines": (
        HEAD + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    "connect": (b"CONNECT example.org:80 HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "long head": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", 431),
    "endless head": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 40_000, 431),
    "long address": (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
    "many headers": (b"GET /healthz HTTP/1.1\r\n" + b"".join(b"X%d: 1\r\n" % i for i in range(120)) + b"\r\n", 431),
    "many pipelined": (GET * 40, 429),
    "tiny chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 20_000, 413),
    "long extensions": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + (b"1;" + b"x" * 9000 + b"\r\na\r\n") * 40,
        413,
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_malformed_is_refused_in_one_line_and_the_connection_ends(name, live):
    request, status = MALFORMED[name]
    answer = live.say(request)
    assert statuses(answer)[-1] == status
    assert len(answer) < 20_000
    if status >= 400:
        assert answer.count(b'{"error": "') == 1 and answer.endswith(b'"}')
        assert b"Connection: close" in answer
    for secret in (b"Traceback", b".py", b"/nin", b"python", b"httptools", b"llhttp"):
        assert secret not in answer.lower() or secret == b"/nin"


@pytest.mark.parametrize("framing", ["length", "chunks", "expect"])
def test_a_body_over_the_limit_is_refused_early_and_nothing_of_it_is_kept(framing, live):
    limit, sent = QUICK.body_bytes, 0
    frame = {"length": b"Content-Length: 300000000\r\n\r\n", "chunks": b"Transfer-Encoding: chunked\r\n\r\n"}
    with live.connect() as sock:
        sock.sendall(HEAD + frame.get(framing, b"Expect: 100-continue\r\nContent-Length: 300000000\r\n\r\n"))
        sock.settimeout(0.002)
        answer = b""
        while b"\r\n\r\n" not in answer and sent < 10 * limit:
            part = b"%x\r\n%b\r\n" % (4096, bytes(4096)) if framing == "chunks" else bytes(4096)
            try:
                sock.sendall(part)
                sent += len(part)
                answer += sock.recv(4096)
            except TimeoutError:
                pass
        assert statuses(answer) == [413]
        assert sent <= limit + 64 * 2**10
    time.sleep(0.1)
    assert live.site.held == 0


SLOW = {
    "silent": ([], 0, b"", []),
    "head": ([HEAD], 0.1, b"X", [408]),
    "body": ([HEAD + b"Content-Length: 1000\r\n\r\n"], 0.1, b"x", [408]),
    "chunks": ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n"], 0.1, b"1\r\nx\r\n", [408]),
    "kept alive": ([GET], 0, b"", [200]),
}


@pytest.mark.parametrize("kind", SLOW)
def test_a_slow_client_is_closed_by_its_deadline_whatever_it_sends(kind, live):
    first, pause, trickle, expected = SLOW[kind]
    start, answer = time.monotonic(), b""
    with live.connect() as sock:
        for piece in first:
            sock.sendall(piece)
        sock.settimeout(pause or 5)
        while time.monotonic() - start < QUICK.head + LATE:
            try:
                if trickle:
                    sock.sendall(trickle)
                part = sock.recv(4096)
                answer += part
                if not part:
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            pytest.fail("still connected")
    assert statuses(answer) == expected
    assert QUICK.head * 0.9 <= time.monotonic() - start <= QUICK.head + LATE


def test_a_client_that_does_not_take_its_answer_is_cut_off(pictures):
    """Megabytes of answers that nobody reads fill the kernel's buffers; then the deadline of sending counts."""
    limits = replace(QUICK, pipelined=1000, idle=20, head=20)
    with Live(limits=limits) as live, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", live.port))
        sock.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 500)
        time.sleep(0.2)
        start = time.monotonic()
        while live.site.connections and time.monotonic() - start < 10:
            time.sleep(0.05)
        assert not live.site.connections
        assert time.monotonic() - start < QUICK.send + LATE
        with pytest.raises(ConnectionResetError):  # and not the rest of what the kernel held
            while sock.recv(65536):
                pass


def test_a_client_told_to_stay_is_answered_once_more_though_stopping_has_begun(monkeypatch):
    """Stopping begins while a long answer, whose head says nothing of an end, is still being taken."""
    size = 64 * 2**20

    async def long_answer(_request: Request, _match: Match) -> Response:
        return Response(200, bytes(size), "text/plain")

    with Live(limits=replace(QUICK, send=20)) as live, live.connect() as sock, sock.makefile("rb") as answers:
        with monkeypatch.context() as patch:
            patch.setattr(live.server, "handle", long_answer)
            sock.sendall(GET)
            head = b"".join(iter(answers.readline, b"\r\n"))
            start = time.monotonic()
            while live.states() != ["send"] and time.monotonic() - start < 10:
                time.sleep(0.01)
            assert live.states() == ["send"]
        live.site.draining = True
        assert statuses(head) == [200] and b"Connection" not in head
        assert len(answers.read(size)) == size
        sock.sendall(GET)
        last = answers.read()
        assert statuses(last) == [200] and b"Connection: close" in last


def test_a_half_closed_client_gets_its_answer_and_half_a_request_gets_none(live, pictures):
    assert statuses(live.say(post(pictures[0][1], close=False), end=True)) == [200]
    start = time.monotonic()
    assert live.say(post(pictures[0][1])[:-10], end=True) == b""
    assert live.say(b"GET /hea", end=True) == b""
    assert live.say(end=True) == b""
    assert time.monotonic() - start < QUICK.head


def test_aborted_uploads_leave_nothing(live, pictures):
    whole = post(pictures[0][1])
    threads = threading.active_count()
    for index in range(300):
        sock = live.connect()
        sock.sendall(whole[: 1 + index * len(whole) // 300])
        if index % 3:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset instead of an end
        sock.close()
    deadline = time.monotonic() + 5
    while (live.site.connections or live.server.admitted or live.site.held) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (dict(live.site.connections), live.server.admitted, live.site.held) == ({}, 0, 0)
    assert threading.active_count() <= threads + 4
    assert live.ask("POST", "/predict", pictures[0][1]).status == 200


def test_bodies_of_all_connections_together_have_a_limit(pictures):
    limits = replace(QUICK, body=5, held_bytes=300_000)
    with Live(limits=limits) as live:
        held = []
        for _ in range(2):
            sock = live.connect()
            sock.sendall(HEAD + b"Content-Length: 150000\r\n\r\n" + bytes(140_000))
            held.append(sock)
        time.sleep(0.2)
        reply = live.ask("POST", "/predict", bytes(100_000))
        assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
        for sock in held:
            sock.close()
        time.sleep(0.2)
        assert live.site.held == 0
        assert live.ask("POST", "/predict", pictures[0][1]).status == 200


def test_too_many_connections_cost_those_that_wait_longest_and_never_a_busy_one(pictures):
    limits = replace(QUICK, idle=20, connections=10)
    with Live(engine := StandIn(), limits=limits) as live:
        engine.gate.clear()
        busy = live.connect()
        busy.sendall(post(pictures[0][1]))
        time.sleep(0.2)
        silent = [live.connect() for _ in range(30)]
        time.sleep(0.3)
        assert len(live.site.connections) <= 10
        assert live.ask("GET", "/healthz").status == 200
        engine.gate.set()
        assert statuses(drained(busy)) == [200]
        assert [drained(sock) for sock in silent[:15]] == [b""] * 15
        for sock in (busy, *silent):
            sock.close()


def test_an_answer_that_takes_too_long_is_given_up(pictures):
    with Live(engine := StandIn(), limits=replace(QUICK, work=0.5)) as live:
        engine.gate.clear()
        start = time.monotonic()
        answer = live.say(post(pictures[0][1]))
        engine.gate.set()
        assert statuses(answer) == [503]
        assert time.monotonic() - start < 0.5 + LATE
        assert live.ask("POST", "/predict", pictures[0][1]).status == 200
        assert live.server.admitted == 0

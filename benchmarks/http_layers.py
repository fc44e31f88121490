"""Which HTTP layer holds: requests a second with a small picture as body, and slow clients of five kinds closed.

    python benchmarks/http_layers.py [--seconds 3] [--clients 32] [NAME ...]

Every layer runs in a process of its own with a handler that reads the body and answers 40 bytes of JSON; where it has
settings for time limits they are set to LIMIT. A layer that is not installed is left out. The client is one process.
"""

import argparse
import asyncio
import importlib.util
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

LIMIT = 2  # seconds that a server is told to wait
PATIENCE = 6.0  # seconds after which a client that is still connected counts as not closed
EACH = 20  # slow clients of every kind
BODY = bytes(range(256)) * 4  # as large as a picture of 32 x 32 in JPEG
ANSWER = b'[{"label": "cat", "score": 0.98}]       '
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 1024\r\n"
KINDS = ("silent", "head", "body", "reader", "half-closed")


async def asgi(scope, receive, send):
    """The handler, for the servers that speak ASGI; /large answers 32 MB."""
    if scope["type"] != "http":
        return
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
    body = bytes(2**25) if scope["path"] == "/large" else ANSWER
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def serve_uvicorn(port: int) -> None:
    import uvicorn

    uvicorn.run(asgi, port=port, log_level="error", access_log=False, timeout_keep_alive=LIMIT, http="httptools",
                loop="asyncio", lifespan="off")  # fmt: skip


def serve_hypercorn(port: int) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind, config.keep_alive_timeout, config.read_timeout = [f"127.0.0.1:{port}"], LIMIT, LIMIT
    asyncio.run(serve(asgi, config))


def serve_granian(port: int) -> None:
    from granian import Granian
    from granian.http import HTTP1Settings

    settings = HTTP1Settings(header_read_timeout=LIMIT * 1000)
    Granian(f"{__name__}:asgi" if __name__ != "__main__" else "http_layers:asgi", address="127.0.0.1", port=port,
            interface="asginl", log_enabled=False, http1_settings=settings).serve()  # fmt: skip


def serve_aiohttp(port: int) -> None:
    from aiohttp import web

    async def handle(request):
        await request.read()
        return web.Response(body=bytes(2**25) if request.path == "/large" else ANSWER)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    web.run_app(application, host="127.0.0.1", port=port, access_log=None, print=None, keepalive_timeout=LIMIT)


def serve_own(port: int) -> None:
    from nin.server.messages import Checked, ClientLimits, Response
    from nin.server.wire import Connection, Site

    class Trivial:
        def check(self, request):
            return Checked(request)

        async def handle(self, request, _match):
            return Response(200, bytes(2**25) if request.path == "/large" else ANSWER)

        def added(self, _request):
            return ()

        def answered(self, request, match, response, seconds):
            pass

    async def run():
        site = Site(Trivial(), ClientLimits(idle=LIMIT, head=LIMIT, body=LIMIT, send=LIMIT))
        await asyncio.get_running_loop().create_server(lambda: Connection(site), "127.0.0.1", port, backlog=1024)
        await site.watch()

    asyncio.run(run())


LAYERS = {"uvicorn": serve_uvicorn, "hypercorn": serve_hypercorn, "granian": serve_granian, "aiohttp": serve_aiohttp}
LAYERS["own"] = serve_own  # nin.server.wire: asyncio and httptools


async def connect(port: int):
    return await asyncio.open_connection("127.0.0.1", port)


async def busy(port: int, until: float) -> int:
    """One client that asks again as soon as it is answered; how often it was."""
    reader, writer = await connect(port)
    done = 0
    while time.monotonic() < until:
        writer.write(HEAD + b"\r\n" + BODY)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        done += 1
    writer.close()
    return done


async def slow(port: int, kind: str) -> float | None:
    """Seconds until the server closed on a slow client of this kind; None when it did not within PATIENCE."""
    reader, writer = await connect(port)
    start = time.monotonic()
    if kind == "half-closed":
        writer.write(HEAD + b"\r\n" + BODY[:10])
        writer.write_eof()
    if kind == "body":
        writer.write(HEAD + b"\r\n")
    if kind == "reader":
        writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    while time.monotonic() - start < PATIENCE:
        trickle = {"head": b"x" if time.monotonic() - start > 0.2 else HEAD, "body": b"x"}.get(kind, b"")
        if writer.transport.is_closing() or (kind != "reader" and reader.at_eof()):
            writer.transport.abort()
            return time.monotonic() - start
        if trickle:
            writer.write(trickle)
        if kind == "reader":
            await asyncio.sleep(0.3)  # takes nothing but what its buffer holds
            with suppress(OSError):
                sent = writer.get_extra_info("socket")
                states = subprocess.run(["ss", "-tnH", f"sport = :{sent.getsockname()[1]}"], capture_output=True)
                if states.returncode == 0 and b"ESTAB" not in states.stdout:
                    writer.transport.abort()
                    return time.monotonic() - start
            continue
        with suppress(TimeoutError, OSError):
            await asyncio.wait_for(reader.read(65536), 0.2)
    writer.transport.abort()
    return None


async def measure(port: int, seconds: float, clients: int) -> dict:
    until = time.monotonic() + seconds
    done = sum(await asyncio.gather(*(busy(port, until) for _ in range(clients))))
    closed = {}
    for kind in KINDS:
        times = await asyncio.gather(*(slow(port, kind) for _ in range(1 if kind == "reader" else EACH)))
        found = [t for t in times if t is not None]
        closed[kind] = [len(found), len(times), round(max(found), 1) if found else None]
    return {"requests_per_second": round(done / seconds), "closed": closed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(LAYERS))
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--serve", type=int)
    options = parser.parse_args()
    if options.serve:
        LAYERS[options.names[0]](options.serve)
        return
    for number, name in enumerate(options.names):
        if name != "own" and importlib.util.find_spec(name) is None:
            continue
        port = 18_400 + number
        server = subprocess.Popen([sys.executable, __file__, name, "--serve", str(port)], cwd=Path(__file__).parent,
                                  env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")})  # fmt: skip
        try:
            time.sleep(2.5)
            print(name, json.dumps(asyncio.run(measure(port, options.seconds, options.clients))), flush=True)
        finally:
            server.terminate()
            server.wait(20)


if __name__ == "__main__":
    main()

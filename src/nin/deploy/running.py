"""A server's life: it binds, answers, and on SIGTERM or Ctrl-C stops without losing a request (torch-free).

Stopping: readiness turns to 503; for GRACE seconds everything is answered as before, each answer the last of its
connection; then nothing new is let in, and what was begun is finished, for at most FINISH seconds.
"""

import asyncio
import errno
import ipaddress
import logging
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

from nin.artifacts import escape_name
from nin.deploy.server import Server
from nin.deploy.wire import Connection, Site
from nin.errors import NinError, UsageError

LOG = logging.getLogger("nin.serve")
GRACE, FINISH = 0.5, 8.0  # seconds
SWITCH = 0.0005  # seconds after which a thread gives way: decoding must not keep the sockets waiting (docs/log.md)
BACKLOG = 1024  # connections that the kernel keeps until they are accepted


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens at host and port; one line when the port is taken or the address is not of this machine."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f'--host is "{escape_name(host)}"; expected an address of this machine, such as 127.0.0.1'
        ) from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise NinError(f"port {port} is taken by another program; choose another one with --port") from error
        if error.errno == errno.EACCES:
            raise NinError(
                f"port {port} needs the rights of an administrator; choose one above 1023 with --port"
            ) from error
        raise NinError(
            f"{escape_name(host)} cannot be listened at ({error.strerror}); choose another --host"
        ) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """Where a listening socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def run(server: Server, listener: socket.socket, begun: Callable[[], None]) -> int:
    """Answer until SIGTERM or SIGINT; how many requests were left unanswered. A second signal ends it at once."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    sys.setswitchinterval(SWITCH)  # of the process, which is the server's
    site = Site(server, server.options.bounds)
    server.connections = lambda: len(site.connections)
    server.start()

    def heard(number: int) -> None:
        loop.remove_signal_handler(number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, heard, number)
    watches = [
        loop.create_task(work) for work in (site.watch(), *(served.watch() for served in server.models.values()))
    ]
    accepting = await loop.create_server(lambda: Connection(site), sock=listener, backlog=BACKLOG)
    begun()
    await stop.wait()
    LOG.info("stopping: %d requests are under way", server.admitted)
    left = await _drain(server, site, listener, accepting)
    for watch in watches:
        watch.cancel()
    return left


async def _drain(server: Server, site: Site, listener: socket.socket, accepting: asyncio.Server) -> int:
    server.ready, site.draining = False, True
    await asyncio.sleep(GRACE)
    await _accept_waiting(site, listener)
    accepting.close()
    site.close_idle()
    until = asyncio.get_running_loop().time() + FINISH
    while (busy := [c for c in site.connections if c.busy]) and asyncio.get_running_loop().time() < until:
        await asyncio.sleep(0.02)
        site.close_idle()
    for connection in busy:
        connection.abort()
    return len(busy)


async def _accept_waiting(site: Site, listener: socket.socket) -> None:
    """Let in who has connected already: the kernel would cut them off when the listening socket closes."""
    with suppress(OSError):
        while True:
            arrived, _ = listener.accept()
            await asyncio.get_running_loop().connect_accepted_socket(lambda: Connection(site), arrived)
    await asyncio.sleep(0.05)  # for what they have sent

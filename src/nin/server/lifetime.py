"""A server's life: it binds, answers, and on SIGTERM or Ctrl-C stops without losing a request (torch-free).

Stopping: readiness turns to 503; for GRACE seconds everything is answered as before, each answer the last of its
connection; then nobody new is let in, and who is in is answered, for at most FINISH seconds.
"""

import asyncio
import ctypes
import errno
import ipaddress
import logging
import signal
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress

from nin.errors import NinError, UsageError, escape_name
from nin.server.handlers import Match, Server
from nin.server.wire import Connection, Site

LOG = logging.getLogger("nin.serve")
GRACE = 0.5  # seconds in which a stopping server answers as before
FINISH = 8.0  # seconds in which it finishes whatever is under way
SILENT = 1.0  # seconds without a byte after which a connection without a request is closed: one may be on its way
SWITCH = 0.0005  # seconds after which a thread gives way: decoding must not keep the sockets waiting (docs/log.md)
SO_ATTACH_FILTER = 26  # linux/socket.h
BPF_RET = 0x06  # linux/bpf_common.h
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


async def run_server(server: Server, listener: socket.socket, begun: Callable[[], None]) -> int:
    """Answer until SIGTERM or SIGINT; how many requests were left unanswered. A second signal ends it at once."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    sys.setswitchinterval(SWITCH)  # of the process, which is the server's
    site = Site(server, server.capacity.limits)
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


async def _drain(server: Server, site: Site[Match], listener: socket.socket, accepting: asyncio.Server) -> int:
    loop = asyncio.get_running_loop()
    server.ready = False
    site.draining = True
    await asyncio.sleep(GRACE)
    _turn_away(listener)
    arrived = _arrived(listener)
    accepting.close()  # cuts off whom the kernel has let in and we have not
    for one in arrived:
        await loop.connect_accepted_socket(lambda: Connection(site), one)
    for _ in range(20):  # turns of the loop, in which those whom it has let in become connections of the site
        await asyncio.sleep(0.005)
    until = loop.time() + FINISH
    while site.connections and loop.time() < until:
        site.close_silent(SILENT)
        await asyncio.sleep(0.02)
    busy = list(site.connections)
    for connection in busy:
        connection.abort()
    return sum(connection.state != "linger" for connection in busy)


def _turn_away(listener: socket.socket) -> None:
    """Let the kernel take no more connections, while those it has taken still wait to be let in.

    Closing alone cuts off who connects between the last look and the close: 2 requests lost in 100 stops under load.
    With a socket filter that drops all (Linux), whoever comes now asks again, and then hears that nobody listens.
    """
    if sys.platform == "linux":
        drop_all = ctypes.create_string_buffer(struct.pack("HBBI", BPF_RET, 0, 0, 0))
        with suppress(OSError):  # a kernel that has no filters
            listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(drop_all)))


def _arrived(listener: socket.socket) -> list[socket.socket]:
    """Who has connected and is not let in yet."""
    found = []
    with suppress(OSError):  # BlockingIOError: nobody
        while True:
            found.append(listener.accept()[0])
    return found

"""Ray for one command: started on this machine's loopback and stopped afterwards, or joined where it already runs.

Ray is asked to be quiet, to report to nobody and to leave no files; what it changes in this process (environment,
process group, what SIGTERM means) is put back. (torch-free)
"""

import logging
import os
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, partial
from typing import Any

from nin.artifacts import scratch_folder
from nin.data.machine import usable_cores
from nin.errors import NinError, UsageError, escape_name

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DEDUP_LOGS": "1",
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^",  # every line: Ray tells of lost workers on standard output
}
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # off: Ray takes 127.0.0.1 for this machine's address
SHARED_MEMORY = 128 * 2**20  # bytes of Ray's object store beside what is put into it
DEADLINE = 5.0  # seconds for a cluster to answer
HTTP2_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"  # RFC 9113, 3.4: preface and empty SETTINGS
SETTINGS = 4  # the type of the frame that a server of HTTP/2, such as Ray's, begins with


@contextmanager
def joined_cluster(address: str | None, workers: int, threads: int, most: int, room: int) -> Iterator[tuple[Any, int]]:
    """Ray, and how many workers there may be. Raises NinError or UsageError, with nothing left running, without a Ray.

    workers: wanted, 0 for as many as there are cores; most: that have anything to do. room: bytes of shared memory.
    """
    with ExitStack() as stack:
        stack.enter_context(_environment(QUIET))
        if address is None:
            workers = min(workers or max(1, usable_cores() // threads), most)
            stack.enter_context(_environment({**LOOPBACK, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _token()}))
            scratch = stack.enter_context(scratch_folder())
            options: dict[str, Any] = {"address": "local", "num_cpus": workers * threads, "include_dashboard": False}
            options |= {"object_store_memory": SHARED_MEMORY + room, "_temp_dir": f"{scratch}/ray"}
        else:
            if _expect_cluster(address):
                stack.enter_context(_environment(LOOPBACK))
            options = {"address": address}
        ray = _started(options, stack)
        if address is not None:
            cores = int(ray.cluster_resources().get("CPU", 0))
            if cores < threads:
                raise NinError(
                    f"the cluster at {address} has {cores} cores; a worker of {threads} threads needs as many"
                )
            workers = min(workers or cores // threads, cores // threads, most)
        yield ray, workers


def _started(options: dict[str, Any], stack: ExitStack) -> Any:
    """The module ray, connected; it is disconnected when the stack is unwound."""
    import ray
    import ray.data

    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    if ray.is_initialized():  # by the program that calls this one, whose it stays
        return ray
    group = os.getpgrp()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with _silent():
            ray.init(**options, log_to_driver=False, logging_level=logging.CRITICAL)
    except Exception as error:  # whatever Ray raises, it has not begun
        ray.shutdown()
        where = "on this machine" if options["address"] == "local" else f"at {escape_name(options['address'])}"
        raise NinError(f"Ray {where} cannot be used ({_last_line(error)}); {_ADVICE}") from error
    finally:
        with suppress(OSError):  # else Ctrl-C in a script would no longer reach this process
            os.setpgid(0, group)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)
    stack.callback(ray.shutdown)
    return ray


_ADVICE = "the command runs on a machine of the cluster, with the cluster's version of Ray; or leave out --address"


def finished_rows(
    ray: Any,
    kind: type,
    work: Any,
    model: bytes,
    rows: list[dict[str, Any]],
    workers: int,
    threads: int,
) -> Iterator[dict[str, Any]]:
    """What the workers return for each row, as they finish; a worker is `kind(work, function that fetches the model)`.

    A worker that dies is replaced and its row given to another. NinError when Ray gives up.
    """
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    fetch = partial(ray.get, ray.put(model))
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        kind,
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=threads,
        fn_constructor_args=(work, fetch),
    )
    try:
        yield from dataset.iter_rows()
    except Exception as error:
        raise NinError(
            f"Ray gave up ({_last_line(error)}); finished parts stay, and the same command goes on"
        ) from error


@contextmanager
def _silent() -> Iterator[None]:
    """Discard standard error meanwhile: Ray's processes write there even when told to be quiet."""
    try:
        kept = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _last_line(error: Exception) -> str:
    """The last line of what may be a traceback from another process, or what is said first where it is none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return escape_name(lines[-1] if "Traceback" in str(error) else lines[0])[:200]


@cache
def _token() -> str:
    """The secret that keeps other users of this machine out of our Ray; cached, as Ray reads it once a process."""
    return secrets.token_hex(32)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set variables of the environment, and put the old ones back afterwards."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _expect_cluster(address: str) -> bool:
    """Raise NinError unless Ray answers at host:port: Ray itself would wait a minute or longer.

    Returns whether the address is this machine's loopback. "auto" is left to Ray.
    """
    address = os.environ.get("RAY_ADDRESS") or address if address == "auto" else address
    if address == "auto":
        return False
    host, colon, port = address.rpartition(":")
    if "://" in address or not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f'--address is "{escape_name(address)}"; expected host:port of a Ray cluster\'s head, or auto')
    host = host.strip("[]")
    try:
        with socket.create_connection((host, int(port)), DEADLINE) as connection:
            if os.environ.get("RAY_USE_TLS", "0") in ("0", ""):
                connection.settimeout(DEADLINE)
                connection.sendall(HTTP2_HELLO)
                frame = connection.recv(9)
                if len(frame) < 4 or frame[3] != SETTINGS:
                    raise OSError(None, "what answers there is not Ray")
    except OSError as error:
        reason = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise NinError(
            f"there is no Ray cluster at {escape_name(address)} ({escape_name(reason).lower()}); "
            "start one with ray start --head, or leave out --address"
        ) from error
    return host in ("localhost", "127.0.0.1", "::1")

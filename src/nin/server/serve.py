"""Trained models behind HTTP (torch-free)."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from nin.choices import Runtime, chosen, expanded, with_choices
from nin.data.machine import usable_cores
from nin.engine.engine import Answers, Engine, engine_from_bytes, open_engine, pack_engine
from nin.engine.fastest import end_of
from nin.engine.runtimes import REFERENCE, reason_of
from nin.engine.trial import fault_of
from nin.errors import ModelError, NinError, UsageError, escape_name
from nin.report.content import Example
from nin.report.heat import overlay
from nin.report.plots import explain_png, picture_png
from nin.run.options import ServeOptions
from nin.server.handlers import Capacity, Server
from nin.server.hot_models import Served, fingerprint
from nin.server.lifetime import bind, is_loopback, run_server, url_of
from nin.server.messages import ClientLimits

DEFAULTS = ServeOptions()
LOG = logging.getLogger("nin.serve")


class Drawn:
    """Class maps as `nin explain` draws them."""

    def overlay(self, pixels: np.ndarray, values: np.ndarray, limit: float) -> bytes:
        """A map (h, w) over its picture (H, W, C) uint8, as PNG."""
        return picture_png(overlay(pixels, values, limit))

    def sheet(self, pixels: np.ndarray, answers: Answers, classes: Sequence[str], top: int) -> bytes:
        """The picture and the maps of its `top` likeliest classes, as PNG."""
        said = answers.probabilities[0], answers.logits[0], answers.maps[0]  # (K,), (K,), (K, h, w)
        return explain_png(Example(pixels, "picture", None, *said), classes, top)


def serve(
    models: Sequence[str],
    options: ServeOptions = DEFAULTS,
    begun: Callable[[str, list[str]], None] = lambda _url, _lines: None,
) -> None:
    """Answer over HTTP until SIGTERM or Ctrl-C.

    models: model folders, run folders, names of the package's models or exported .onnx files, each alone or as
    NAME=MODEL; the first one answers where a request names none. `begun` hears the address and a line on every model.
    Raises ModelError, UsageError or NinError in one line before anything is answered, NinError when a request was lost.
    """
    models = chosen("model", models, tuple[str, ...])
    options = with_choices(options, {}, ServeOptions)
    if not is_loopback(options.host) and not options.public:
        raise UsageError(
            f"--host {escape_name(options.host)} makes the server reachable by others without a password; "
            "add --public to confirm"
        )
    served = _open(models, options)
    limits = ClientLimits(body_bytes=options.max_body * 2**20)
    server = Server(served, Drawn(), Capacity(options.queue, options.max_batch, limits=limits, origins=options.origins))
    listener = bind(options.host, options.port)
    url = url_of(listener)
    lines = [line for one in served for line in _described(one)]
    left = asyncio.run(run_server(server, listener, lambda: begun(url, lines)))
    if left:
        raise NinError(f"{left} requests could not be answered before the server had to stop")


def _described(one: Served) -> list[str]:
    """What a model is and what computes it, and how that was chosen, a line each."""
    engine = one.engine
    lines = [f"{one.name}: {len(engine.classes)} classes, {engine.in_words()}"]
    why = engine.choice.in_words()
    return [*lines, f"{one.name}: runtime {why}"] if why else lines


def _open(models: Sequence[str], options: ServeOptions) -> list[Served]:
    found: dict[str, Served] = {}
    for word in models:
        name, place = _named(word)
        seen = fingerprint(place)
        engine = open_engine(place, threads=options.threads, runtime=options.runtime, batch=options.max_batch)
        name = name or engine.name
        if name in found:
            raise UsageError(f"two models are named {escape_name(name)}; name one of them: NAME={escape_name(place)}")
        chosen_here = options.runtime == "auto"
        opener = partial(_open_again, name, threads=options.threads, runtime=engine.runtime, leave=chosen_here)
        found[name] = Served(name, place, engine, seen, opener)
    return list(found.values())


def _open_again(name: str, place: str | Path, *, threads: int | None, runtime: Runtime, leave: bool) -> Engine:
    """A model that takes over while requests are answered: with the runtime of the one before it.

    It answers once in a process of its own first: what ends a process is not to end the server. leave: the runtime was
    chosen here. Measuring again would keep requests waiting for half a second; the answers are compared all the same,
    and a runtime that gives others, or does not take the model, is left for ONNX Runtime.
    """
    packed = pack_engine(place)
    if fault := end_of(packed, runtime, threads or usable_cores()):
        raise ModelError(f"{escape_name(place)} was tried aside and {fault}; get the model again")
    if not leave:
        return engine_from_bytes(packed, threads=threads, runtime=runtime)
    reference = engine_from_bytes(packed, threads=threads)
    if runtime == REFERENCE:
        return reference
    try:
        engine = engine_from_bytes(packed, threads=threads, runtime=runtime)
        fault = fault_of(engine, reference)
    except Exception as error:  # noqa: BLE001  whatever a runtime raises: the other one answers
        fault = f"fails here ({reason_of(error)})"
    if fault:
        LOG.warning("%s: runtime %s (%s %s)", escape_name(name), REFERENCE, runtime, fault)
        return reference
    return engine


def _named(word: str) -> tuple[str | None, str]:
    """NAME=MODEL -> (NAME, MODEL); MODEL alone -> (None, MODEL)."""
    name, equals, place = word.partition("=")
    if expanded(word).exists() or not equals:
        return None, str(expanded(word))
    if not name or not place or "/" in name or not name.isprintable():
        raise UsageError(f'"{escape_name(word)}" is no NAME=MODEL; a name is printable and has no slash')
    return name, str(expanded(place))

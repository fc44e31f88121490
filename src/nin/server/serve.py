"""Trained models behind HTTP (torch-free)."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from nin.choices import chosen, expanded, with_choices
from nin.engine.engine import Answers, open_engine
from nin.errors import NinError, UsageError, escape_name
from nin.report.heat import overlay
from nin.report.page import Example
from nin.report.plots import explain_png, picture_png
from nin.run.options import ServeOptions
from nin.server.handlers import Capacity, Server
from nin.server.hot_models import Served, fingerprint
from nin.server.lifetime import bind, is_loopback, run_server, url_of
from nin.server.messages import ClientLimits

DEFAULTS = ServeOptions()


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
    lines = [f"{one.name}: {len(one.engine.classes)} classes, {one.engine.in_words()}" for one in served]
    left = asyncio.run(run_server(server, listener, lambda: begun(url, lines)))
    if left:
        raise NinError(f"{left} requests could not be answered before the server had to stop")


def _open(models: Sequence[str], options: ServeOptions) -> list[Served]:
    found: dict[str, Served] = {}
    opener = partial(open_engine, threads=options.threads, runtime=options.runtime)
    for word in models:
        name, place = _named(word)
        seen = fingerprint(place)
        engine = opener(place)
        name = name or engine.name
        if name in found:
            raise UsageError(f"two models are named {escape_name(name)}; name one of them: NAME={escape_name(place)}")
        found[name] = Served(name, place, engine, seen, opener)
    return list(found.values())


def _named(word: str) -> tuple[str | None, str]:
    """NAME=MODEL -> (NAME, MODEL); MODEL alone -> (None, MODEL)."""
    name, equals, place = word.partition("=")
    if expanded(word).exists() or not equals:
        return None, str(expanded(word))
    if not name or not place or "/" in name or not name.isprintable():
        raise UsageError(f'"{escape_name(word)}" is no NAME=MODEL; a name is printable and has no slash')
    return name, str(expanded(place))

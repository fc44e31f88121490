"""`nin explore`: the page of some models, served to this machine alone until it is closed (torch-free)."""

import errno
import os
import sys
import threading
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from nin.bundle.shipped import shipped
from nin.choices import chosen
from nin.errors import NinError, UsageError, amount, escape_name
from nin.explorer.built_page import folder_page
from nin.explorer.pictures import package_pictures, run_pictures
from nin.explorer.site import Language, PageModel, open_model, page_json, page_model
from nin.explorer.visits import PageServer
from nin.run.options import SERVE_RANGES

FIRST = "nin-clothing"  # of the package's models: photographs, and the finest maps
CHAPTERS = 8  # of the page's lesson: web/src/lesson/chapters.ts

Said = Callable[[str], None]


def explore(
    models: Sequence[str | Path] = (),
    *,
    port: int = 0,
    no_open: bool = False,
    lesson: int | None = None,
    teach: bool = False,
    lang: Language | None = None,
    begun: Callable[[str, list[str]], None] = lambda _url, _lines: None,
    say: Said = lambda _: None,
) -> None:
    """Serve the page of these models on this machine, and open it, until it is closed or Ctrl-C is pressed.

    models: model folders, run folders, names of the package's models; by default those of the package. port: 0 takes a
    free one. lesson: the chapter of the lesson that the page opens at; teach: whether it opens where classes of one's
    own are taught; lang: the language that it opens in, by default the reader's. `begun` hears the address and a line
    on every model, `say` whatever else is to be known. Raises ModelError, UsageError or NinError in one line before
    anything is answered.
    """
    names = chosen("model", models, tuple[str, ...])
    port = chosen("port", port, int, SERVE_RANGES["port"])
    no_open = chosen("no_open", no_open, bool)
    lesson = chosen("lesson", lesson, int | None, (1, CHAPTERS))
    where = _place(lesson, chosen("teach", teach, bool), chosen("lang", lang, Language | None))
    shown: list[PageModel] = []
    for name in names or sorted(shipped(), key=lambda each: (each != FIRST, each)):
        shown.append(_shown(name, [model.entry["id"] for model in shown], say))
    files = {"index.html": folder_page()}
    for model in shown:
        files |= model.files
    server = _listening(port, files, lambda goodbye: page_json(shown, goodbye=goodbye))
    with server:
        thread = threading.Thread(target=server.serve_forever, name="nin-explore", daemon=True)
        thread.start()
        begun(server.url + where, [_in_words(model) for model in shown])
        if not no_open:
            _open_browser(server.url + where, server.server_port, say)
        with suppress(KeyboardInterrupt):
            server.pages.wait()
        server.shutdown()


def _place(lesson: int | None, teach: bool, lang: Language | None) -> str:
    """The end of the address that opens the page at a chapter or in Teach, in a language: web/src/app/address.ts."""
    if lesson is not None and teach:
        raise UsageError("--lesson and --teach open the page at two places; choose one of them")
    if lesson is None and not teach and lang is None:
        return ""
    place = "see/" if lesson is None else f"learn/{lesson}"
    return f"#{'teach' if teach else place}" + (f"?lang={lang}" if lang else "")


def _shown(name: str, taken: list[str], say: Said) -> PageModel:
    """A model for the page, with the pictures that are known to go with it."""
    opened = open_model(name)
    selected = package_pictures(opened.bundle)
    if not selected.pictures:
        selected = run_pictures(opened.bundle)
    for note in selected.notes:
        say(f"note: {escape_name(name)}: {escape_name(note)}")
    return page_model(opened, selected.pictures, taken)


def _in_words(model: PageModel) -> str:
    entry = model.entry
    pictures = f", {amount(len(entry['examples']), 'picture')}" if entry["examples"] else ""
    return f"{entry['id']}: {entry['summary']['parameters']:,} parameters{pictures}"


def _listening(port: int, files: dict[str, bytes], site: Callable[[str | None], bytes]) -> PageServer:
    try:
        return PageServer(port, files, site)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            found = f"port {port} is taken by another program; choose another one with --port, or leave it out"
        elif error.errno == errno.EACCES:
            found = f"port {port} needs the rights of an administrator; choose one above 1023 with --port"
        else:
            found = f"this machine cannot be listened at ({error.strerror}); choose another --port"
        raise NinError(found) from error


def _open_browser(url: str, port: int, say: Said) -> None:
    """Show the page in the user's browser, or say how it is reached where there is none."""
    if has_browser():
        # some browsers stay in the foreground until they are closed
        threading.Thread(target=_browse, args=(url, say), name="nin-browser", daemon=True).start()
    elif os.environ.get("SSH_CONNECTION"):
        say(
            f"to see it on your machine, type there: ssh -L {port}:127.0.0.1:{port} THIS_MACHINE; then open the address"
        )
    else:
        say("open this address in a browser")


def has_browser() -> bool:
    """Whether a browser would be seen by whoever typed the command: not over ssh, and not without a screen."""
    if os.environ.get("BROWSER"):  # what Python's webbrowser obeys before all
        return True
    if os.environ.get("SSH_CONNECTION"):
        return False
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _browse(url: str, say: Said) -> None:
    if not webbrowser.open(url):
        say("no browser could be opened; open this address in one")

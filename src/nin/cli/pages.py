"""The commands that show a model in a browser: `nin explore` here, `nin publish` as a file for others."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from nin.cli.command import Command
from nin.cli.exchange import to_json
from nin.cli.parameters import MODEL, Json, Model, Output
from nin.cli.screen import safe
from nin.errors import amount

TARGET = "A new file such as page.html, or a new folder for a web space."
EXAMPLES = "Folder of pictures to put in, or of class folders; at most 24 are taken."
LANGUAGE = "Language of the page; by default the reader's."
TEACH = "Open it where you teach classes of your own, by camera or files."
LESSON = "Open the lesson on Network in Network at this chapter, 1 to 8."


def _explore(
    *model: Annotated[str, Parameter(help=f"{MODEL[:-1]}; by default those of the package.")],
    port: Annotated[int, Parameter(help="Port to listen at; 0 takes a free one.")] = 0,
    no_open: Annotated[bool, Parameter(help="Do not open a browser.")] = False,
    lesson: Annotated[int | None, Parameter(help=LESSON)] = None,
    teach: Annotated[bool, Parameter(help=TEACH)] = False,
    lang: Annotated[Literal["en", "ko"] | None, Parameter(help=LANGUAGE)] = None,
    screen: Output,
) -> None:
    """See in a browser everything that a network computes for a picture.

    The page also holds a lesson in eight chapters (why 1x1 convolutions, why no fully connected layers), and learns
    classes of your own in seconds. Pictures stay in the browser, which computes everything itself; only this machine
    is answered. Closing the page or Ctrl-C ends it; the exit code is then 0. The address goes to standard output.
    """
    from nin.explorer.explore import explore

    def begun(url: str, models: list[str]) -> None:
        for line in models:
            screen.note(safe(line))
        screen.note("closing the page, or Ctrl-C, ends it")
        screen.result(url)

    explore(model, port=port, no_open=no_open, lesson=lesson, teach=teach, lang=lang, begun=begun, say=screen.note)


def _publish(
    model: Model,
    target: Annotated[Path, Parameter(help=TARGET)],
    /,
    *,
    examples: Annotated[Path | None, Parameter(help=EXAMPLES)] = None,
    language: Annotated[Literal["en", "ko"] | None, Parameter(help=LANGUAGE)] = None,
    overwrite: Annotated[bool, Parameter(help="Replace the file, or the page in the same folder.")] = False,
    json: Json = False,
    screen: Output,
) -> None:
    """Write a model as a page that others open in a browser.

    One HTML file holds page and model: it opens from a disk, a mail or any web space, makes no request and keeps
    pictures where they are. A model over 8 MB needs a folder. Whoever has the page has the model.
    """
    from nin.explorer.publish import publish_page

    done = publish_page(model, target, examples=examples, language=language, overwrite=overwrite)
    for note in done.notes:
        screen.note(f"note: {safe(note)}")
    if json:
        screen.result(to_json(done))
        return
    screen.note(f"{safe(done.model)}: {done.bytes / 1e6:.1f} MB with {amount(done.pictures, 'picture')} to try")
    screen.result(safe(done.place))


EXPLORE = Command(
    "explore",
    _explore,
    "explore [MODEL...] [options]",
    ("explore", "explore runs/photos nin-cifar10 --port 8001", "explore --lesson 3 --lang ko", "explore --teach"),
)
PUBLISH = Command(
    "publish",
    _publish,
    "publish MODEL TARGET [options]",
    ("publish runs/photos page.html --examples holiday", "publish runs/photos site --language ko"),
)

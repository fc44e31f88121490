"""Pictures to try in a page: of a model in the package, of a run's validation part, or of a folder (torch-free).

They are decoded by the one door and written anew, at most LONGEST pixels on the long side: what cameras and phones
write beside the pixels (place, time, owner) does not come along, and no file's name does.
"""

import json
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from nin.artifacts import read_bytes
from nin.bundle.folder import Bundle
from nin.bundle.shipped import SHIPPED
from nin.data.depth import to_uint8
from nin.data.given import named_pictures
from nin.data.images import PictureError, read_picture
from nin.errors import DataError, NinError, UsageError, escape_name
from nin.report.heat import encoded
from nin.run.recorded import demo_folder, recorded_source

MOST = 24  # pictures of a page; ours: two rows of thumbnails on a wide screen
LONGEST = 256  # pixels on the long side; the largest network of ours sees 224
SMALL = 64  # pixels on the long side up to which a picture is kept without loss
OWN = Path(__file__).with_name("examples")  # a folder for each model of the package that has some
CREDITS = "credits.json"


@dataclass(frozen=True)
class PagePicture:
    """A PNG or JPEG file to try, its class if that is known, and who is to be thanked for it."""

    data: bytes
    label: str | None = None
    credit: str = ""

    @property
    def kind(self) -> str:
        """The ending of the file's name."""
        return "png" if self.data.startswith(b"\x89PNG") else "jpg"


@dataclass(frozen=True)
class Selected:
    """Pictures that were chosen, and what is to be known of the choice, one line each."""

    pictures: tuple[PagePicture, ...] = ()
    notes: tuple[str, ...] = ()


def package_pictures(bundle: Bundle) -> Selected:
    """The pictures that come with a model of the package, whose licences let them be handed on; none for others."""
    folder = bundle.folder.resolve()
    place = OWN / folder.name
    if folder.parent != SHIPPED.resolve() or not (place / CREDITS).is_file():
        return Selected()
    told = json.loads(read_bytes(place / CREDITS))
    found = (PagePicture(read_bytes(place / each["file"]), each["label"], told["credit"]) for each in told["pictures"])
    return Selected(tuple(found))


def run_pictures(bundle: Bundle) -> Selected:
    """Pictures that a model's run held out, of all classes alike; none where they are no longer there."""
    try:
        demo = demo_folder(bundle)
        source = recorded_source(bundle) if demo is None else None
    except (NinError, ImportError) as error:  # the digits of a demo need scikit-learn
        return Selected(notes=(f"the pictures of its run cannot be shown ({error})",))
    if demo is not None:
        files = sorted(demo.glob("*.png"))
        return Selected(tuple(_page_picture(file, file.name, file.stem) for file in files))
    if source is None:
        return Selected()
    split = source.splits["validation"]
    found = []
    for row in by_turns(split.labels.tolist(), len(split)):
        try:
            found.append(_page_picture(split.read(row), split.name(row), source.classes[split.labels[row]]))
        except DataError:
            continue  # a run may have left it out, too
        if len(found) == MOST:
            break
    return Selected(tuple(found))


def folder_pictures(folder: Path) -> Selected:
    """At most MOST pictures of a folder, of each folder in it alike; a picture's class is the name of its folder.

    Raises UsageError where there are none, PictureError for one that cannot be read.
    """
    if not folder.is_dir():
        raise UsageError(
            f"--examples {escape_name(folder)} is no folder; expected one of pictures, or of class folders"
        )
    files = [Path(name) for name, _ in named_pictures(folder)]
    inside = [file.relative_to(folder).parts for file in files]
    labels = [parts[0] if len(parts) > 1 else None for parts in inside]
    rows = sorted(by_turns(labels, MOST))
    notes = (f"{MOST} of the {len(files):,} pictures in {escape_name(folder)} are taken",) if len(files) > MOST else ()
    return Selected(tuple(_page_picture(files[row], str(files[row]), labels[row]) for row in rows), notes)


def by_turns(labels: Sequence[Hashable], most: int) -> list[int]:
    """At most so many rows, first one of every label, then a second one of every label, and so on."""
    seen: Counter[Hashable] = Counter()
    ranked = []
    for row, label in enumerate(labels):
        ranked.append((seen[label], row))
        seen[label] += 1
    return [row for _, row in sorted(ranked)[:most]]


def _page_picture(source: Path | bytes | np.ndarray, name: str, label: str | None) -> PagePicture:
    """A picture file, or pixels as they are stored, as the page takes it."""
    pixels = source if isinstance(source, np.ndarray) else read_picture(source, near=LONGEST, name=name).pixels
    try:
        pixels = to_uint8(pixels)
    except PictureError:
        raise
    except DataError as error:
        raise PictureError(name, str(error)) from error
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    share = LONGEST / max(image.size)
    if share < 1:
        size = max(1, round(image.width * share)), max(1, round(image.height * share))
        image = image.resize(size, Image.Resampling.LANCZOS)
    if image.mode == "RGBA" or max(image.size) <= SMALL:
        return PagePicture(encoded(image, "PNG", optimize=True), label)
    return PagePicture(encoded(image, "JPEG", quality=90, subsampling=0), label)

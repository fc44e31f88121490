"""Pictures of a run as files: curves, confusion matrix, picture sheets, class maps. Every function returns bytes.

Sheets and maps need Pillow only. Curves and the matrix use matplotlib through its object interface and the Agg
canvas: no pyplot, no global setting is read or changed.
"""

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from nin.errors import DataError, MissingExtra, ModelError
from nin.lab import fonts
from nin.lab.confusion import COMPACT_ABOVE, DARKEST
from nin.lab.heat import colours, encoded, is_mean, limit_of, overlay, sized
from nin.lab.markup import percent, shorten
from nin.lab.report import Example
from nin.lab.svg import LIGHT
from nin.training.evaluate import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, LINE, ACCENT, WARM = (LIGHT[name] for name in ("ink", "muted", "line", "accent", "warm"))
TILES = 64  # most pictures on one sheet


def results_png(history: Sequence[Mapping[str, Any]]) -> bytes:
    """Loss, accuracy and learning rate over the epochs, side by side. MissingExtra without matplotlib."""
    figure = _figure(12.0, 3.4)
    charts = (
        ("Loss", (("val_loss", "validation", ACCENT, "-"), ("train_loss", "train", WARM, "--"))),
        ("Accuracy", (("val_accuracy", "validation", ACCENT, "-"), ("train_accuracy", "train", WARM, "--"))),
        ("Learning rate", (("lr", "learning rate", INK, "-"),)),
    )
    epochs = [row["epoch"] for row in history]
    for axes, (title, lines) in zip(figure.subplots(1, 3), charts, strict=True):
        for key, label, colour, style in lines:
            values = [math.nan if row.get(key) is None else float(row[key]) for row in history]
            dot = "o" if len(history) == 1 else None
            axes.plot(epochs, values, color=colour, linestyle=style, linewidth=1.6, label=label, marker=dot)
        _plain(axes)
        axes.set_title(title, loc="left", fontsize=11, color=INK)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if title == "Accuracy":
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        else:
            axes.set_ylim(bottom=0)
        axes.margins(x=0.02)
        if len(lines) > 1:
            place = "lower right" if title == "Accuracy" else "upper right"
            axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc=place)
    return _png(figure)


def confusion_png(evaluation: Evaluation, classes: Sequence[str]) -> bytes:
    """The matrix, rows true, columns predicted, shaded by share of the row. MissingExtra without matplotlib."""
    counts, k = evaluation.confusion, len(classes)
    cell = 0.5 if k <= COMPACT_ABOVE else max(0.1, min(0.32, 16 / k))  # inches
    figure = _figure(k * cell + 2.4, k * cell + 2.0)
    from matplotlib.font_manager import FontProperties  # after _figure, which says it when matplotlib is missing

    axes = figure.add_subplot()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(_shaded(share), interpolation="nearest")
    size = min(9.0, max(4.5, cell * 72 * 0.62))  # points
    step = max(1, math.ceil(size * 1.15 / (cell * 72)))  # above 150 classes only every step-th is named
    for axis, turn in ((axes.xaxis, 90), (axes.yaxis, 0)):
        said = [fonts.drawable(shorten(label, 22)) for label in classes[::step]]
        axis.set_ticks(range(0, k, step), [words for words, _ in said])
        for tick, (_, path) in zip(axis.get_major_ticks(), said, strict=True):
            for text in (tick.label1, tick.label2):
                text.set(parse_math=False, fontproperties=FontProperties(fname=path), size=size, rotation=turn)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0, labelcolor=INK)
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("predicted", color=INK, fontsize=11)
    axes.set_ylabel("true", color=INK, fontsize=11)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if k <= 40:
        for (i, j), count in np.ndenumerate(counts):
            if count or k <= COMPACT_ABOVE:
                axes.text(
                    j,
                    i,
                    f"{count}",
                    ha="center",
                    va="center",
                    color=INK if count else MUTED,
                    fontsize=min(9.0, cell * 72 * 0.4),
                )
    return _png(figure)


def _shaded(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row shares (K, K) as colours (K, K, 3): blue on the diagonal, orange beside it, white for 0."""
    right, wrong = (np.array(ImageColor.getrgb(colour)) / 255 for colour in (ACCENT, WARM))
    hue = np.where(np.eye(len(share), dtype=bool)[..., None], right, wrong)
    colour: NDArray[np.float64] = 1 - DARKEST * np.sqrt(share)[..., None] * (1 - hue)
    return colour


def _figure(width: float, height: float) -> "Figure":
    """An empty figure, sides in inches, on its own Agg canvas."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra(
            "drawing curves needs matplotlib, which is not installed; pip install 'network-in-network[train]'"
        ) from error
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _plain(axes: "Axes") -> None:
    """The look of all curves: epochs below, lines across."""
    axes.set_xlabel("epoch", color=MUTED, fontsize=9)
    axes.grid(axis="y", color=LINE, linewidth=0.8)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.tick_params(colors=MUTED, labelsize=9, length=0)


def _png(figure: "Figure") -> bytes:
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=120, metadata={"Software": None})
    return held.getvalue()


def grid_jpg(pixels: Sequence[NDArray[np.uint8]], captions: Sequence[str]) -> bytes:
    """Up to 64 pictures (H, W, 1|3|4) with a caption under each, as one sheet in JPEG."""
    shown = list(zip(pixels, captions, strict=True))[:TILES]
    if not shown:
        raise DataError("there is no picture to put on the sheet; at least one is needed")
    across = min(8, math.ceil(math.sqrt(len(shown))))
    tile, gap = 128, 12
    said = [fonts.wrapped(caption, 13, tile, 2) for _, caption in shown]
    line = 6 + 17 * max(map(len, said))
    down = math.ceil(len(shown) / across)
    sheet = Image.new("RGB", (gap + across * (tile + gap), gap + down * (tile + line + gap)), "white")
    for place, (picture, _) in enumerate(shown):
        x, y = gap + place % across * (tile + gap), gap + place // across * (tile + line + gap)
        image = Image.fromarray(sized(picture, tile))
        sheet.paste(image, (x + (tile - image.width) // 2, y + (tile - image.height) // 2))
        for n, words in enumerate(said[place]):
            fonts.write(sheet, (x, y + tile + 3 + 17 * n), words, 13, INK, tile)
    return encoded(sheet, "JPEG", quality=90, subsampling=0)


def dropout_png(curves: Mapping[str, Sequence[Mapping[str, float]]]) -> bytes:
    """Figure 3: training and test error (percent) over the epochs, a pair of lines for each name.

    curves: name -> one mapping an epoch with epoch, train_error and test_error. MissingExtra without matplotlib.
    """
    figure = _figure(7.0, 4.2)
    axes = figure.add_subplot()
    for (name, rows), colour in zip(curves.items(), (ACCENT, WARM, INK), strict=False):
        epochs = [row["epoch"] for row in rows]
        for key, style in (("test_error", "-"), ("train_error", "--")):
            axes.plot(epochs, [row[key] for row in rows], color=colour, linestyle=style, linewidth=1.6,
                      label=f"{name}, {key.removesuffix('_error')}")  # fmt: skip
    _plain(axes)
    axes.set_ylabel("error, %", color=MUTED, fontsize=9)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper right")
    return _png(figure)


def category_maps_png(pixels: Sequence[NDArray[np.uint8]], maps: NDArray[np.floating], classes: Sequence[str]) -> bytes:
    """Figure 4: one row a picture, the picture and all its class maps, only the largest tenth of its activations shown.

    pixels: N of (H, W, C) uint8; maps: (N, K, h, w); classes: K names, written above the columns.
    """
    side, gap, head = 64, 4, 18
    count = maps.shape[1]
    sheet = Image.new("RGB", ((count + 1) * (side + gap) + gap, len(pixels) * (side + gap) + gap + head), "white")
    for column, label in enumerate(("picture", *classes)):
        fonts.write(sheet, (gap + column * (side + gap), 2), label, 11, INK, side)
    for row, (picture, one) in enumerate(zip(pixels, maps, strict=True)):
        top = head + gap + row * (side + gap)
        sheet.paste(Image.fromarray(sized(picture, side)), (gap, top))
        least, most = np.quantile(one, 0.9), float(one.max())
        kept = np.where(one >= least, one, 0.0).clip(0)
        for column, values in enumerate(kept, 1):
            shade = 255 - (255 * values / most if most > 0 else 0 * values)
            tile = Image.fromarray(shade.astype(np.uint8)).resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(tile, (gap + column * (side + gap), top))
    return encoded(sheet, "PNG", optimize=True)


def picture_png(pixels: NDArray[np.uint8]) -> bytes:
    """One picture (H, W, 1|3|4) uint8 as PNG, losslessly."""
    return encoded(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels), "PNG")


def explain_png(example: Example, classes: Sequence[str], top: int = 3) -> bytes:
    """The picture and the maps of its `top` likeliest classes: over the picture and as the raw grid below it.

    Under each stand its class, probability and logit; all maps share one colour scale. ModelError without maps.
    """
    if example.maps is None:
        raise ModelError(f"there are no class maps for {example.name}; the network must end in global average pooling")
    best = np.argsort(-example.probabilities, kind="stable")[: max(1, top)]
    limit = limit_of(example.maps[best])
    side, gap, words = 224, 20, 50
    picture = Image.fromarray(sized(example.pixels, side))
    width, height = picture.size
    step = max(width, 150) + gap
    sheet = Image.new("RGB", (gap + (1 + len(best)) * step, gap + 2 * height + words + 2 * gap), "white")
    sheet.paste(picture, (gap, gap))
    fonts.write(sheet, (gap, gap + height + 6), example.name, 14, INK, step - gap)
    if example.true is not None:
        fonts.write(sheet, (gap, gap + height + 27), f"truth: {classes[example.true]}", 13, MUTED, step - gap)
    _scale(sheet, (gap, gap + height + words + gap), step - gap, limit)
    for place, index in enumerate(best, start=1):
        x, y = gap + place * step, gap
        values, logit, chance = example.maps[index], float(example.logits[index]), float(example.probabilities[index])
        proof = f"logit {logit:.3f} {'=' if is_mean(values, logit) else '≠'} mean of map"
        sheet.paste(Image.fromarray(overlay(example.pixels, values, limit, side)), (x, y))
        fonts.write(sheet, (x, y + height + 6), f"{percent(chance)}  {classes[index]}", 14, INK, step - gap)
        fonts.write(sheet, (x, y + height + 27), proof, 13, MUTED, step - gap)
        grid = Image.fromarray(colours(values, limit)).resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(grid, (x, y + height + words + gap))
    return encoded(sheet, "PNG")


def _scale(sheet: Image.Image, place: tuple[int, int], width: int, limit: float) -> None:
    """The colour scale of the maps with its ends named."""
    x, y = place
    ramp = colours(np.linspace(-1, 1, width)[None], 1.0)
    sheet.paste(Image.fromarray(np.repeat(ramp, 12, axis=0)), (x, y))
    for share, words in ((0.0, f"{-limit:.3g}"), (0.5, "0"), (1.0, f"+{limit:.3g}")):
        wide = fonts.length(words, 12)
        fonts.write(sheet, (x + share * (width - wide), y + 17), words, 12, INK, width)
    for n, words in enumerate(("blue: against the class", "red: for the class")):
        fonts.write(sheet, (x, y + 42 + 20 * n), words, 13, MUTED, width)

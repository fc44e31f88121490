"""Results for people: aligned text of at most 80 columns, whatever alphabet the names are written in."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nin.cli.exchange import to_json
from nin.cli.screen import Screen, safe, screen_width
from nin.report.markup import columns, shorten

if TYPE_CHECKING:
    from nin.commands.bench import Bench
    from nin.commands.classifier import Prediction
    from nin.commands.doctor import Finding
    from nin.commands.evaluate import Measured
    from nin.commands.explain import Explanation
    from nin.commands.proof import Export
    from nin.data.check import Check
    from nin.importers.translate import Imported
    from nin.network.anatomy import Anatomy
    from nin.network.walk import Layer
    from nin.run.run import RunResult
    from nin.teaching.taught_folder import TeachResult
    from nin.training.evaluation import Evaluation

MIB = 1024 * 1024
NAME_WIDTH = 32  # terminal cells that a label may take
NARROWEST = 6  # cells to which a column of names is cut where a table is too wide; below it nothing is recognised
PAPER_WIDTH = 45  # of the names of the paper's rows
MOST_CONFUSED = 5
MOST_LINES = 20  # of unreadable pictures, notes and suggestions


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[object]],
    left: int = 1,
    most: int = NAME_WIDTH,
    *,
    ends: bool = False,
) -> list[str]:
    """Lines of aligned columns of at most `most` cells each: the first `left` to the left, the others to the right.

    No line is wider than the screen: the widest of the left columns is cut in its middle until all fit; `ends` keeps
    more of the names' ends. A title may have several lines.
    """
    from rich.cells import cell_len

    titles = [title.split("\n") for title in header]
    tall = max(map(len, titles))
    heads = [[lines[row] if row < len(lines) else "" for lines in titles] for row in range(tall)]
    cells = [*heads, *([clip(value, most) for value in row] for row in rows)]
    widths = [max(cell_len(row[column]) for row in cells) for column in range(len(header))]
    over = sum(widths) + 2 * (len(widths) - 1) - screen_width()
    while over > 0 and max(widths[:left]) > NARROWEST:
        widths[widths.index(max(widths[:left]))] -= 1
        over -= 1
    lines = []
    whole = [*heads, *rows]
    for row, values in zip(cells, whole, strict=True):
        padded = []
        for column, (text, width) in enumerate(zip(row, widths, strict=True)):
            shown = text
            if cell_len(text) > width:
                shown = (_with_its_end if ends else shorten)(safe(values[column]), width)
            space = " " * (width - cell_len(shown))
            padded.append(shown + space if column < left else space + shown)
        lines.append("  ".join(padded).rstrip())
    return lines


def _with_its_end(text: str, width: int) -> str:
    """At most `width` cells: the first three of a long name, and as many of its last as there is room for."""
    if columns(text) <= width:
        return text
    tail = text
    while columns(tail) > width - 4:
        tail = tail[1:]
    return f"{shorten(text, 4)[:-1]}…{tail}" if width > 8 else shorten(text, width)


def clip(value: object, width: int = NAME_WIDTH) -> str:
    """A name on one line, cut to `width` terminal cells with an ellipsis."""
    from rich.cells import cell_len, set_cell_size

    text = safe(value)
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def accuracy_line(evaluation: "Evaluation", split: str) -> str:
    """'validation accuracy 0.934 (95 % interval 0.906 to 0.954) on 412 pictures'."""
    low, high = evaluation.interval
    pictures = "1 picture" if evaluation.n == 1 else f"{evaluation.n:,} pictures"
    where = "accuracy on everything" if split == "train" else f"{split} accuracy"
    return f"{where} {evaluation.accuracy:.3f} (95 % interval {low:.3f} to {high:.3f}) on {pictures}"


def evaluation_lines(measured: "Measured") -> Iterator[str]:
    """The whole measurement: totals, a row for each class, the commonest confusions."""
    evaluation = measured.evaluation
    yield accuracy_line(evaluation, measured.split)
    top5 = "" if evaluation.top5 is None else f"  top-5 accuracy {evaluation.top5:.3f}"
    yield (
        f"balanced accuracy {evaluation.balanced_accuracy:.3f}  loss {evaluation.loss:.3f}  "
        f"calibration error {evaluation.ece:.3f}{top5}"
    )
    yield ""
    rows = [
        (score.label, f"{score.support:,}", f"{score.precision:.3f}", f"{score.recall:.3f}", f"{score.f1:.3f}")
        for score in evaluation.per_class
    ]
    yield from table(("class", "pictures", "precision", "recall", "F1"), rows)
    confused = list(_confusions(evaluation))[:MOST_CONFUSED]
    if confused:
        yield ""
        yield "commonest mistakes"
        yield from (f"  {count:,} x {clip(true)} taken for {clip(given)}" for count, true, given in confused)


def _confusions(evaluation: "Evaluation") -> Iterator[tuple[int, str, str]]:
    """(count, true label, given label) of the wrong answers, commonest first."""
    labels = [score.label for score in evaluation.per_class]
    matrix = evaluation.confusion.tolist()
    wrong = [(-matrix[t][g], t, g) for t in range(len(labels)) for g in range(len(labels)) if t != g and matrix[t][g]]
    yield from ((-count, labels[t], labels[g]) for count, t, g in sorted(wrong))


def worst_classes(evaluation: "Evaluation", count: int = 3) -> str:
    """'고양이 0.81, dog 0.88' by recall, of the classes that were measured."""
    seen = sorted((s for s in evaluation.per_class if s.support), key=lambda s: s.recall)[:count]
    return ", ".join(f"{clip(s.label)} {s.recall:.3f}" for s in seen)


def tell(result: "RunResult | TeachResult", lines: Iterable[str], screen: Screen, json: bool) -> None:
    """The end of a journey that leaves a model: warnings, then `lines` and the model's folder, or the summary."""
    for warning in result.warnings:
        screen.warn(warning)
    if json:
        screen.result(to_json(result.summary))
        return
    for line in lines:
        screen.note(line)
    screen.result(safe(result.model))


def run_lines(result: "RunResult") -> Iterator[str]:
    """The end of a run: accuracy, the weakest classes, the folder, and commands to go on with. Warnings go before."""
    yield accuracy_line(result.evaluation, result.split)
    yield f"weakest classes (recall): {worst_classes(result.evaluation)}"
    if told := unknown_line(result.summary):
        yield told
    yield f"everything is in {safe(result.folder)}; open report.html there first"
    yield "next:"
    yield from (f"  {safe(command)}" for command in result.commands)
    yield "the model:"


def unknown_line(summary: Mapping[str, Any]) -> str:
    """When an answer is "unknown", in one line; "" where it never is."""
    below = f"under a probability of {summary['unknown_below']:.2g}" if summary["unknown_below"] > 0 else ""
    unlike = "unlike the training pictures" if "unknown_beyond" in summary else ""
    told = ", or ".join(filter(None, (below, unlike)))
    return f"unknown: {told}" if told else ""


def prediction_line(prediction: "Prediction", top: int) -> str:
    """'photos/a.jpg: cat 0.982, dog 0.011 (12 ms)'; the guesses in brackets when the answer is "unknown"."""
    guesses = ", ".join(f"{safe(label)} {score:.3f}" for label, score in prediction.scores[:top])
    why = "unlike the training pictures; " if prediction.unlike else ""
    answer = f"unknown ({why}nearest: {guesses})" if prediction.unknown else guesses
    return f"{safe(prediction.file)}: {answer} ({prediction.ms:.0f} ms)"


class FolderCount:
    """How many pictures of a folder got which answer, and how many could not be read, by reason; no answer is kept."""

    def __init__(self) -> None:
        self._answers: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._first: dict[str, str] = {}  # reason -> the first file

    def add(self, answer: "Prediction") -> None:
        """Count one more."""
        if answer.error is None:
            self._answers["unknown" if answer.unknown else str(answer.label)] += 1
        else:
            self._reasons[answer.error] += 1
            self._first.setdefault(answer.error, answer.file)

    def lines(self) -> Iterator[str]:
        """What was counted."""
        counts, read = self._answers, self._answers.total()
        rows = [(label, f"{count:,}", f"{count / read:.1%}") for label, count in counts.most_common(MOST_LINES)]
        if rows:
            yield from table(("answer", "pictures", "share"), rows)
        if len(counts) > MOST_LINES:
            yield f"and {len(counts) - MOST_LINES:,} classes more, {read:,} pictures in all"
        for reason, count in self._reasons.most_common():
            yield f"{count:,} not read: {safe(reason)} (the first: {safe(self._first[reason])})"


def explanation_line(explanation: "Explanation") -> str:
    """'photos/a.jpg: cat 0.982 (logit 7.21), dog 0.011 (logit 2.04)'."""
    classes = (f"{safe(label)} {share:.3f} (logit {logit:.2f})" for label, logit, share in explanation.classes)
    return f"{safe(explanation.file)}: {', '.join(classes)}"


def anatomy_lines(anatomy: "Anatomy") -> Iterator[str]:
    """One row a layer, totals, and for a NIN what fully connected heads would cost instead."""
    yield f"{safe(anatomy.name)} for pictures of {_by(anatomy.input_size)}"
    yield from textwrap.wrap(anatomy.normalisation, 80)
    yield ""
    rows = [
        (
            layer.name,
            _what(layer),
            _by(layer.output),
            f"{layer.parameters:,}",
            f"{layer.macs / 1e6:,.2f}",
            f"{layer.activation_bytes / MIB:,.2f}",
            f"{layer.receptive_field}/{layer.jump}",
        )
        for layer in anatomy.layers
    ]
    header = ("layer", "what", "output", "parameters", "MACs,\nmillion", "MiB", "receptive\nfield/\nstride")
    yield from table(header, rows, left=2, ends=True)  # layers of one name differ at their ends
    yield ""
    yield f"{anatomy.parameters:,} parameters, {anatomy.macs:,} multiply-adds (MACs) a picture"
    if anatomy.training_parameters:
        yield f"{anatomy.training_parameters:,} parameters more that only training uses"
    for what, parameters, macs in (
        ("1x1", anatomy.pointwise_parameters, anatomy.pointwise_macs),
        ("fully connected", anatomy.fc_parameters, anatomy.fc_macs),
    ):
        yield f"{what} layers hold {parameters:.1%} of the parameters and do {macs:.1%} of the work"
    yield (
        f"memory for one picture: {_bytes(anatomy.activation_bytes)} of activations in training, "
        f"{_bytes(anatomy.peak_bytes)} in use"
    )
    yield f"receptive field {anatomy.receptive_field} px, stride {anatomy.jump}"
    if anatomy.fc_alternatives:
        yield ""
        heads = [(head.name, f"{head.parameters:,}", f"{head.macs:,}") for head in anatomy.fc_alternatives]
        yield from table(("head (as it is, then fully connected ones)", "parameters", "MACs"), heads)


def _what(layer: "Layer") -> str:
    """'conv 5x5/2', 'max 3x3/2', '1x1', 'gap 8x8', 'fc'."""
    if not layer.kind.endswith("pool") and layer.kind not in ("conv", "local", "gap"):
        return layer.kind
    stride = f"/{layer.stride}" if layer.stride > 1 else ""
    return f"{layer.kind.removesuffix(' pool')} {layer.kernel}x{layer.kernel}{stride}"


def check_lines(check: "Check") -> Iterator[str]:
    """Facts, pictures of every class and split, unreadable files, notes and suggestions."""
    yield safe(check.path)
    yield ""
    yield from table(("", ""), check.rows, left=2, most=60)[1:]
    yield ""
    rows = [(name, *(f"{counts[i]:,}" for counts in check.counts.values())) for i, name in enumerate(check.classes)]
    yield from table(("class", *check.counts), rows)
    sections = (
        ("unreadable", [f"{name}: {reason}" for name, reason in check.unreadable]),
        ("notes", check.notes),
        ("to do", check.suggestions),
    )
    for title, lines in sections:
        if lines:
            yield ""
            yield title
            yield from (f"  {safe(line)}" for line in lines[:MOST_LINES])
            if len(lines) > MOST_LINES:
                yield f"  and {len(lines) - MOST_LINES:,} more (all of them with --json)"


def import_lines(found: "Imported") -> Iterator[str]:
    """An imported network: its name and size, each layer here, its pictures, its files and the model folder."""
    network = found.network
    size = f"{found.parameters:,} parameters, {network['num_classes']} classes"
    yield from textwrap.wrap(f"{safe(found.source)}: {safe(network['name'])}, {size}", 78, subsequent_indent="    ")
    yield ""
    for at, theirs, ours in found.lines:
        yield from textwrap.wrap(f"{safe(at)}  {safe(theirs)} -> {safe(ours)}", 78, subsequent_indent="    ")
    yield ""
    yield from textwrap.wrap(f"pictures: {safe(found.pictures)}", 78, subsequent_indent="    ")
    if found.recipe:
        yield from textwrap.wrap(f"trained with: {safe(found.recipe)}", 78, subsequent_indent="    ")
    yield from (f"{digest}  {safe(name)}" for name, digest in found.files)
    last = f"no model: {safe(found.missing)}" if found.model is None else f"model: {safe(found.model)}"
    yield from textwrap.wrap(last, 78, subsequent_indent="    ") if found.model is None else [last]


def export_lines(done: "Export") -> Iterator[str]:
    """How an exported file was proven, and where its certificate lies."""
    from nin.claims.claim import Sentence

    parity = done.parity
    yield f"{done.bytes:,} bytes; compared with torch on {parity['pictures']} pictures ({safe(parity['proven_on'])})"
    yield Sentence("en").vformat("probabilities {probability_difference:agree}", (), parity)
    if gate := parity.get("gate"):
        before, after = 100 * gate["accuracy_in_float32"], 100 * gate["accuracy"]
        yield (
            f"on {gate['pictures']:,} unseen pictures {100 * gate['agreement']:.2f} % keep their class; accuracy "
            f"{after:.2f} % ({before:.2f} % in float32)"
        )
        if gate["float32"]:
            yield f"left in float32: {', '.join(gate['float32'])}"
    yield from (safe(parity[word]) for word in ("input", "note") if word in parity)
    yield f"certificate: {safe(done.certificate)}"


def bench_lines(found: Sequence["Bench"]) -> list[str]:
    """One row a form of a model: milliseconds, pictures a second, megabytes, accuracy."""
    batches = list(found[0].images_per_second)
    header = (
        "model",
        "computed by",
        "ms p50",
        "p95",
        "p99",
        *(f"img/s x{batch}" for batch in batches),
        "MB",
        "accuracy",
    )
    rows = [
        (
            *(one.model, one.computed_by.replace("ONNX Runtime", "ORT")),
            *(f"{one.milliseconds[part]:.2f}" for part in ("p50", "p95", "p99")),
            *(f"{one.images_per_second[batch]:,.0f}" for batch in batches),
            f"{one.bytes / 1e6:.1f}",
            "" if one.accuracy is None else f"{100 * one.accuracy:.2f} %",
        )
        for one in found
    ]
    return table(header, rows, left=2, most=40)


def findings_lines(findings: Sequence["Finding"]) -> Iterator[str]:
    """A row for each finding, and what to do about those that are not ok."""
    rows = [("ok" if f.ok else "!!", f.name, f.value) for f in findings]
    yield from table(("", "", ""), rows, left=3, most=56)[1:]
    for finding in findings:
        if not finding.ok:
            yield f"{safe(finding.name)}: {safe(finding.advice)}"


def _by(sizes: Sequence[int]) -> str:
    return "x".join(str(size) for size in sizes)


def _bytes(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"


def reproduced_lines(result: dict[str, Any]) -> Iterator[str]:
    """A table or figure of the paper with our errors, the paper's other rows, and the verdict."""
    yield result["title"]
    whose = "ours" if result["protocol"]["ours"] else "the author's"
    start = "the author's" if result["strict"] else "repaired: Kaiming initialisation, no ReLU on the class maps"
    yield f"protocol: {result['protocol']['name']} ({whose})"
    yield f"initialisation: {start}"
    if "recorded" in result:
        yield f"recorded: {result['recorded']}, the figures and every seed there"
    rows = [
        (
            row["title"],
            f"{row['paper']:.2f}",
            "-" if row["error"] is None else f"{row['error']:.2f}",
            "-" if row["spread"] is None else f"{row['spread']:.2f}",
            row["n"],
            row["dead starts"],
            "-" if row["minutes"] is None else f"{row['minutes']:.{int(row['minutes'] < 99)}f}",
        )
        for row in result["rows"]
    ]
    rows += [(name, f"{error:.2f}", "", "", "", "", "") for name, error in result["others"]]
    yield from table(("test error, %", "paper", "ours", "±", "n", "dead", "min"), rows, most=PAPER_WIDTH)
    if scores := result.get("scores"):
        yield f"the map of the true class is the strongest in {scores['strongest_map']:.1f} % of the test pictures"
        where = f"its quarter of {scores['mosaics']:,} mosaics in {scores['pointing']:.1f} %"
        yield f"a class's map peaks in {where} (chance: 25 %)"
    yield result["verdict"]
    yield ""

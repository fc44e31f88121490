"""Exporting: one file that holds everything, proven equal to torch before anything is written.

onnx: any number of pictures of any size (N, H0, W0, C) uint8 in; probabilities and logits (N, K), class maps
(N, K, h, w) and, where the model knows its training pictures, distances from them (N,) out. onnx-int8: the same with
eight-bit convolutions. standard: one picture of a fixed size, resized by whoever asks (nin.engine.standard). pt2:
torch.export of the network with its normalisation, for pictures of the network's own size.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nin.bundle.folder import Bundle
from nin.data.depth import in_words
from nin.data.machine import usable_cores
from nin.data.preprocess import Preprocess
from nin.engine.engine import FACTS, Answers, Engine, ModelFacts, facts_of_bundle
from nin.engine.graph import PICTURES, RESIZED, core, outputs_of
from nin.engine.onnx_file import Graph, Port, from_bytes, to_bytes
from nin.engine.quantise import Ranged, calibrate, convolutions, quantised, tapped
from nin.engine.resize import resizing
from nin.engine.runtimes import onnxruntime, session
from nin.engine.standard import standard
from nin.errors import ModelError
from nin.version import __version__

CLOSE = 1e-5  # of a probability, between float32 files and torch
CLOSE_DISTANCE = 1e-3  # of a distance, or of 1 where it is less, between float32 files and torch
AGREE = 0.995  # share of pictures whose likeliest class may not change in eight bits
LOSS = 0.002  # of accuracy that eight bits may cost
ALIKE = 0.98  # share of pictures, or all but one, that stay like or unlike the training pictures in eight bits
BATCH = 64
Reference = Callable[[np.ndarray], Answers]


@dataclass(frozen=True, eq=False)
class Exported:
    """A file ready to be written and how it was proven: `parity` holds the numbers of the certificate."""

    data: bytes
    facts: ModelFacts
    parity: dict[str, Any]


def whole(bundle: Bundle, inner: Graph, facts: ModelFacts) -> Graph:
    """The graph of a file: resizing, then `inner`, with all that a reader wants to know in its metadata."""
    build = resizing(bundle.preprocess)
    pictures = Port(PICTURES, "uint8", ("batch", "height", "width", bundle.preprocess.channels))
    own = bundle.preprocess.value_range
    deep = "" if own is None else f"; values of {in_words(own)} brought to 0 to 255 before, others clipped"
    metadata = {
        FACTS: facts.to_json(),
        "labels": "\n".join(bundle.classes),
        "preprocessing": bundle.preprocess.in_words(),
        "input": f"{PICTURES}: uint8 (batch, height, width, channels), any size; not resized, not normalised{deep}",
        "licence": str(bundle.provenance.get("license", "unknown")),
    }
    constants = {**build.constants, **inner.constants}
    return Graph(inner.name, (*build.nodes, *inner.nodes), constants, (pictures,), inner.outputs, metadata)


class Exporter:
    """What a file is made of and proven with; `reference` answers as torch does for pictures of the network's size.

    pictures: real ones of any size, (H0, W0, C) uint8, that the proof is made on.
    """

    def __init__(self, bundle: Bundle, reference: Reference, pictures: Sequence[np.ndarray]) -> None:
        self.bundle = bundle
        self.pictures = pictures
        self.sized = np.stack([bundle.preprocess.resize(picture) for picture in pictures])
        self.expected = reference(self.sized)
        self.inner = core(bundle)

    def onnx(self) -> Exported:
        """The float32 file; ModelError unless its probabilities are torch's to 1e-5 on every picture."""
        facts = facts_of_bundle(self.bundle)
        data = to_bytes(whole(self.bundle, self.inner, facts), __version__)
        parity = self._measured(data)
        return Exported(data, facts, _passed(parity))

    def standard(self) -> Exported:
        """The float32 file for one picture that others resize; ModelError unless it gives torch's probabilities."""
        facts = facts_of_bundle(self.bundle)
        graph = standard(self.bundle)
        said = _input_in_words(self.bundle.preprocess)
        metadata = {**whole(self.bundle, self.inner, facts).metadata, "input": said}
        data = to_bytes(replace(graph, metadata=metadata), __version__)
        from_bytes(data, "the exported file")
        pictures = [np.ascontiguousarray(each.transpose(2, 0, 1)[None], np.float32) for each in self.sized]
        parity = {**self._compared(data, pictures), "input": said}
        return Exported(data, facts, _passed(parity))

    def pt2(self, program: bytes, run: Callable[[bytes, np.ndarray], Answers]) -> Exported:
        """The torch.export program, loaded again and run; ModelError unless its probabilities are torch's to 1e-5."""
        found = run(program, self.sized)
        parity = {
            "pictures": len(self.sized),
            "probability_difference": apart(found.probabilities, self.expected.probabilities),
            **distances_apart(found, self.expected),
        }
        return Exported(program, facts_of_bundle(self.bundle), _passed(parity))

    def int8(self, calibration: np.ndarray, images: np.ndarray, labels: np.ndarray) -> Exported:
        """The eight-bit file that passes the gate with the fewest convolutions left in float32.

        calibration: training pictures (n, H, W, C) uint8 that ranges come from; images (m, H, W, C), labels (m,):
        pictures it has not seen. ModelError when no choice of ranges keeps the likeliest class and the accuracy.
        """
        before = self._answers(self.inner, images)
        right = (before.logits.argmax(1) == labels).mean()
        tried: list[dict[str, Any]] = []
        found = ranges_of(self.inner, calibration)
        for ranges, in_float in self._choices(found, calibration[:BATCH]):
            graph = quantised(self.inner, ranges, in_float, found.means)
            answers = self._answers(graph, images)
            after = answers.logits.argmax(1)
            agreement = (after == before.logits.argmax(1)).mean()
            accuracy = (after == labels).mean()
            tried.append({"float32": sorted(in_float), "agreement": float(agreement), "accuracy": float(accuracy)})
            alike = self._alike(before, answers)
            tried[-1] |= {} if alike is None else {"unlike_agreement": alike}
            kept = alike is None or alike >= min(ALIKE, 1 - 1 / len(images))
            if agreement >= AGREE and accuracy >= right - LOSS and kept:
                facts = facts_of_bundle(self.bundle, "int8")
                data = to_bytes(whole(self.bundle, graph, facts), __version__)
                gate = {"pictures": len(images), "accuracy_in_float32": float(right), "tried": tried, **tried[-1]}
                allowed = {"agreement": AGREE, "loss_of_accuracy": LOSS}
                allowed |= {} if alike is None else {"unlike_agreement": ALIKE}
                return Exported(data, facts, {**self._measured(data), "gate": gate, "allowed": allowed, "passed": True})
        best = max(tried, key=lambda one: one["agreement"])
        if "unlike_agreement" in best and best["agreement"] >= AGREE and best["accuracy"] >= right - LOSS:
            raise ModelError(
                f"in eight bits too many pictures become unlike the training pictures or like them (the same for "
                f"{100 * best['unlike_agreement']:.2f} % of {len(images):,}, needed: {100 * ALIKE:g} %); "
                "nothing was written"
            )
        raise ModelError(
            f"in eight bits the likeliest class stays the same for {100 * best['agreement']:.2f} % of {len(images):,} "
            f"pictures at best (needed: {100 * AGREE:g} %, accuracy at most {100 * LOSS:g} points lower); "
            "nothing was written"
        )

    def _alike(self, before: Answers, after: Answers) -> float | None:
        """Share of pictures that are like or unlike the training pictures as before; None where that is not known."""
        if before.distances is None or after.distances is None:
            return None
        is_unlike = self.bundle.calibration.is_unlike
        pairs = zip(before.distances, after.distances, strict=True)
        return float(np.mean([is_unlike(float(old)) == is_unlike(float(new)) for old, new in pairs]))

    def _choices(
        self, found: Ranged, images: np.ndarray
    ) -> Iterator[tuple[dict[str, tuple[float, float]], frozenset[str]]]:
        """Ranges and convolutions left in float32, the fastest choice first; each next one is more careful."""
        names = [node.name for node in convolutions(self.inner)[:-1]]
        first = frozenset(names[:1])
        yield from ((found.extremes, frozenset()), (found.fitted, frozenset()))
        yield from ((found.extremes, first), (found.fitted, first))
        worst = sorted(names[1:], key=lambda name: -self._harm(name, found.fitted, images))
        for count in (1, 2, 4, len(worst) // 2):
            yield found.fitted, first | frozenset(worst[:count])

    def _harm(self, name: str, ranges: dict[str, tuple[float, float]], images: np.ndarray) -> float:
        """How far logits move when this convolution alone is in eight bits."""
        others = frozenset(node.name for node in convolutions(self.inner)) - {name}
        alone = self._answers(quantised(self.inner, ranges, others), images).logits
        return float(np.abs(alone - self._answers(self.inner, images).logits).mean())

    def _answers(self, graph: Graph, images: np.ndarray) -> Answers:
        return Engine(facts_of_bundle(self.bundle), graph).run(images)

    def _measured(self, data: bytes) -> dict[str, Any]:
        """The file as it will be read: pictures of any size one by one, and all at once in the network's size."""
        from_bytes(data, "the exported file")
        running = session(data, usable_cores(), "the exported file")
        together = running.run(outputs_of(self.bundle.calibration), {PICTURES: self.sized})
        return {
            **self._compared(data, [picture[None] for picture in self.pictures]),
            "sizes": len({picture.shape[:2] for picture in self.pictures}),
            "probability_difference_in_a_batch": apart(together[0], self.expected.probabilities),
        }

    def _compared(self, data: bytes, pictures: Sequence[np.ndarray]) -> dict[str, Any]:
        """What a file gives for pictures, asked one by one, beside torch."""
        running = session(data, usable_cores(), "the exported file")
        names = outputs_of(self.bundle.calibration)
        single = [running.run(names, {PICTURES: picture}) for picture in pictures]
        found = Answers(*(np.concatenate(part) for part in zip(*single, strict=True)))
        same = (found.logits.argmax(1) == self.expected.logits.argmax(1)).mean()
        return {
            "pictures": len(pictures),
            "probability_difference": apart(found.probabilities, self.expected.probabilities),
            "logit_difference": apart(found.logits, self.expected.logits),
            "map_difference": apart(found.maps, self.expected.maps),
            **distances_apart(found, self.expected),
            "mean_of_map_less_logit": apart(found.maps.mean((2, 3), dtype=np.float64), found.logits),
            "same_class": float(same),
            "onnxruntime": onnxruntime.__version__,
        }


def ranges_of(inner: Graph, calibration: np.ndarray) -> Ranged:
    """What a network's convolutions read, as calibration pictures (n, H, W, C) uint8 of its own size give it."""
    graph, names = tapped(inner)
    running = session(to_bytes(graph, __version__), usable_cores(), graph.name)
    parts = [
        running.run(list(names), {RESIZED: calibration[start : start + BATCH]})
        for start in range(0, len(calibration), BATCH)
    ]
    return calibrate({name: np.concatenate(part) for name, part in zip(names, zip(*parts, strict=True), strict=True)})


def _input_in_words(preprocess: Preprocess) -> str:
    """What a standard file is given."""
    height, width = preprocess.size
    colours = {1: "grey", 3: "RGB", 4: "RGBA"}[preprocess.channels]
    return (
        f"{PICTURES}: float32 (1, {preprocess.channels}, {height}, {width}), {colours}, values from 0 to 255, already "
        f"{height} x {width} pixels ({preprocess.fit}, antialiased bilinear); not normalised"
    )


def _passed(parity: dict[str, Any]) -> dict[str, Any]:
    """The numbers with what is allowed; ModelError unless they are within it."""
    allowed = {"probability_difference": CLOSE}
    if "distance_difference" in parity:
        allowed["distance_difference"] = CLOSE_DISTANCE
    for kind, most in allowed.items():
        off = max(value for name, value in parity.items() if name.startswith(kind))
        if not off <= most:
            what = "probabilities" if kind == "probability_difference" else "distances"
            raise ModelError(
                f"the exported file gives other {what} than torch (off by {off:.1e}, allowed {most:g}); "
                "nothing was written"
            )
    return {**parity, "allowed": allowed, "passed": True}


def distances_apart(found: Answers, expected: Answers) -> dict[str, float]:
    """How far distances are apart, as shares of them where they are more than 1; nothing where there are none."""
    if found.distances is None or expected.distances is None:
        return {}
    scale = np.maximum(1, expected.distances.astype(np.float64))
    return {"distance_difference": apart(found.distances / scale, expected.distances / scale)}


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference of two arrays of one shape."""
    return float(np.abs(np.asarray(a, np.float64) - b).max())

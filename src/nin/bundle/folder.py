"""The model folder in Hugging Face's hub layout, written and read (torch-free).

It holds config.json, model.safetensors, labels.txt, README.md and, where there was one, the log of its training and
what its preprocessing was fitted to (ZCA: a file of its own, so that model.safetensors is the network alone), and how
its training pictures look to the last layer (nin.bundle.likeness).
config.json carries the SHA-256 of every other file and its own, so one flipped bit anywhere is noticed on reading.
Shapes: K classes, C channels, (H, W) sides of the picture the network sees.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nin.artifacts import read_bytes, replace_folder, write_bytes, write_text
from nin.bundle.card import Calibration, licence, model_card
from nin.bundle.likeness import Likeness
from nin.bundle.shipped import CONFIG, find_model
from nin.data.preprocess import Preprocess
from nin.data.spelling import as_text
from nin.errors import ArtifactError, ModelError, UsageError, escape_name
from nin.network.config import NINConfig, SettingError
from nin.network.demands import expect_modest, expect_weights
from nin.sealed import open_sealed_json, open_tensors, seal_json, write_tensors

FORMAT = 1  # raised when an older program could misread what a newer one writes
WEIGHTS = "model.safetensors"
LABELS = "labels.txt"
CARD = "README.md"
LOG = "training.csv"  # the run's results.csv; a model need not have one
FITTED = "preprocess.safetensors"  # the preprocessing's arrays, float32; only models that whiten have one
FILES = (WEIGHTS, LABELS, CARD)  # what config.json vouches for, always
LIKENESS = "likeness.safetensors"  # class means and covariance of the features, where "unknown" uses them
REPLACEABLE = (CONFIG, *FILES, LOG, FITTED, LIKENESS, "model.onnx")  # all that there may be; an old export goes too
_SMALL = 16 * 2**20  # bytes; the table of 1000 labels is 20 kB
_LARGE = 2**30  # bytes; a NIN for ImageNet is 30 MB
_TEXTS = (".json", ".txt", ".md", ".csv")
_CROP_MODES = {"stretch": "squash", "pad": "border", "crop": "center"}  # timm's words for ours


@dataclass(frozen=True, eq=False)
class Bundle:
    """A model folder that was read and verified; `network` is the dictionary of the network's configuration."""

    folder: Path
    network: dict[str, Any]
    classes: tuple[str, ...]
    preprocess: Preprocess
    calibration: Calibration
    metrics: dict[str, Any]
    provenance: dict[str, Any]
    digests: dict[str, str]  # SHA-256 of every file but config.json, by name
    _stored: dict[str, np.ndarray] = field(repr=False)
    likeness: Likeness | None = None

    @property
    def classifier(self) -> str:
        """The name of the last layer, which makes the class maps."""
        return str(_layout(self.network, self.folder)["classifier"])

    def weights(self) -> dict[str, np.ndarray]:
        """Name -> array, finite; float32 however they are stored, counters as the integers they are."""
        return {name: _as(array, np.float32) for name, array in self._stored.items()}


def write_bundle(
    folder: str | Path,
    *,
    network: Mapping[str, Any],
    weights: Mapping[str, np.ndarray],
    classes: Sequence[str],
    preprocess: Preprocess,
    calibration: Calibration,
    metrics: Mapping[str, Any],
    provenance: Mapping[str, Any],
    card: str | None = None,
    log: str | None = None,
    dtype: Literal["float32", "float16"] = "float32",
    likeness: Likeness | None = None,
) -> None:
    """Write the folder whole or not at all; one of ours that is already there is replaced at once.

    `card` is the text of README.md, by default written from the rest; `log` the CSV that the training left; `likeness`
    goes with the calibration's `unknown_beyond`. Raises ModelError for parts that do not fit each other and for weights
    that are not finite in `dtype`, ArtifactError when the disk refuses.
    """
    stored = {name: _as(np.asarray(array), np.dtype(dtype)) for name, array in weights.items()}
    _expect_fit(network, classes, preprocess, stored, folder)
    about = {} if likeness is None else likeness.tensors()
    _likeness(about, calibration, network, folder)
    text = card or model_card(network, classes, preprocess, calibration, metrics, provenance)
    with replace_folder(folder, may_hold=REPLACEABLE) as new:
        write_tensors(new / WEIGHTS, stored, {"format": "pt"})
        write_text(new / LABELS, _labels(classes))
        write_text(new / CARD, text)
        more = []
        if log is not None:
            write_text(new / LOG, log)
            more.append(LOG)
        if fitted := preprocess.tensors():
            write_tensors(new / FITTED, fitted, {})
            more.append(FITTED)
        if about:
            write_tensors(new / LIKENESS, about, {})
            more.append(LIKENESS)
        ours = {
            "format": FORMAT,
            "network": dict(network),
            "preprocess": preprocess.to_dict(),
            "calibration": calibration.to_dict(),
            "metrics": dict(metrics),
            "provenance": dict(provenance),
            "files": {name: hashlib.sha256(read_bytes(new / name)).hexdigest() for name in (*FILES, *more)},
        }
        config = {**_hub_config(network, classes, preprocess, licence(provenance), folder), "nin": ours}
        write_bytes(new / CONFIG, seal_json(config))


def _hub_config(
    network: Mapping[str, Any], classes: Sequence[str], preprocess: Preprocess, licence: str, folder: str | Path
) -> dict[str, Any]:
    """The members of config.json that timm and the hub know."""
    layout = _layout(network, folder)
    return {
        "architecture": network["name"],
        "num_classes": len(classes),
        "num_features": layout["num_features"],
        "global_pool": "avg",
        "label_names": list(classes),
        "pretrained_cfg": {
            "input_size": [preprocess.channels, *preprocess.size],
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": _CROP_MODES[preprocess.fit],
            **_hub_statistics(preprocess),
            "classifier": layout["classifier"],
            "first_conv": layout["first_conv"],
            "license": licence,
        },
    }


def _hub_statistics(preprocess: Preprocess) -> dict[str, list[float]]:
    """Mean and standard deviation, where they are all: a program that knows no other normalisation is not to guess."""
    if preprocess.normalisation != "standard":
        return {}
    return {"mean": list(preprocess.mean), "std": list(preprocess.std)}


def read_bundle(folder: str | Path) -> Bundle:
    """Read a model folder and verify every file of it.

    Raises ModelError in one line when it is not there, not ours, incomplete, damaged, inconsistent or too new.
    """
    folder = Path(folder)
    try:
        return bundle_of(verified_files(partial(read_file, folder), folder), folder)
    except ArtifactError as error:
        raise ModelError(str(error)) from error


def bundle_of(files: Mapping[str, bytes], folder: Path) -> Bundle:
    """The model that verified files make, as `verified_files` gives them: nothing is read or digested again.

    `folder` is what messages call their place. Raises ModelError or ArtifactError as `read_bundle` does.
    """
    config = open_sealed_json(files[CONFIG], folder / CONFIG)
    ours = config["nin"]
    stored, _ = open_tensors(files[WEIGHTS], folder / WEIGHTS)
    fitted = open_tensors(files[FITTED], folder / FITTED)[0] if FITTED in files else {}
    about = open_tensors(files[LIKENESS], folder / LIKENESS)[0] if LIKENESS in files else {}
    network = _part(ours, "network", dict, folder)
    classes = _part(config, "label_names", list, folder)
    metrics = _part(ours, "metrics", dict, folder)
    provenance = _part(ours, "provenance", dict, folder)
    try:
        preprocess = Preprocess.from_dict(_part(ours, "preprocess", dict, folder), fitted)
        calibration = Calibration(**_part(ours, "calibration", dict, folder))
    except (ModelError, UsageError, TypeError) as error:
        found = f"{escape_name(folder / CONFIG)} cannot be used ({escape_name(error)[:300]})"
        raise ModelError(f"{found}; train again or get the model again") from error
    _expect_fit(network, classes, preprocess, stored, folder)
    if config.get("num_classes") != len(classes):
        raise ModelError(
            f"{escape_name(folder)} names {len(classes)} labels for another number of classes; train again"
        )
    return Bundle(
        folder=folder,
        network=network,
        classes=tuple(map(as_text, classes)),
        preprocess=preprocess,
        calibration=calibration,
        metrics=metrics,
        provenance=provenance,
        digests=ours["files"],
        _stored=stored,
        likeness=_likeness(about, calibration, network, folder),
    )


def _likeness(
    tensors: Mapping[str, np.ndarray], calibration: Calibration, network: Mapping[str, Any], folder: str | Path
) -> Likeness | None:
    """What the tensors say of the training pictures; ModelError unless they are there where they are used."""
    if bool(tensors) != (calibration.unknown_beyond is not None):
        found = f"has {LIKENESS} and no unknown_beyond" if tensors else f"has unknown_beyond and no {LIKENESS}"
        raise ModelError(f"{escape_name(folder)} {found}, which go together; train again or get the model again")
    if not tensors:
        return None
    try:
        return Likeness.from_tensors(tensors, network["num_classes"], _layout(network, folder)["num_features"])
    except ModelError as error:
        raise ModelError(f"{escape_name(folder)}: {error}; train again or get the model again") from error


def verified_files(read: Callable[[str, int], bytes], place: Path) -> dict[str, bytes]:
    """The files of a model by name, config.json first, each one what config.json vouches for.

    `read(name, limit)` gives a file's content from wherever the model lies, or raises; it shall not give more than
    `limit` bytes. `place` is what messages call it. Raises ModelError when it is not ours, incomplete, damaged or too
    new.
    """
    files = {CONFIG: read(CONFIG, _SMALL)}
    if b'"nin": {' not in files[CONFIG]:
        raise ModelError(
            f"{escape_name(place / CONFIG)} was not written by nin, or is damaged; expected the folder of a nin model"
        )
    ours = _part(open_sealed_json(files[CONFIG], place / CONFIG), "nin", dict, place)
    if ours.get("format") != FORMAT:
        raise ModelError(
            f"{escape_name(place)} has the model format {escape_name(ours.get('format'))[:20]} and this program "
            f"reads {FORMAT}; upgrade: pip install -U network-in-network"
        )
    digests = _part(ours, "files", dict, place)
    if not set(FILES) <= set(digests) <= set(REPLACEABLE) - {CONFIG}:
        raise ModelError(f"{escape_name(place / CONFIG)} has a list of files that nin does not write; train again")
    for name in sorted(digests):
        files[name] = read(name, _SMALL if name.endswith(_TEXTS) else _LARGE)
        if hashlib.sha256(files[name]).hexdigest() != digests[name]:
            raise ModelError(
                f"{escape_name(place / name)} is damaged or was changed (SHA-256 differs from the one in config.json); "
                "copy the whole folder again"
            )
    return files


def read_file(folder: Path, name: str, limit: int) -> bytes:
    """One file of a model folder, of at most `limit` bytes; ModelError when it is not there."""
    path = folder / name
    if name == CONFIG and not path.is_file():
        found = "has no config.json" if folder.is_dir() else "is a file" if folder.exists() else "does not exist"
        raise ModelError(
            f"{escape_name(folder)} {found}; expected the model folder that nin train wrote (runs/.../model)"
        )
    if not path.exists():
        raise ModelError(f"{escape_name(path)} is missing; copy the whole folder again")
    return read_bytes(path, limit=limit, follow=False)


def _part(config: Mapping[str, Any], name: str, kind: type, folder: Path) -> Any:
    value = config.get(name)
    if not isinstance(value, kind):
        raise ModelError(f"{escape_name(folder / CONFIG)} has no usable {name!r}; it is not a model of this program")
    return value


def _layout(network: Mapping[str, Any], folder: str | Path) -> dict[str, Any]:
    """Names of the first and the last layer and the features the last one reads, from the network's dictionary."""
    try:
        *_, last = network["blocks"]
        _, *middle, _ = last["channels"]
        return {
            "num_classes": network["num_classes"],
            "in_channels": network["in_channels"],
            "num_features": int(last["channels"][-2]),
            "first_conv": "blocks.0.spatial",
            "classifier": f"blocks.{len(network['blocks']) - 1}.pointwise.{len(middle)}",
        }
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{escape_name(folder)} has no usable network description; train again") from error


def _expect_fit(
    network: Mapping[str, Any],
    classes: Sequence[Any],
    preprocess: Preprocess,
    weights: Mapping[str, np.ndarray],
    folder: str | Path,
) -> None:
    """Raise ModelError unless network, classes, preprocessing and weights belong together and are finite."""
    where = escape_name(folder)
    layout = _layout(network, folder)
    if not classes or not all(isinstance(name, str) for name in classes) or len(set(classes)) != len(classes):
        raise ModelError(
            f"{where} has {len(classes)} class names that are empty or not different; name each class once"
        )
    if layout["num_classes"] != len(classes):
        found = escape_name(layout["num_classes"])
        raise ModelError(f"{where} has a network for {found} classes and {len(classes)} class names; make them equal")
    if layout["in_channels"] != preprocess.channels:
        found = escape_name(layout["in_channels"])
        raise ModelError(f"{where} has a network for {found} channels and pictures with {preprocess.channels}")
    last = weights.get(f"{layout['classifier']}.weight")
    if last is None or last.ndim < 1 or last.shape[0] != len(classes):
        found = "no" if last is None else f"{last.shape[0] if last.ndim else 0}"
        raise ModelError(f"{where} has weights for {found} classes in {layout['classifier']}; expected {len(classes)}")
    for name, array in weights.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ModelError(
                f"{where}: the weights {escape_name(name)} hold NaN or infinity as {array.dtype}; "
                "use float32, or train again"
            )
    try:
        config = NINConfig.from_dict(network)
        expect_weights(config, {name: array.shape for name, array in weights.items()})
        expect_modest(config, preprocess.size)
    except SettingError as error:
        fault = f"{where} has a network that cannot be used ({escape_name(error)[:300]})"
        raise ModelError(f"{fault}; train again or get the model again") from error


def _as(array: np.ndarray, dtype: np.dtype[Any] | type[Any]) -> np.ndarray:
    """A copy, floating-point numbers in `dtype`, others as they are; overflow becomes infinity, in silence."""
    with np.errstate(over="ignore"):
        return array.astype(dtype if array.dtype.kind == "f" else array.dtype)


def _labels(classes: Sequence[str]) -> str:
    return "".join(f"{escape_name(name)}\n" for name in classes)


def open_bundle(model: str | Path) -> Bundle:
    """The model of a folder, of the run folder that holds it, or of the package by its name; ModelError otherwise."""
    return read_bundle(find_model(model))

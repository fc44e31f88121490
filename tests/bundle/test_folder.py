"""The model folder: what is written is read, anything else is refused in one line."""

import errno
import hashlib
import json
import os
import random
import re
import shutil
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nin.bundle import folder as module
from nin.bundle.card import Calibration
from nin.bundle.folder import read_bundle, write_bundle
from nin.bundle.likeness import fit_likeness
from nin.data.preprocess import Preprocess
from nin.data.whiten import Zca, fit_zca
from nin.errors import ArtifactError, ModelError, NinError, UsageError
from nin.sealed import open_sealed_json, seal_json

FILES = ("README.md", "config.json", "labels.txt", "model.safetensors")
CLASSES = ("고양이", "dog", "bird")


def network(classes: int = 3, channels: int = 3) -> dict:
    blocks = [{"channels": [8, 6], "kernel_size": 3}, {"channels": [8, 5, classes], "kernel_size": 3}]
    return {"name": "nin", "blocks": blocks, "num_classes": classes, "in_channels": channels, "norm": "batch"}


def weights(classes: int = 3, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {
        "blocks.0.spatial.weight": (8, 3, 3, 3),
        "blocks.0.pointwise.0.weight": (6, 8, 1, 1),
        "blocks.1.spatial.weight": (8, 6, 3, 3),
        "blocks.1.pointwise.0.weight": (5, 8, 1, 1),
        "blocks.1.pointwise.1.weight": (classes, 5, 1, 1),
        "blocks.1.pointwise.1.bias": (classes,),
    }
    counters = {}
    for norm, width in (("0.norms.0", 8), ("0.norms.1", 6), ("1.norms.0", 8), ("1.norms.1", 5)):
        shapes |= {f"blocks.{norm}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")}
        counters[f"blocks.{norm}.num_batches_tracked"] = np.array(123_456_789)
    return {**{name: rng.normal(size=shape) for name, shape in shapes.items()}, **counters}


METRICS = {
    "n": 1797,
    "accuracy": 0.9215,
    "interval": [0.908, 0.9331],
    "per_class": [{"label": "고양이", "support": 600, "precision": 0.9, "recall": 0.95, "f1": 0.924}],
}


def parts(**changes) -> dict:
    return {
        "network": network(),
        "weights": weights(),
        "classes": CLASSES,
        "preprocess": Preprocess((32, 48), 3, "crop", (0.5, 0.4, 0.3), (0.2, 0.2, 0.25)),
        "calibration": Calibration(1.25, 0.4),
        "metrics": METRICS,
        "provenance": {"data": "사진", "epochs": 30, "versions": {"torch": "2.13.0"}},
        **changes,
    }


@pytest.fixture
def folder(tmp_path) -> Path:
    write_bundle(tmp_path / "model", **parts())
    return tmp_path / "model"


def refused(folder: Path, text: str) -> str:
    with pytest.raises(ModelError, match=text) as caught:
        read_bundle(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)


def test_what_was_verified_is_what_is_used_and_every_file_is_read_and_digested_once(folder, monkeypatch):
    before, read, digested = read_bundle(folder).weights(), [], []
    real, sha256 = module.read_bytes, hashlib.sha256
    write_bundle(folder.parent / "other", **parts(weights={name: array + 1 for name, array in weights().items()}))

    def reading(path, **options):
        data = real(path, **options)
        read.append(Path(path).name)
        if read[-1] == "model.safetensors":  # somebody exchanges it as soon as it is read
            shutil.copy(folder.parent / "other" / "model.safetensors", path)
        return data

    def digest(data=b"", **options):
        digested.append(len(data))
        return sha256(data, **options)

    size = (folder / "model.safetensors").stat().st_size
    monkeypatch.setattr(module, "read_bytes", reading)
    monkeypatch.setattr("hashlib.sha256", digest)
    found = read_bundle(folder).weights()
    monkeypatch.undo()
    assert all(np.array_equal(found[name], before[name]) for name in before)
    assert sorted(read) == sorted({*read, "config.json", "model.safetensors", "labels.txt", "README.md"})
    assert digested.count(size) == 1


def test_what_is_written_is_read(folder):
    found, given_ = read_bundle(folder), parts()
    for name in ("network", "classes", "preprocess", "calibration", "metrics", "provenance"):
        assert getattr(found, name) == given_[name]
    assert found.folder == folder
    read = found.weights()
    assert read.keys() == given_["weights"].keys()
    for name, array in given_["weights"].items():
        expected = np.float32(array) if array.dtype.kind == "f" else array
        np.testing.assert_array_equal(read[name], expected)
        assert read[name].dtype == expected.dtype
    read["blocks.1.pointwise.1.bias"][:] = 7
    assert not (found.weights()["blocks.1.pointwise.1.bias"] == 7).any()


def test_half_precision_is_half_the_bytes_and_reads_as_float32(folder, tmp_path):
    write_bundle(tmp_path / "half", **parts(), dtype="float16")
    stored = safetensors.numpy.load_file(tmp_path / "half" / "model.safetensors")
    for name, array in read_bundle(tmp_path / "half").weights().items():
        if array.dtype.kind == "f":
            assert stored[name].dtype == np.float16
            assert array.dtype == np.float32
            np.testing.assert_array_equal(array, np.float16(parts()["weights"][name]).astype(np.float32))
    assert read_bundle(tmp_path / "half").weights()["blocks.0.norms.0.num_batches_tracked"] == 123_456_789


def test_the_same_model_gives_the_same_bytes(folder, tmp_path):
    write_bundle(tmp_path / "again", **parts(weights=dict(reversed(weights().items()))))
    for name in FILES:
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_the_layout_is_the_one_the_hub_knows(folder):
    assert sorted(entry.name for entry in folder.iterdir()) == sorted(FILES)
    config = json.loads((folder / "config.json").read_bytes())
    assert config["architecture"] == "nin"
    assert (config["num_classes"], config["num_features"], config["global_pool"]) == (3, 5, "avg")
    assert config["label_names"] == list(CLASSES)
    assert config["pretrained_cfg"] == {
        "input_size": [3, 32, 48],
        "interpolation": "bilinear",
        "crop_pct": 1.0,
        "crop_mode": "center",
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.2, 0.25],
        "classifier": "blocks.1.pointwise.1",
        "first_conv": "blocks.0.spatial",
        "license": "unknown",
    }
    for name, digest in config["nin"]["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert set(config["nin"]["files"]) == set(FILES) - {"config.json"}
    assert (folder / "labels.txt").read_text(encoding="utf-8").splitlines() == list(CLASSES)


def test_the_model_card_says_what_one_must_know(folder):
    _, front, text = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert yaml.safe_load(front) == {
        "library_name": "network-in-network",
        "license": "unknown",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "network-in-network", "class-activation-map"],
        "metrics": ["accuracy"],
    }
    for said in (
        "고양이, dog, bird",
        "Accuracy 92.2 % (95 % interval 90.8 to 93.3 %) on 1,797 pictures",
        "| 고양이 | 600 | 90.0 % | 95.0 % |",
        "| versions.torch | 2.13.0 |",
        "cropped in the middle to 32 x 48 pixels",
        "nin predict path/to/this/folder picture.jpg",
        'Under a probability of 0.4 the answer is "unknown"',
        "## Limits",
        "how many that are was not measured",
    ):
        assert said in text
    with_nothing = parts(metrics={}, provenance={"license": "CC-BY-4.0"}, calibration=Calibration())
    write_bundle(folder, **with_nothing)
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "It has not been measured." in text
    assert "license: cc-by-4.0" in text  # the hub knows licences by small letters only
    assert "unknown" not in text
    assert "of these classes, too. \n" in text
    foreign = [{"pictures": "<b>photos</b>", "n": 1372, "unknown": 0.394, "over_90": 0.261}]
    write_bundle(folder, **parts(metrics={"foreign": foreign}))
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "| pictures | n | unknown | answered with over 90 % |" in text
    assert r"| \<b\>photos\</b\> | 1,372 | 39 % | 26 % |" in text and "was not measured" not in text
    write_bundle(folder, **parts(), card="my own words\n")
    assert (folder / "README.md").read_text() == "my own words\n"
    read_bundle(folder)


def test_every_flipped_bit_in_every_file_is_noticed(folder):
    rng, names = random.Random(8), sorted(FILES)
    unnoticed = []
    for index in range(10_000 if os.environ.get("NIN_HEAVY") == "1" else 1_000):
        path = folder / names[index % 4]
        place = rng.randrange(path.stat().st_size * 8)
        with path.open("r+b") as file:
            file.seek(place // 8)
            byte = file.read(1)[0]
            for value in (byte ^ 1 << place % 8, byte):
                file.seek(place // 8)
                file.write(bytes([value]))
                file.flush()
                if value != byte:
                    try:
                        read_bundle(folder)
                        unnoticed.append((path.name, place))
                    except ModelError as error:
                        assert "\n" not in str(error)
    assert unnoticed == []
    read_bundle(folder)


@pytest.mark.parametrize("name", FILES)
def test_cut_missing_swapped_and_linked_files(name, folder, tmp_path):
    path, content = folder / name, (folder / name).read_bytes()
    write_bundle(tmp_path / "other", **parts(weights=weights(seed=1), metrics={}, classes=("a", "b", "c")))
    path.write_bytes(content[: len(content) // 2])
    refused(folder, "damaged|not written by nin")
    path.unlink()
    refused(folder, "is missing" if name != "config.json" else r"has no config\.json")
    shutil.copy(tmp_path / "other" / name, path)
    refused(folder, r"damaged or was changed \(SHA-256 differs")
    path.unlink()
    (tmp_path / "outside").write_bytes(content)
    path.symlink_to(tmp_path / "outside")
    refused(folder, "symbolic link")
    path.unlink()
    os.link(tmp_path / "outside", path)  # a hard link is the file itself
    read_bundle(folder)
    path.unlink()
    os.mkfifo(path)
    refused(folder, "not a regular file" if name != "config.json" else r"has no config\.json")


def test_folders_that_are_not_ours(tmp_path, folder):
    refused(tmp_path / "none", "does not exist; expected the model folder")
    refused(tmp_path, r"has no config\.json")
    refused(folder / "config.json", "is a file")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for content in (b'{"architectures": ["BertModel"]}', b"", b"[]", b"\x80\x04.", b"\xff" * 10):
        (foreign / "config.json").write_bytes(content)
        refused(foreign, "was not written by nin")


def reseal(folder: Path, change) -> None:
    """Change config.json and give it a right digest, as somebody else's program could."""
    config = open_sealed_json((folder / "config.json").read_bytes(), "config.json")
    change(config)
    (folder / "config.json").write_bytes(seal_json(config))


CHANGES = {
    "newer": (lambda c: c["nin"].update(format=2), "model format 2 and this program reads 1; upgrade: pip install -U"),
    "no format": (lambda c: c["nin"].pop("format"), "model format None"),
    "class count": (lambda c: c.update(num_classes=4), "3 labels for another number"),
    "fewer labels": (lambda c: c["label_names"].pop(), "network for 3 classes and 2 class names"),
    "same labels": (lambda c: c["label_names"].__setitem__(0, "dog"), "name each class once"),
    "labels no text": (lambda c: c["label_names"].__setitem__(0, ["dog"]), "name each class once"),
    "network classes": (lambda c: c["nin"]["network"].update(num_classes=4), "network for 4 classes"),
    "network channels": (lambda c: c["nin"]["network"].update(in_channels=1), "network for 1 channels"),
    "no blocks": (lambda c: c["nin"]["network"].update(blocks=[]), "no usable network"),
    "odd blocks": (lambda c: c["nin"]["network"].update(blocks={"a\n": 1}), "no usable network"),
    "more blocks": (lambda c: c["nin"]["network"]["blocks"].insert(0, {}), "weights for no classes in blocks.2"),
    "no classes": (lambda c: c.pop("label_names"), "no usable 'label_names'"),
    "ours a list": (lambda c: c.update(nin={"": []}, x={"nin": {"a": 1}}), "model format None"),
    "preprocess": (lambda c: c["nin"]["preprocess"].update({"size\n\x1b[31m": 1}), r"size\\n\\x1b\[31m"),
    "preprocess size": (lambda c: c["nin"]["preprocess"].update(size=[10**9, 10**9]), "1000000000"),
    "calibration": (lambda c: c["nin"]["calibration"].update(temperature=0), "temperature is 0"),
    "calibration name": (lambda c: c["nin"]["calibration"].update({"x\n": 0}), "unexpected keyword"),
    "files": (lambda c: c["nin"].pop("files"), "no usable 'files'"),
    "unlisted": (lambda c: c["nin"]["files"].pop("labels.txt"), "list of files that nin does not write"),
    "outside": (lambda c: c["nin"]["files"].update({"../../etc/passwd": "0" * 64}), "list of files"),
    "absolute": (lambda c: c["nin"]["files"].update({"/etc/passwd": "0" * 64}), "list of files"),
    "dots": (lambda c: c["nin"]["files"].update({"..": "0" * 64}), "list of files"),
    "digest a list": (lambda c: c["nin"]["files"].update({"labels.txt": []}), "SHA-256 differs"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_changed_config_with_a_right_digest_is_refused(kind, folder):
    change, text = CHANGES[kind]
    reseal(folder, change)
    refused(folder, text)


def replace_weights(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    reseal(folder, lambda config: config["nin"]["files"].update({"model.safetensors": digest}))


def with_digest(content: bytes) -> bytes:
    assert content.count(b"0" * 64) == 1
    return content.replace(b"0" * 64, hashlib.sha256(content).hexdigest().encode())


def test_weights_that_claim_huge_shapes_are_refused_at_once(folder):
    side = 2**20
    entry = {"dtype": "F32", "shape": [side, side, side], "data_offsets": [0, 4 * side**3]}
    header = {"__metadata__": {"sha256": "0" * 64}, "blocks.1.pointwise.1.weight": entry}
    text = json.dumps(header, separators=(",", ":")).encode()
    replace_weights(folder, with_digest(struct.pack("<Q", len(text)) + text + bytes(64)))
    started = time.process_time()
    refused(folder, r"model\.safetensors is damaged")
    assert time.process_time() - started < 0.2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_neither_written_nor_read(value, folder):
    bad = weights()
    bad["blocks.0.spatial.weight"][1, 2, 0, 1] = value
    before = {name: (folder / name).read_bytes() for name in FILES}
    with pytest.raises(ModelError, match=r"blocks\.0\.spatial\.weight hold NaN or infinity as float32"):
        write_bundle(folder, **parts(weights=bad))
    assert {name: (folder / name).read_bytes() for name in FILES} == before
    floats = {name: array.astype(np.float32) for name, array in bad.items()}
    replace_weights(folder, with_digest(safetensors.numpy.save(floats, {"sha256": "0" * 64})))
    refused(folder, "NaN or infinity")


def test_weights_too_large_for_half_precision_are_refused(tmp_path):
    large = {**weights(), "blocks.0.norms.0.running_var": np.full(8, 1e5)}
    with pytest.raises(ModelError, match="NaN or infinity as float16; use float32"):
        write_bundle(tmp_path / "model", **parts(weights=large), dtype="float16")
    write_bundle(tmp_path / "model", **parts(weights=large))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"classes": ("a", "b")}, "network for 3 classes and 2 class names"),
        ({"classes": ("a", "a", "b")}, "name each class once"),
        ({"classes": ()}, "name each class once"),
        ({"network": network(channels=1)}, "network for 1 channels and pictures with 3"),
        ({"network": {"name": "x"}}, "no usable network"),
        ({"weights": weights(4)}, "weights for 4 classes in blocks.1.pointwise.1; expected 3"),
        ({"weights": {}}, "weights for no classes"),
    ],
)
def test_parts_that_do_not_fit_are_not_written(changes, text, tmp_path):
    with pytest.raises(ModelError, match=text) as caught:
        write_bundle(tmp_path / "model", **parts(**changes))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_calibration_is_checked():
    for values in ({"temperature": 0}, {"temperature": float("nan")}, {"unknown_below": 1.5}, {"unknown_below": "1"}):
        with pytest.raises(UsageError, match=f"{next(iter(values))} is .+; expected a number from"):
            Calibration(**values)


def whitening(seed: int = 0) -> Preprocess:
    """ZCA really fitted, on noise of 4 x 6 pixels."""
    zca = fit_zca([np.random.default_rng(seed).integers(0, 256, (50, 4, 6, 3), np.uint8)])
    return Preprocess((4, 6), 3, "crop", (0.5, 0.4, 0.3), (0.2, 0.2, 0.25), "gcn-zca", zca)


def test_what_was_fitted_lies_in_a_file_of_its_own_and_is_read_to_the_last_bit(tmp_path):
    pre = whitening()
    write_bundle(tmp_path / "model", **parts(preprocess=pre), dtype="float16")
    assert sorted(entry.name for entry in (tmp_path / "model").iterdir()) == sorted((*FILES, "preprocess.safetensors"))
    stored = safetensors.numpy.load_file(tmp_path / "model" / "preprocess.safetensors")
    assert {name: (a.dtype, a.shape) for name, a in stored.items()} == {
        "zca.mean": (np.float32, (72,)),
        "zca.matrix": (np.float32, (72, 72)),
    }
    assert set(safetensors.numpy.load_file(tmp_path / "model" / "model.safetensors")) == set(weights())
    found = read_bundle(tmp_path / "model")
    assert found.preprocess == pre and found.weights().keys() == weights().keys()
    assert found.preprocess.zca.matrix.tobytes() == pre.zca.matrix.tobytes()
    pictures = np.random.default_rng(9).integers(0, 256, (3, 4, 6, 3), np.uint8)
    assert np.array_equal(found.preprocess.normalise(pictures), pre.normalise(pictures))


def test_a_model_that_whitens_says_so_and_tells_nobody_a_mean_that_is_not_all(tmp_path):
    write_bundle(tmp_path / "model", **parts(preprocess=whitening()))
    config = json.loads((tmp_path / "model" / "config.json").read_bytes())
    assert not {"mean", "std"} & set(config["pretrained_cfg"])
    assert config["nin"]["preprocess"]["normalisation"] == "gcn-zca"
    assert config["nin"]["preprocess"]["zca"]["pictures"] == 50
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "scaled to a norm of 55 (GCN), then ZCA whitening fitted on 50 training pictures." in card


def test_every_flipped_bit_of_what_was_fitted_is_noticed(tmp_path):
    write_bundle(tmp_path / "model", **parts(preprocess=whitening()))
    path, rng = tmp_path / "model" / "preprocess.safetensors", random.Random(3)
    good = path.read_bytes()
    for _ in range(200):
        place = rng.randrange(8 * len(good))
        bad = bytearray(good)
        bad[place // 8] ^= 1 << place % 8
        path.write_bytes(bad)
        refused(tmp_path / "model", r"preprocess\.safetensors is damaged or was changed")
    path.write_bytes(good)
    assert read_bundle(tmp_path / "model").preprocess == whitening()


def replace_fitted(folder: Path, tensors: dict, name: str = "preprocess.safetensors") -> None:
    """Put other arrays in the place of those fitted, every digest right: a mix-up, not damage."""
    path = folder / name
    path.write_bytes(with_digest(safetensors.numpy.save(tensors, {"sha256": "0" * 64})))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    reseal(folder, lambda config: config["nin"]["files"].update({path.name: digest}))


def test_arrays_of_another_model_are_refused(tmp_path):
    folder, tensors = tmp_path / "model", whitening().tensors()
    write_bundle(folder, **parts(preprocess=whitening()))
    replace_fitted(folder, tensors)
    read_bundle(folder)
    for wrong, words in (
        (whitening(1).tensors(), "not the one that this model was trained with"),
        ({"zca.mean": tensors["zca.mean"]}, r"the fitted ZCA is missing \(zca\.matrix\)"),
        ({**tensors, "zca.matrix": tensors["zca.matrix"][:5]}, "they must fit"),
        ({**tensors, "zca.matrix": np.float16(tensors["zca.matrix"])}, "expected float32"),
        ({**tensors, "zca.mean": tensors["zca.mean"] * np.float32("inf")}, "NaN or infinity"),
        (Zca(np.zeros(3, np.float32), np.eye(3, dtype=np.float32), 50).tensors(), "not the one"),
    ):
        replace_fitted(folder, wrong)
        refused(folder, words)


def test_a_missing_or_unlisted_file_of_arrays_is_refused(tmp_path):
    folder = tmp_path / "model"
    write_bundle(folder, **parts(preprocess=whitening()))
    path = folder / "preprocess.safetensors"
    held = path.read_bytes()
    path.unlink()
    refused(folder, r"preprocess\.safetensors is missing; copy the whole folder again")
    path.write_bytes(held)
    reseal(folder, lambda config: config["nin"]["files"].pop(path.name))
    refused(folder, r"the fitted ZCA is missing \(zca\.mean\)")
    write_bundle(folder, **parts())
    assert sorted(entry.name for entry in folder.iterdir()) == sorted(FILES)  # nothing of the model before stays


def knowing(seed: int = 0) -> dict:
    """Parts with what is known of the training pictures, of the network's three classes and five features."""
    features = np.random.default_rng(seed).normal(size=(60, 5)) + 3
    likeness = fit_likeness(features, np.arange(60) % 3, 3)
    return parts(likeness=likeness, calibration=Calibration(1.25, 0.4, 7.5))


def test_what_is_known_of_the_training_pictures_is_a_file_of_its_own_and_read_to_the_last_bit(tmp_path):
    folder, given_ = tmp_path / "model", knowing()
    write_bundle(folder, **given_)
    assert sorted(entry.name for entry in folder.iterdir()) == sorted((*FILES, "likeness.safetensors"))
    stored = safetensors.numpy.load_file(folder / "likeness.safetensors")
    assert {name: (a.dtype, a.shape) for name, a in stored.items()} == {
        "means": (np.float32, (3, 5)),
        "directions": (np.float16, (5, 5)),
        "scales": (np.float32, (5,)),
    }
    found = read_bundle(folder)
    assert found.calibration == given_["calibration"] and found.calibration.unknown_beyond == 7.5
    for name, array in given_["likeness"].tensors().items():
        assert found.likeness.tensors()[name].tobytes() == array.tobytes()
    card = (folder / "README.md").read_text(encoding="utf-8")
    told = 'Under a probability of 0.4 or farther than 7.5 from the training pictures the answer is "unknown".'
    assert told in card and "not sure of and those unlike all that it was trained on" in card
    write_bundle(folder, **parts())
    assert sorted(entry.name for entry in folder.iterdir()) == sorted(FILES)
    assert read_bundle(folder).likeness is None
    assert "unknown_beyond" not in json.loads((folder / "config.json").read_bytes())["nin"]["calibration"]


def test_every_flipped_bit_of_what_is_known_is_noticed(tmp_path):
    write_bundle(tmp_path / "model", **knowing())
    path, rng = tmp_path / "model" / "likeness.safetensors", random.Random(4)
    good = path.read_bytes()
    for _ in range(100):
        place = rng.randrange(8 * len(good))
        bad = bytearray(good)
        bad[place // 8] ^= 1 << place % 8
        path.write_bytes(bad)
        refused(tmp_path / "model", r"likeness\.safetensors is damaged or was changed")
    path.unlink()
    refused(tmp_path / "model", r"likeness\.safetensors is missing; copy the whole folder again")


def test_what_is_known_goes_with_its_threshold_and_fits_the_network(tmp_path):
    folder = tmp_path / "model"
    for changes, words in (
        ({"calibration": Calibration(1.25, 0.4)}, "has likeness.safetensors and no unknown_beyond"),
        ({"likeness": None}, "has unknown_beyond and no likeness.safetensors"),
    ):
        with pytest.raises(ModelError, match=words):
            write_bundle(folder, **{**knowing(), **changes})
        assert not folder.exists()
    write_bundle(folder, **knowing())
    tensors = knowing()["likeness"].tensors()
    for wrong, words in (
        ({**tensors, "means": tensors["means"][:2]}, "are not those of 3 classes of 5"),
        ({**tensors, "directions": tensors["directions"] * np.float16("nan")}, "are not usable numbers"),
        ({"means": tensors["means"]}, "are not those of"),
    ):
        replace_fitted(folder, wrong, "likeness.safetensors")
        refused(folder, words)
    reseal(folder, lambda config: config["nin"]["files"].pop("likeness.safetensors"))
    refused(folder, "has unknown_beyond and no likeness.safetensors")


HOSTILE = (
    "=cmd|' /C calc'!A0", "<script>alert(1)</script>", "../../etc/passwd", "%s%n", "\x1b[31mred", "\u202egnp.exe",
    "a\nb", "a\x00b", "| x | y |", "---", "[link](javascript:alert(1))", "\udcff", "", " ", "’", "\u2028", "`rm`",
    "{{7*7}}", "-\t",
)  # fmt: skip


def test_hostile_names_are_kept_and_nowhere_interpreted(tmp_path):
    count = len(HOSTILE)
    provenance = {name: {"x": name} for name in HOSTILE}
    metrics = {**METRICS, "per_class": [{**METRICS["per_class"][0], "label": name} for name in HOSTILE]}
    changes = {"network": network(count), "weights": weights(count), "classes": HOSTILE, "metrics": metrics}
    write_bundle(tmp_path / "model", **parts(**changes, provenance=provenance))
    found = read_bundle(tmp_path / "model")
    assert found.classes == tuple(r"\xff" if name == "\udcff" else name for name in HOSTILE)
    assert found.provenance == provenance
    assert len((tmp_path / "model" / "labels.txt").read_text(encoding="utf-8").splitlines()) == count
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert not set(card) & set("\x00\x1b\u202e\u2028")
    body = re.sub("```.*?```", "", card.split("---\n", 2)[2], flags=re.DOTALL)
    assert not re.search(r"(?<!\\)<|(?<!\\)\[", body)  # no tag and no link begins
    rows = [line for line in body.splitlines() if line.startswith("|")]
    cells = [len(re.findall(r"(?<!\\)\|", row)) for row in rows]
    assert len(rows) == 2 * (count + 2)
    assert set(cells[: count + 2]) == {5}
    assert set(cells[count + 2 :]) == {3}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=("Cs",))), min_size=1, max_size=5, unique=True))
def test_any_text_can_be_a_class_name(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("names") / "model"
    count = len(names)
    write_bundle(folder, **parts(network=network(count), weights=weights(count), classes=names, metrics={}))
    assert read_bundle(folder).classes == tuple(names)


def test_a_folder_with_somebody_elses_files_is_left_alone(folder):
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ArtifactError, match=r"holds notes\.txt, which would be lost"):
        write_bundle(folder, **parts())
    read_bundle(folder)
    (folder / "notes.txt").unlink()
    (folder / "model.onnx").write_text("an export of the old weights")
    write_bundle(folder, **parts(metrics={}))
    assert sorted(entry.name for entry in folder.iterdir()) == sorted(FILES)


def test_a_failing_disk_leaves_the_old_model_whole(folder, monkeypatch):
    before = read_bundle(folder).metrics
    for point in range(12):
        calls, real = [0], os.fsync

        def failing(descriptor, calls=calls, real=real, point=point):
            calls[0] += 1
            if calls[0] == point + 1:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            real(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing)
            try:
                write_bundle(folder, **parts(metrics={"accuracy": 0.5}))
            except NinError as error:
                assert isinstance(error, ArtifactError)
        assert calls[0] >= min(point + 1, 10)
        assert read_bundle(folder).metrics in (before, {"accuracy": 0.5})
        assert [entry.name for entry in folder.parent.iterdir()] == ["model"]

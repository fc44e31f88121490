"""Training from shards: streamed or not, interrupted or not, the same weights; what cannot be read is said."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import nin
from listening import Told
from nin.data import cache
from nin.errors import DataError, Interrupted
from nin.run.options import TrainOptions
from nin.sealed import read_tensors

QUICK = {"epochs": 2, "width": 0.1, "size": 16, "batch_size": 8, "threads": 1, "device": "cpu", "precision": "float32"}


def picture(label: int, seed: int) -> bytes:
    """Class 0 is striped and reddish, class 1 plain and bluish."""
    pixels = np.random.default_rng(seed).integers(0, 90, (20, 24, 3))
    pixels[:: 4 if label == 0 else 1, :, 2 * label] += 140
    stream = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def make_shards(folder: Path, bad: tuple[str, ...] = (), **counts: int) -> Path:
    """One shard a split, keys 000, 001, ...; `bad` names those cut short, as train/003."""
    folder.mkdir(parents=True)
    (folder / "classes.txt").write_text("고양이\n개\n", encoding="utf-8")
    for split, count in counts.items():
        with tarfile.open(folder / f"{split}-000000.tar", "w") as archive:
            for number in range(count):
                data = picture(number % 2, 1000 * len(split) + number)
                data = data[:60] if f"{split}/{number:03}" in bad else data
                for name, content in ((f"{number:03}.png", data), (f"{number:03}.cls", str(number % 2).encode())):
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
    return folder


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    return make_shards(tmp_path_factory.mktemp("data") / "shards", train=44, val=12, test=14)


@pytest.fixture(scope="module")
def streamed(shards, tmp_path_factory):
    told = Told()
    options = TrainOptions(out=tmp_path_factory.mktemp("runs") / "streamed", stream=True, **QUICK)
    return nin.train(shards, options, told), told


def weights(folder: Path) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in read_tensors(folder / "model" / "model.safetensors")[0].items()}


def arguments(folder: Path) -> dict:
    return yaml.safe_load((folder / "args.yaml").read_text(encoding="utf-8"))


def test_shards_train_and_measure_like_any_other_data(shards, tmp_path, streamed):
    run = nin.train(shards, out=tmp_path / "run", **QUICK)
    assert arguments(run.folder)["options"]["stream"] is False
    assert run.split == "test" and run.evaluation.n == 14
    assert weights(run.folder) == weights(streamed[0].folder)
    assert run.evaluation.loss == streamed[0].evaluation.loss
    measured = nin.evaluate(run.folder, shards)
    assert (measured.split, measured.evaluation.n) == ("test", 14)
    assert measured.evaluation.loss == pytest.approx(run.evaluation.loss, abs=1e-6)


def test_a_streamed_run_says_and_records_what_it_does(streamed):
    run, told = streamed
    note = (
        "train is streamed (0.0 GB decoded): every epoch decodes its pictures anew, unreadable ones are "
        "found on the way, pictures that are in two splits are not searched for; nin data check finds both"
    )
    assert [text for text in told.notes if "stream" in text] == [note]
    assert arguments(run.folder)["options"]["stream"] is True
    assert json.loads((run.folder / "data.json").read_text(encoding="utf-8"))["shared_pictures"] is None
    assert "000.png" in (run.folder / "report.html").read_text(encoding="utf-8")


def test_a_streamed_run_resumes_to_the_same_weights(shards, streamed, tmp_path):
    """Stopped in the first epoch and again in the second."""
    options = TrainOptions(out=tmp_path / "cut", stream=True, **QUICK)
    with pytest.raises(Interrupted):
        nin.train(shards, options, Told(3))
    with pytest.raises(Interrupted):
        nin.resume(tmp_path / "cut", Told(4))
    nin.resume(tmp_path / "cut")
    assert weights(tmp_path / "cut") == weights(streamed[0].folder)


def test_what_fits_nowhere_is_streamed_also_after_an_interruption(shards, streamed, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "available_memory", lambda: 44 * 16 * 16 * 3)  # room for what is held out, not for train
    monkeypatch.setattr(cache, "_free", lambda folder: 0)
    with pytest.raises(Interrupted):
        nin.train(shards, TrainOptions(out=tmp_path / "run", **QUICK), Told(3))
    assert arguments(tmp_path / "run")["options"]["stream"] is True
    monkeypatch.undo()
    told = Told()
    nin.resume(tmp_path / "run", told)
    assert [note.split(" (")[0] for note in told.notes if "stream" in note] == ["train is streamed"]
    assert weights(tmp_path / "run") == weights(streamed[0].folder)


def test_an_unreadable_picture_stops_a_streamed_run_or_is_replaced_and_counted(tmp_path):
    shards = make_shards(tmp_path / "shards", bad=("train/005", "train/020"), train=40, val=8)
    options = {**QUICK, "stream": True, "batch_size": 10}
    with pytest.raises(DataError) as caught:
        nin.train(shards, out=tmp_path / "first", **options)
    name, _, rest = str(caught.value).partition(" ")
    assert name in ("train-000000.tar/005.png", "train-000000.tar/020.png")
    assert rest == "is not a readable picture (truncated PNG); remove it or pass --skip-unreadable"
    told = Told()
    run = nin.train(shards, TrainOptions(out=tmp_path / "run", skip_unreadable=True, **options), told)
    note = (
        "2 unreadable pictures of train replaced by others of their class, for instance "
        "train-000000.tar/005.png (truncated PNG)"
    )
    assert [text for text in told.notes if "replaced" in text] == [note]
    with pytest.raises(Interrupted):
        nin.train(shards, TrainOptions(out=tmp_path / "cut", skip_unreadable=True, **options), Told(6))
    nin.resume(tmp_path / "cut")
    assert weights(tmp_path / "cut") == weights(run.folder)


def test_unreadable_pictures_held_out_are_found_before_the_first_step(tmp_path):
    shards = make_shards(tmp_path / "shards", bad=("test/001",), train=20, val=8, test=8)
    with pytest.raises(DataError) as caught:
        nin.train(shards, out=tmp_path / "run", **QUICK, stream=True)
    assert str(caught.value) == (
        "1 of 8 pictures cannot be read: test-000000.tar/001.png (truncated PNG); remove them or pass --skip-unreadable"
    )
    assert not (tmp_path / "run").exists()


def test_a_streamed_measurement_leaves_the_unreadable_out(streamed, tmp_path, monkeypatch):
    whole, holed = (make_shards(tmp_path / name, bad=bad, test=30) for name, bad in (("a", ()), ("b", ("test/003",))))
    truth = nin.evaluate(streamed[0].folder, whole).evaluation
    monkeypatch.setattr(cache, "available_memory", lambda: 0)
    monkeypatch.setattr(cache, "_free", lambda folder: 0)
    assert nin.evaluate(streamed[0].folder, whole).evaluation.loss == pytest.approx(truth.loss, abs=1e-6)
    measured = nin.evaluate(streamed[0].folder, holed, skip_unreadable=True)
    assert measured.evaluation.n == 29
    assert measured.notes == ("left out: test-000000.tar/003.png (truncated PNG)",)
    rights = [score.support for score in measured.evaluation.per_class]
    assert sorted(rights) == [14, 15]
    with pytest.raises(DataError, match=r"^test-000000\.tar/003\.png is not a readable picture \(truncated PNG\); "):
        nin.evaluate(streamed[0].folder, holed)


def test_the_next_batches_are_decoded_while_one_is_trained_on(shards, tmp_path, monkeypatch):
    """No picture of an epoch is decoded by request: the loop says the order, also in the middle of an epoch."""
    from nin.data.stream import StreamedImages

    missed: list[int] = []
    read = StreamedImages.__getitem__

    def watched(self, key):
        if isinstance(key, np.ndarray) and key.ndim and not np.array_equal(key, self._order[self._read :][: len(key)]):
            missed.append(len(key))
        return read(self, key)

    monkeypatch.setattr(StreamedImages, "__getitem__", watched)
    with pytest.raises(Interrupted):
        nin.train(shards, TrainOptions(out=tmp_path / "run", stream=True, **QUICK), Told(3))
    nin.resume(tmp_path / "run")
    assert missed == [44, 16, 16]  # before the first epoch: the picture of the first batch; and what the watch looks at

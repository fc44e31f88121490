"""Tables and figures of the paper on small files in the official formats; the words about them, by hand."""

import hashlib
import json
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from nin.errors import DataError, Interrupted, UsageError
from nin.network.anatomy import anatomy
from nin.network.architecture import NIN
from nin.network.author_networks import author_cifar10
from nin.network.relatives import nin_fc_maps
from nin.paper import recorded_results, rows, tables
from nin.paper.figures import mosaics
from nin.paper.reproduce import reproduce
from nin.paper.tables import DATA_SETS, PARTS, PROTOCOLS, ROWS, expectation, row_summary, verdict
from nin.run.options import Listener
from nin.training import author_recipes
from nin.training.state import Pictures


def coloured(count, classes, seed):
    """Noise with a class's own brightness: (N, 32, 32, 3) uint8 and labels (N,)."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    images = rng.integers(0, 80, (count, 32, 32, 3)) + (labels * (170 // classes))[:, None, None, None]
    return images.astype(np.uint8), labels


def write_cifar10(folder, train=100, test=20):
    folder.mkdir()
    sizes = [(f"data_batch_{n}.bin", train // 5) for n in range(1, 6)] + [("test_batch.bin", test)]
    for seed, (name, count) in enumerate(sizes):
        images, labels = coloured(count, 10, seed)
        records = [
            bytes([label]) + image.transpose(2, 0, 1).tobytes() for image, label in zip(images, labels, strict=True)
        ]
        (folder / name).write_bytes(b"".join(records))


def write_cifar100(folder):
    folder.mkdir()
    for seed, (name, count) in enumerate((("train.bin", 200), ("test.bin", 100))):
        images, labels = coloured(count, 100, seed)
        records = [bytes([label // 5, label]) + image.transpose(2, 0, 1).tobytes()
                   for image, label in zip(images, labels, strict=True)]  # fmt: skip
        (folder / name).write_bytes(b"".join(records))


def write_svhn(folder):
    folder.mkdir()
    for seed, name in enumerate(("train", "extra", "test")):
        images, labels = coloured(40, 10, seed)
        savemat(folder / f"{name}_32x32.mat", {"X": images.transpose(1, 2, 3, 0), "y": labels[:, None] + 1})


def write_idx(folder, mean):
    folder.mkdir()
    for name, count in (("train", 60), ("t10k", 20)):
        images = np.full((count, 28, 28), mean, np.uint8)
        images += np.arange(count, dtype=np.uint8)[:, None, None] % 10
        head = b"".join(n.to_bytes(4, "big") for n in images.shape)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(bytes((0, 0, 8, 3)) + head + images.tobytes())
        labels = np.arange(count, dtype=np.uint8) % 10
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(bytes((0, 0, 8, 1)) + head[:4] + labels.tobytes())


FITTED = {}


@pytest.fixture(autouse=True)
def fitted_once(monkeypatch):
    """ZCA of the same pictures is fitted once for all tests: the eigenvectors of 3,072 values take ten seconds."""
    fit = rows.fit_zca

    def remembered(blocks, *rest):
        held = list(blocks)
        key = hashlib.sha256(b"".join(block.tobytes() for block in held)).digest()
        if key not in FITTED:
            FITTED[key] = fit(held, *rest)
        return FITTED[key]

    monkeypatch.setattr(rows, "fit_zca", remembered)


@pytest.fixture
def narrow(monkeypatch):
    """The author's networks an eighth as wide: what is tested with them is how rows are run, resumed and counted."""

    def narrowed(build, generator, strict):
        config = build(generator, strict).config
        blocks = [replace(block, channels=tuple(width // 8 for width in block.channels)) for block in config.blocks]
        blocks[-1] = replace(blocks[-1], channels=(*blocks[-1].channels[:-1], config.num_classes))
        return NIN(replace(config, blocks=tuple(blocks)), generator=generator)

    for key in ("cifar10", "cifar10-augmented", "cifar10-no-dropout", "cifar100", "svhn", "mnist"):
        row = ROWS[key]
        monkeypatch.setitem(tables.ROWS, key, replace(row, build=partial(narrowed, row.build)))


@pytest.fixture
def quick(monkeypatch, narrow):
    """Narrow networks, and the short protocol cut to one epoch."""
    cut = replace(PROTOCOLS["short"], epochs=dict.fromkeys(DATA_SETS, 1))
    monkeypatch.setitem(tables.PROTOCOLS, "short", cut)


def width(path):
    with Image.open(path) as picture:
        return picture.width


def only(results):
    (result,) = results
    return result


@pytest.mark.parametrize(
    ("part", "write"), [("table2", write_cifar100), ("table3", write_svhn), ("table4", lambda f: write_idx(f, 30))]
)
def test_a_table_is_run_from_its_official_format(part, write, tmp_path, quick):
    write(tmp_path / "data")
    result = only(reproduce([part], tmp_path / "data", out=tmp_path / "out", seeds=1))
    (row,) = result["rows"]
    (key,) = PARTS[part].rows
    assert (row["paper"], row["n"]) == (ROWS[key].paper, 1) and 0 <= row["error"] <= 100
    (run,) = result["runs"][key]
    wanted = {"cifar100": "gcn-zca", "svhn": "lcn", "mnist": "standard"}
    assert run["preprocess"].get("normalisation", "standard") == wanted[key]
    assert len(run["curve"]) == 1 and run["curve"][0]["test_error"] == pytest.approx(row["error"], abs=1e-3)
    assert run["data"] and run["recipe"]["files"] == 10_000 and run["machine"]["cpu"]
    assert json.loads((tmp_path / "out/short/result.json").read_text())[part]["rows"] == result["rows"]


def test_figures_share_the_runs_of_the_tables_and_draw_them(tmp_path, quick):
    write_cifar10(tmp_path / "cifar")
    words = {"data": tmp_path, "out": tmp_path / "out", "seeds": 1}  # the folder above holds the data set
    first = only(reproduce(["figure4"], **words))
    folder = tmp_path / "out/short"
    before = (folder / "runs/cifar10-0/run.json").stat().st_mtime_ns
    assert set(first["scores"]) == {"accuracy", "strongest_map", "pointing", "mosaics"}
    assert first["scores"]["accuracy"] == pytest.approx(100 - first["rows"][0]["error"], abs=1e-3)
    assert width(folder / "figure4.png") > 600
    with pytest.raises(
        UsageError, match=r"(?m)is not empty; go on with what is there by --resume, or choose another --out$"
    ):
        only(reproduce(["figure3"], **words))
    second = only(reproduce(["figure3"], **words, resume=True))
    assert (folder / "runs/cifar10-0/run.json").stat().st_mtime_ns == before
    assert second["rows"][0] == first["rows"][0] and second["rows"][1]["n"] == 1
    assert width(folder / "figure3.png") > 600
    assert set(json.loads((folder / "result.json").read_text())) == {"figure3", "figure4"}


class StopAt(Listener):
    """Asks to stop after so many steps, and counts them."""

    def __init__(self, step=None):
        self.steps, self.last = 0, step

    def step(self, progress):
        self.steps += 1

    def should_stop(self):
        return self.steps == self.last


def test_an_interrupted_row_goes_on_to_the_same_numbers(tmp_path, monkeypatch, narrow):
    write_cifar10(tmp_path / "cifar", train=140)
    cut = replace(PROTOCOLS["short"], epochs=dict.fromkeys(DATA_SETS, 2))
    monkeypatch.setitem(tables.PROTOCOLS, "short", cut)
    words = {"data": tmp_path / "cifar", "seeds": 1}
    whole = only(reproduce(["figure3"], **words, out=tmp_path / "whole", listener=(all_steps := StopAt())))
    assert all_steps.steps == 2 * 2 * 2  # two rows of two epochs of batches of 128 and 12
    with pytest.raises(Interrupted, match=r"^stopped in cifar10, seed 0; the same command goes on from there$"):
        only(reproduce(["figure3"], **words, out=tmp_path / "cut", listener=StopAt(3)))
    again = only(reproduce(["figure3"], **words, out=tmp_path / "cut", resume=True, listener=(rest := StopAt())))
    assert rest.steps == all_steps.steps - 3
    for left, right in zip(whole["rows"], again["rows"], strict=True):
        assert {**left, "minutes": None} == {**right, "minutes": None}


def test_a_start_that_dies_is_counted_and_another_seed_is_tried(tmp_path, monkeypatch, narrow):
    write_cifar10(tmp_path / "cifar")
    cut = replace(PROTOCOLS["short"], epochs=dict.fromkeys(DATA_SETS, 5))
    monkeypatch.setitem(tables.PROTOCOLS, "short", cut)
    recipe = author_recipes.author_cifar10_recipe
    dead = replace(ROWS["cifar10"], recipe=lambda epochs: replace(recipe(epochs=epochs), lr=1e-9))
    monkeypatch.setitem(tables.ROWS, "cifar10", dead)
    monkeypatch.setattr(rows, "EARLY", 3)
    result = only(reproduce(["figure4"], tmp_path / "cifar", out=tmp_path / "out", seeds=1))
    assert (result["rows"][0]["n"], result["rows"][0]["dead starts"]) == (0, rows.TRIES)
    assert result["verdict"] == "nothing is run yet" and "scores" not in result
    assert [len(run["curve"]) for run in result["runs"]["cifar10"]] == [rows.FIRST] * 3


def test_a_start_whose_classes_die_and_one_that_overflows_are_counted_too(tmp_path, monkeypatch, narrow):
    write_cifar10(tmp_path / "cifar", test=60)
    monkeypatch.setitem(tables.PROTOCOLS, "short", replace(PROTOCOLS["short"], epochs=dict.fromkeys(DATA_SETS, 4)))
    monkeypatch.setattr(rows, "EARLY", 3)

    own = ROWS["cifar10"]

    def shut(generator, strict):
        model = own.build(generator, strict)
        torch.nn.init.constant_(model.blocks[-1].pointwise[-1].bias[:9], -1e3)  # nine class maps never open
        return model

    monkeypatch.setitem(tables.ROWS, "cifar10", replace(own, build=shut))
    fast = replace(own, recipe=lambda epochs: replace(author_recipes.author_cifar10_recipe(epochs=epochs), lr=1e38))
    monkeypatch.setitem(tables.ROWS, "cifar10-no-dropout", replace(fast, key="cifar10-no-dropout"))
    words = {"out": tmp_path / "out", "seeds": 1, "strict": True}
    result = only(reproduce(["figure3"], tmp_path / "cifar", **words))
    assert [(row["n"], row["dead starts"]) for row in result["rows"]] == [(0, rows.TRIES)] * 2
    closed, overflown = result["runs"]["cifar10"][0], result["runs"]["cifar10-no-dropout"][0]
    assert {epoch["dead_classes"] for epoch in closed["curve"]} == {9} and closed["strict"] is True
    assert "became" in overflown["ended"] and overflown["curve"] == [] and closed["ended"] is None
    assert (tmp_path / "out/short-strict/result.json").is_file()


def test_single_rows_are_trained_and_the_others_said_to_be_missing(tmp_path, quick):
    write_cifar10(tmp_path / "cifar")
    words = {"data": tmp_path / "cifar", "out": tmp_path / "out", "seeds": 1, "resume": True}
    table1, table5 = reproduce(["table1", "table5", "figure4"], **words, only=["cifar10-fc", "cifar10-augmented"])
    assert {place.name for place in (tmp_path / "out/short/runs").iterdir()} == {"cifar10-fc-0", "cifar10-augmented-0"}
    assert [row["n"] for row in table1["rows"]] == [0, 1] and [row["n"] for row in table5["rows"]] == [1, 0, 0, 0]
    assert table1["verdict"].endswith("not run yet: NIN + Dropout")
    line = r"(?m)^--only: table1 has no row 'mnist'; expected one of cifar10, cifar10-augmented$"
    with pytest.raises(UsageError, match=line):
        only(reproduce(["table1"], **words, only=["mnist"]))


def test_wrong_data_and_names_are_refused_in_one_line(tmp_path):
    write_idx(tmp_path / "fashion", 73)  # Fashion-MNIST has the format of MNIST; its mean pixel is 0.286
    write_cifar100(tmp_path / "hundred")
    (tmp_path / "nothing").mkdir()
    for part, folder, line in (
        (
            "table4",
            "fashion",
            "holds idx (10 classes); expected MNIST (10 classes, 28 x 28 x 1) in its official format",
        ),
        ("table1", "hundred", "holds cifar100 (100 classes); expected CIFAR-10 (10 classes, 32 x 32 x 3)"),
        ("table3", "nothing", "holds no data set; expected SVHN (10 classes, 32 x 32 x 3)"),
        ("table3", "nowhere", "nowhere does not exist; give the folder of a data set with --data"),
    ):
        with pytest.raises(DataError) as caught:
            only(reproduce([part], tmp_path / folder, out=tmp_path / "out"))
        assert line in str(caught.value) and "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match=r"^there is no 'table6'; there are table1, .*figure4 and all$"):
        only(reproduce(["table6"], tmp_path, out=tmp_path / "out"))
    with pytest.raises(UsageError, match=r"(?m)^--seeds is 0; expected 1 to 1000$"):
        only(reproduce(["table4"], tmp_path, out=tmp_path / "out", seeds=0))


def test_every_row_of_the_tables_is_the_papers_network_and_error():
    paper_says = {  # Lin et al. 2013, tables 1 to 5 and section 4.6
        "cifar10": 10.41, "cifar10-augmented": 8.81, "cifar10-no-dropout": 14.51, "cifar10-fc": 11.59,
        "cifar10-fc-dropout": 10.88, "cifar100": 35.68, "svhn": 2.35, "mnist": 0.47,
    }  # fmt: skip
    assert {key: row.paper for key, row in ROWS.items()} == paper_says
    sizes = {"cifar10": 966_986, "cifar100": 984_356, "svhn": 1_986_026, "mnist": 349_674}
    for (key, size), strict in product(sizes.items(), (True, False)):
        model = ROWS[key].build(torch.Generator().manual_seed(0), strict)
        assert anatomy(model, (model.config.in_channels, 32, 32)).parameters == size
        assert (model.config.last_activation, model.config.init) == (strict, "normal" if strict else "kaiming")
    full = PROTOCOLS["full"].recipe(ROWS["cifar10-augmented"], 7)
    assert (full.epochs, full.seed, full.augmentation.flip) == (260, 7, True)
    assert all(key in ROWS for part in PARTS.values() for key in part.rows)


def row(key, errors, dead=0):
    runs = [{"started": True, "error": error, "minutes": 2.0} for error in errors]
    return row_summary(ROWS[key], runs + [{"started": False, "error": 90.0, "minutes": 1.0}] * dead)


def test_means_and_verdicts_by_hand():
    found = row("cifar10", [10.0, 11.0], dead=1)
    assert (found["error"], found["spread"], found["n"], found["dead starts"]) == (10.5, 0.707, 2, 1)
    full, short, five = PROTOCOLS["full"], PROTOCOLS["short"], PARTS["table5"]
    said = verdict(PARTS["table1"], [row("cifar10", [10.4, 10.5]), row("cifar10-augmented", [9.9, 9.9])], full)
    assert said == (
        "NIN + Dropout: reproduced (+0.04 points); NIN + Dropout + data augmentation: not reproduced (+1.09 points)"
    )
    better = verdict(PARTS["table4"], [row("mnist", [0.05, 0.05])], full)
    assert better == "NIN + Dropout: better than the paper (-0.42 points)"
    assert verdict(PARTS["table4"], [row("mnist", [])], full) == "nothing is run yet"
    short_of = verdict(five, [row("cifar10", [20.0, 20.1]), row("cifar10-fc", [25.0, 25.1])], short)
    assert short_of == (
        "short protocol, ours: its errors are not the paper's; the rows come in the paper's order; not run yet: "
        "mlpconv + fully connected + Dropout, NIN without Dropout"
    )
    swapped = verdict(five, [row("cifar10", [25.0, 25.1]), row("cifar10-fc", [20.0, 20.1])], short)
    assert "the order is not the paper's: mlpconv + fully connected is better than NIN + Dropout" in swapped
    near = verdict(five, [row("cifar10", [20.0, 21.0]), row("cifar10-fc", [20.4, 20.6])], short)
    assert near.startswith("short protocol, ours: its errors are not the paper's; the rows are too close to call; ")
    some = [row("cifar10", [20.0, 21.0]), row("cifar10-fc", [20.4, 20.6]), row("cifar10-no-dropout", [30.0, 30.0])]
    assert "the rows come in the paper's order (1 pair too close to call)" in verdict(five, some, short)


def test_mosaics_hold_four_different_classes_and_name_the_right_quarter():
    images, labels = coloured(200, 10, 0)
    images[:] = labels[:, None, None, None]  # every pixel tells the class
    whole, asked, boxes = mosaics(Pictures(images, labels))
    assert whole.shape[1:] == (64, 64, 3) and len(whole) == len(asked) == len(boxes) > 10
    for picture, label, box in zip(whole, asked, boxes, strict=True):
        top, left, bottom, right = (int(64 * share) for share in box)
        assert (picture[top:bottom, left:right] == label).all() and (bottom - top, right - left) == (32, 32)
        assert len({int(picture[r, c, 0]) for r, c in product((0, 63), (0, 63))}) == 4
    assert {tuple(box[:2]) for box in boxes} == set(product((0.0, 0.5), (0.0, 0.5)))


def test_the_papers_fully_connected_head_reads_the_class_maps_and_leaves_the_rest_as_it_is():
    whole, network = (
        NIN(author_cifar10(), generator=torch.Generator().manual_seed(0)),
        nin_fc_maps(dropout=0.5, generator=torch.Generator().manual_seed(0)),
    )
    assert sum(p.numel() for p in network.parameters()) == 966_986 + 10 * 8 * 8 * 10 + 10
    for name, value in whole.state_dict().items():
        assert torch.equal(network.state_dict()[name], value), name
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        maps = whole.eval().forward_maps(x)
        logits = 0.5 * maps.flatten(1) @ network.head.output.weight.T  # classic dropout halves in use
        torch.testing.assert_close(network.eval()(x), logits)
    assert network.head.output.weight.std().item() == pytest.approx(0.05, rel=0.05)


def test_what_is_shown_as_recorded_is_what_the_experiment_holds() -> None:
    """Every row of the package's record against the experiment's own files; and the words about names."""
    folder = Path(__file__).parents[2] / recorded_results.SOURCE
    found = recorded_results.recorded(["all"])
    assert {result["part"] for result in found} >= {"table1", "table4", "table5"}
    for result in found:
        whole = json.loads((Path(__file__).parents[2] / result["recorded"] / "result.json").read_text())
        assert result["rows"] == whole[result["part"]]["rows"] and result["verdict"] == whole[result["part"]]["verdict"]
        paper = {row["row"]: row["paper"] for row in result["rows"]}
        assert paper == {key: ROWS[key].paper for key in PARTS[result["part"]].rows}
    assert folder.is_dir() and tuple(PARTS) == recorded_results.NAMES
    for names, words in ((["table9"], "there is no 'table9'"), (["table2"], "nothing was recorded of table2")):
        with pytest.raises(UsageError, match=words):
            recorded_results.recorded(names)


def test_before_it_starts_it_is_said_how_long_it_takes_and_what_a_short_training_cannot_tell() -> None:
    five = [ROWS[key] for key in PARTS["table5"].rows]
    short = expectation(PROTOCOLS["short"], five, 2, "cpu")
    assert short.startswith("8 trainings with the short protocol: about 2 hours on two cores")  # 8 times 18 minutes
    assert "reverses table 5" in short and "--protocol full" in short
    full = expectation(PROTOCOLS["full"], five[:1], 1, "cuda")
    assert full == "1 training with the full protocol: about 6 minutes on one NVIDIA H200, by what was recorded"
    assert "table 5" not in expectation(PROTOCOLS["short"], [ROWS["mnist"]], 1, "cpu")

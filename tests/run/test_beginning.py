"""With which weights a run begins by itself: nin-photos for few coloured photographs, none for anything else."""

import numpy as np
import pytest
import yaml
from PIL import Image, ImageDraw

import nin
from nin.bundle.folder import read_bundle
from nin.data.sources import open_source
from nin.run.beginning import FEWER, START, begins_with, photographs, usual_beginning
from nin.run.options import Listener, TrainOptions
from nin.run.plan import make_plan


def scene(seed: int, side: int = 64) -> np.ndarray:
    """(side, side, 3): as many colours as a photograph has, by a gradient and grain."""
    rng = np.random.default_rng(seed)
    across = np.linspace(0, 200, side)
    picture = np.stack([np.tile(across, (side, 1)), np.tile(across[:, None], (1, side)), np.full((side, side), 90)], 2)
    return np.clip(picture + rng.normal(0, 8, picture.shape), 0, 255).astype(np.uint8)


def drawing(side: int = 200) -> np.ndarray:
    picture = Image.new("RGB", (4 * side, 4 * side), "white")
    for corner in range(0, 4 * side, 90):
        colour = (corner % 255, 200 - corner % 150, 60)
        ImageDraw.Draw(picture).ellipse([corner, corner // 2, corner + 150, corner + 120], fill=colour)
    return np.asarray(picture.resize((side, side)))


SCENES = [scene(seed) for seed in range(5)]


def test_photographs_are_told_from_drawings_and_grey_pictures():
    assert photographs(SCENES)
    assert photographs([*SCENES, drawing(), np.zeros((64, 64, 1), np.uint8)])
    assert photographs([np.concatenate([picture, picture[..., :1]], 2) for picture in SCENES])  # with alpha
    assert not photographs([drawing()] * 3)
    assert not photographs([picture[..., :1] for picture in SCENES])
    assert not photographs([np.repeat(picture[..., :1], 3, 2) for picture in SCENES])  # grey, stored as colours
    assert not photographs([*SCENES[:2], *[np.zeros((64, 64, 1), np.uint8)] * 3])


@pytest.mark.parametrize(
    "wish",
    [{"from_": "none"}, {"from_": "nin-cifar10"}, {"width": 0.5}, {"network": "nin-large"}, {"normalise": "gcn"},
     {"channels": 1}, {"network": "nin-author-cifar10", "recipe": "author"}],
    ids=str,
)  # fmt: skip
def test_whoever_asks_for_something_else_gets_it(wish):
    assert usual_beginning(TrainOptions(), 100, SCENES, 2, 3).folder.name == START
    assert usual_beginning(TrainOptions(**wish), 100, SCENES, 2, 3) is None


@pytest.mark.parametrize(("count", "stride", "channels"), [(FEWER, 2, 3), (100, 1, 3), (100, 3, 3), (100, 2, 4)])
def test_many_pictures_and_other_sizes_begin_from_scratch(count, stride, channels):
    assert usual_beginning(TrainOptions(), count, SCENES, stride, channels) is None


def test_none_is_no_model():
    assert begins_with(TrainOptions()) is begins_with(TrainOptions(from_="none")) is None
    assert begins_with(TrainOptions(from_="nin-mnist")) == "nin-mnist"


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Two classes of four pictures to train on and two to validate."""
    root = tmp_path_factory.mktemp("few")
    for split, count in (("train", 4), ("val", 2)):
        for label in ("one", "two"):
            (root / split / label).mkdir(parents=True)
            for number in range(count):
                Image.fromarray(scene(2 * number + (label == "one"))).save(root / split / label / f"{number}.png")
    return root


class Heard(Listener):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_run_says_with_what_it_began_and_keeps_it(few, tmp_path):
    heard = Heard()
    run = nin.train(few, TrainOptions(out=tmp_path / "run", epochs=1, lr=1e-9, threads=1), heard)
    (said,) = (note for note in heard.notes if "begins with" in note)
    assert [note for note in heard.notes if "nin teach" in note]
    assert said == (
        "begins with the weights of nin-photos; begins afresh: blocks.4.pointwise.1; --from none begins from scratch"
    )
    assert yaml.safe_load((run.folder / "args.yaml").read_text())["options"]["from_"] == START
    model = read_bundle(run.model)
    assert model.provenance["begun with"] == START
    kept, began = model.weights(), read_bundle(nin.bundle.shipped.find_model(START)).weights()
    np.testing.assert_allclose(kept["blocks.2.spatial.weight"], began["blocks.2.spatial.weight"], atol=1e-4)
    assert nin.resume(run.folder, heard).summary["epochs"] == 1


def test_the_network_is_the_one_that_would_begin_from_scratch(few):
    source = open_source(few)
    plans = [make_plan(source, TrainOptions(from_=name)) for name in (None, "none")]
    assert plans[0].begin.folder.name == START and plans[1].begin is None
    assert plans[0].network == plans[1].network
    assert plans[0].preprocess == plans[1].preprocess and plans[0].recipe == plans[1].recipe

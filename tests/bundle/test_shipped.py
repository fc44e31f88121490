"""The models that come with the package: found by name, whole, small, and what their cards say."""

import importlib.util
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from nin.bundle import shipped as module
from nin.bundle.folder import read_bundle
from nin.bundle.shipped import SHIPPED, find_model, shipped
from nin.errors import ModelError

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "2026-11-30-unknown"
MOST = 5_000_000  # bytes of one model


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_model_is_whole_small_and_says_how_good_it_is(name):
    bundle = read_bundle(find_model(name))
    assert sum(path.stat().st_size for path in bundle.folder.iterdir()) < MOST
    measured = {"nin-clothing": ("test", 372), "nin-photos": ("validation", 4_000)}.get(name, ("test", 10_000))
    assert (bundle.metrics["split"], bundle.metrics["n"]) == measured
    assert bundle.provenance["license"] == "Apache-2.0"
    log = (bundle.folder / "training.csv").read_text(encoding="utf-8").splitlines()
    assert len(log) == bundle.provenance["epochs"] + 1
    card = (bundle.folder / "README.md").read_text(encoding="utf-8")
    assert f"{100 * bundle.metrics['accuracy']:.1f} %" in card
    result = json.loads((EXPERIMENT / "result.json").read_text(encoding="utf-8"))["models"][name]
    assert bundle.metrics["foreign"] == result["foreign"]
    for row in result["foreign"]:
        shares = f"{100 * row['unknown']:.0f} % | {100 * row['over_90']:.0f} % |"
        assert f"| {row['pictures']} | {row['n']} | {shares}" in card


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A package with one model, and an empty folder to stand in."""
    package = tmp_path / "package"
    (package / "nin-some").mkdir(parents=True)
    (package / "nin-some" / "config.json").write_text("{}")
    (package / "no-model").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setattr(module, "SHIPPED", package)
    monkeypatch.chdir(tmp_path / "here")
    return package


def test_a_name_finds_the_model_of_the_package(place):
    assert shipped() == ("nin-some",)
    assert find_model("nin-some") == place / "nin-some"


def test_a_folder_goes_before_a_name(place):
    Path("nin-some").mkdir()
    assert find_model("nin-some") == Path("nin-some")


def test_a_run_folder_stands_for_the_model_in_it(place):
    Path("run/model").mkdir(parents=True)
    assert find_model("run") == Path("run")
    Path("run/model/config.json").touch()
    assert find_model("run") == Path("run/model")
    Path("run/config.json").touch()
    assert find_model("run") == Path("run")


@pytest.mark.parametrize(
    ("name", "hint"), [("nin-som", "did you mean nin-some? expected"), ("photos", "expected"), ("../nin-some", "did")]
)
def test_an_unknown_name_is_refused_with_what_there_is(place, name, hint):
    with pytest.raises(ModelError) as caught:
        find_model(name)
    text = str(caught.value)
    assert text.startswith(f"{name} does not exist; {hint}")
    assert text.endswith(
        "expected the model folder that nin train wrote (runs/.../model), or the name of a model in the package: "
        "nin-some"
    )


def test_the_package_ships_its_weights():
    assert SHIPPED.name == "weights" and SHIPPED.parent.name == "nin"


def test_one_page_says_what_made_nin_cifar10():
    """Its network, preprocessing and recipe are those of the card in the package."""
    path = EXPERIMENT.parent / "2026-11-24-cifar10" / "nin_cifar10.py"
    spec = importlib.util.spec_from_file_location("nin_cifar10", path)
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    bundle = read_bundle(SHIPPED / "nin-cifar10")
    assert page.network().to_dict() == bundle.network
    assert page.data() == bundle.preprocess
    # trained before recipes said what is normalised together: on one thread the whole batch
    recorded = {"statistics_batch": 256, **bundle.provenance["recipe"]}
    assert json.loads(json.dumps(asdict(page.recipe()))) == recorded
    assert "94.51 %" in page.__doc__ and bundle.metrics["accuracy"] == 0.9451
    assert f"{bundle.provenance['parameters']:,} parameters" in page.__doc__

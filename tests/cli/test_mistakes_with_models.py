"""What goes wrong with a trained model: the whole output of the real program, and nothing left behind."""

import pytest

from nin.bundle.shipped import shipped

EXPECTED = "expected the model folder that nin train wrote (runs/.../model)"
NAMES = f", or the name of a model in the package: {', '.join(shipped())}"


def damage(model):
    """Flip one bit in the middle of the weights."""
    path = model / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.fixture
def places(nin, model, photos):
    (nin.folder / "empty").mkdir()
    (nin.folder / "foreign").mkdir()
    (nin.folder / "foreign" / "config.json").write_text('{"model_type": "resnet"}')
    (nin.folder / "notes.txt").write_text("no model")
    (nin.folder / "other").mkdir()
    (nin.folder / "photos" / "dog").rename(nin.folder / "other" / "cat")
    (nin.folder / "photos" / "dog").mkdir()
    return nin


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        ("evaluate nothere photos", 1, f"nothere does not exist; {EXPECTED}{NAMES}"),
        ("predict nin-cifar1 photos", 1, f"nin-cifar1 does not exist; did you mean nin-cifar10? {EXPECTED}{NAMES}"),
        ("evaluate empty photos", 1, f"empty has no config.json; {EXPECTED}"),
        ("predict notes.txt photos", 1, f"notes.txt is a file; {EXPECTED}"),
        (
            "predict foreign photos",
            1,
            "foreign/config.json was not written by nin, or is damaged; expected the folder of a nin model",
        ),
        (
            "evaluate model other",
            1,
            "other has the class 'cat', which the model does not know (it knows 고양이, dog); "
            "name the folders as the model's labels.txt does",
        ),
        ("evaluate model photos --split test", 2, "photos has no split 'test'; it has train"),
        (
            "summary nin-autor-mnist --json",
            2,
            "there is no network named 'nin-autor-mnist'; did you mean nin-author-mnist? (known: nin, "
            "nin-large, nin-author-cifar10, nin-author-cifar100, nin-author-svhn, nin-author-mnist, "
            "nin-author-imagenet, conv-fc, conv-gap, conv-maxout, nin-fc, nin-fc-maps, nin-fc-1000, lenet5, alexnet, "
            "vgg11, vgg16, googlenet) or give a network file such as mine.yaml",
        ),
        (
            "summary googelnet",
            2,
            "there is no network named 'googelnet'; did you mean googlenet? (known: nin, nin-large, "
            "nin-author-cifar10, nin-author-cifar100, nin-author-svhn, nin-author-mnist, nin-author-imagenet, conv-fc, "
            "conv-gap, conv-maxout, nin-fc, nin-fc-maps, nin-fc-1000, lenet5, alexnet, vgg11, vgg16, googlenet) "
            "or give a network file such as mine.yaml",
        ),
        (
            "summary mine.yaml",
            2,
            "mine.yaml does not exist; expected a network file",
        ),
        (
            "summary alexnet --input 3x64x64",
            2,
            "the network does not take pictures of 3x64x64: linear gets 256 features; its weights are for 9216; "
            "alexnet was made for 3x227x227",
        ),
        ("summary --input 3x4x4", 2, "height is 4; expected a whole number of at least 8"),
    ],
)
def test_a_mistake_with_a_model(words, code, reason, places):
    before = places.left()
    outcome = places(*words.split(), stdin=b"")
    hint = [f"try: nin {words.split()[0]} --help"] if code == 2 else []
    assert outcome.err.splitlines() == [f"nin: {reason}", *hint]
    assert (outcome.code, outcome.out) == (code, "")
    assert places.left() == before


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        ("--from nothere", 1, f"nothere does not exist; {EXPECTED}{NAMES}"),
        ("--from model --width 0.5", 2, "--width and --from cannot go together: model has its own network"),
        ("--from model --channels 1", 2, "--channels is 1 and model reads 3; leave out --channels"),
    ],
)
def test_a_mistake_with_the_model_to_begin_with(words, code, reason, nin, model, photos):
    before = nin.left()
    outcome = nin("train", "photos", *words.split())
    assert outcome.err.splitlines()[-1 - (code == 2)] == f"nin: {reason}"
    assert (outcome.code, outcome.out, nin.left()) == (code, "", before)


def test_a_damaged_model_is_noticed(nin, model, photos):
    damage(model)
    outcome = nin("predict", "model", "photos/dog/0.png")
    assert outcome.err == (
        "nin: model/model.safetensors is damaged or was changed (SHA-256 differs from the one in config.json); "
        "copy the whole folder again\n"
    )
    assert (outcome.code, outcome.out) == (1, "")

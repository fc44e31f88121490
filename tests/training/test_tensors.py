"""The device's way from pixels to input against the torch-free one, and what a checkpoint keeps of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nin.data import whiten
from nin.data.preprocess import Preprocess
from nin.data.whiten import fit_zca
from nin.errors import ModelError
from nin.training import checkpoint, state, tensors
from nin.training.loop import Trainer, predict_logits
from nin.training.tensors import to_tensor

KINDS = ("standard", "gcn", "gcn-zca", "lcn")


def scenes(count: int, height: int, width: int, channels: int) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (count, height + 1, width, channels)).astype(float)
    return ((noise[:, 1:] + noise[:, :-1]) / 2).astype(np.uint8)


def policy(kind: str, images: np.ndarray) -> Preprocess:
    channels = images.shape[3]
    zca = fit_zca([images]) if kind == "gcn-zca" else None
    return Preprocess(images.shape[1:3], channels, "stretch", (0.4,) * channels, (0.2,) * channels, kind, zca)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_both_ways_give_the_same_numbers(kind, channels):
    images = scenes(40, 9, 7, channels)
    images[3] = 7  # one colour
    images[4], images[4, 0, 0, 0] = 7, 8  # nearly one colour
    pre = policy(kind, images)
    found = to_tensor(images, pre, "cpu")
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), pre.normalise(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_single_pixels_and_no_pictures(kind):
    images = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1)
    pre = policy(kind, images)
    np.testing.assert_allclose(to_tensor(images, pre, "cpu").numpy(), pre.normalise(images), atol=1e-5)
    assert to_tensor(images[:0], pre, "cpu").shape == pre.normalise(images[:0]).shape == (0, 1, 1, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_begins_after_it(kind):
    """Measuring is fast in bfloat16, which would leave two of a whitened value's seven digits."""
    images = scenes(20, 6, 6, 3)
    pre = policy(kind, images)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = to_tensor(images, pre, "cpu")
    np.testing.assert_array_equal(found.numpy(), to_tensor(images, pre, "cpu").numpy())


def test_a_picture_far_from_those_seen_is_treated_alike():
    pre = policy("gcn-zca", scenes(30, 8, 8, 3))
    strange = np.random.default_rng(5).integers(0, 2, (10, 8, 8, 3)).astype(np.uint8) * 255
    np.testing.assert_allclose(to_tensor(strange, pre, "cpu").numpy(), pre.normalise(strange), rtol=1e-4, atol=1e-4)


def whitened(make_trainer, **changes) -> Trainer:
    trainer = make_trainer(**changes)
    pre = replace(trainer.preprocess, normalisation="gcn-zca", zca=fit_zca([trainer.data.images]))
    parts = (trainer.model, trainer.data, trainer.validation, pre, trainer.recipe, trainer.hardware)
    return Trainer(*parts)


def test_pictures_are_whitened_first_and_varied_then(make_trainer, monkeypatch):
    trainer, seen = whitened(make_trainer), []
    real = state.augment
    monkeypatch.setattr(
        state, "augment", lambda x, *rest, **more: seen.append(x.numpy().copy()) or real(x, *rest, **more)
    )
    rows = np.arange(8)
    trainer.step(rows)
    np.testing.assert_allclose(seen[0], trainer.preprocess.normalise(trainer.data.images[rows]), atol=1e-5)


def test_measuring_and_training_use_the_same_whitening(make_trainer):
    """The matrix may first be asked for while measuring, in inference mode; training takes it all the same."""
    trainer = whitened(make_trainer)
    tensors._normaliser.cache_clear()
    images = trainer.validation.images
    before = predict_logits(trainer.model, images, trainer.preprocess, trainer.hardware)
    with torch.no_grad():
        by_hand = trainer.model.eval()(torch.from_numpy(trainer.preprocess.normalise(images)))
    np.testing.assert_allclose(before, by_hand.numpy(), atol=1e-4)
    trainer.model.train()
    assert len(list(trainer.epochs())) == 3 and trainer.finished


def test_a_checkpoint_keeps_what_was_fitted_to_the_last_bit(make_trainer, tmp_path, monkeypatch):
    whole = whitened(make_trainer)
    list(whole.epochs())
    first, count = whitened(make_trainer), iter(range(100))
    for _ in first.epochs(should_stop=lambda: next(count) >= 6):
        pass
    checkpoint.save(tmp_path, first, {"preprocess": first.preprocess.to_dict()})
    monkeypatch.setattr(whiten, "fit_zca", None)
    (tensors, position, about), _ = checkpoint.newest(tmp_path)
    pre = checkpoint.preprocess_of(tensors, about)
    assert pre == first.preprocess
    assert pre.zca.matrix.tobytes() == first.preprocess.zca.matrix.tobytes()
    plain = make_trainer()
    second = Trainer(plain.model, plain.data, plain.validation, pre, plain.recipe, plain.hardware)
    checkpoint.restore(second, tensors, position)
    list(second.epochs())
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
    about["preprocess"]["zca"]["sha256"] = "0" * 64
    with pytest.raises(ModelError, match="not the one that this model was trained with"):
        checkpoint.preprocess_of(tensors, about)


def test_checkpoints_of_other_runs_are_as_they_were(make_trainer, tmp_path):
    trainer = make_trainer()
    checkpoint.save(tmp_path, trainer, {"preprocess": trainer.preprocess.to_dict()})
    (tensors, _, about), _ = checkpoint.newest(tmp_path)
    assert not [name for name in tensors if name.startswith("preprocess")]
    assert set(about["preprocess"]) == {"size", "channels", "fit", "mean", "std"}
    assert checkpoint.preprocess_of(tensors, about) == trainer.preprocess

"""Training steps on one GPU: pictures in its memory, everything recorded once and replayed, long runs compiled.

N pictures, B of them in a batch, K classes.
"""

import math
import warnings
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from nin.data.augment import draws, purposes, vary
from nin.data.randomness import step_seed
from nin.training.inputs import Normaliser
from nin.training.replay import Replay

if TYPE_CHECKING:
    from nin.training.loop import Trainer

SHARE = 4  # at most a fourth of the GPU's free memory is for pictures
COMPILED = 50_000  # steps from which half a minute of compiling pays: ours, docs/log.md


class GpuSteps:
    """The steps of `trainer`, which does not change its tensors' places in memory from now on.

    Pictures that fit are kept on the GPU, and a step is given their numbers only; others, and mixtures of pictures, are
    prepared one batch after another.
    """

    def __init__(self, trainer: "Trainer") -> None:
        self.trainer = trainer
        self._device = trainer.class_weights.device
        for parameter in trainer.trained:
            parameter.grad = torch.zeros_like(parameter)
        for group in trainer.optimizer.param_groups:
            group["lr"] = torch.zeros((), device=self._device)
        self._rate = math.nan
        self._model = trainer.model
        if trainer.steps * trainer.recipe.epochs >= COMPILED:
            self._model = cast(nn.Module, torch.compile(trainer.model, dynamic=False))
        self._images = self._kept()
        self._labels = torch.from_numpy(trainer.data.labels).to(self._device)
        self._normalise = Normaliser(trainer.preprocess, self._device)
        self._draws: dict[str, Tensor] = {}
        self._epoch = -1  # that the draws are for
        self.learn = Replay(self._learn if self._images is None else self._learn_rows)
        self.update = Replay(self._update)

    def step(self, batch: np.ndarray, rate: float) -> tuple[float, int]:
        """As `Trainer.step`, at this learning rate."""
        trainer, at = self.trainer, self.trainer.position
        if rate != self._rate:
            self._rate = rate
            for group in trainer.optimizer.param_groups:
                group["lr"].fill_(rate * group["scale"])
        torch.cuda.manual_seed(step_seed(trainer.recipe.seed, at.epoch, at.step))
        if self._images is None:
            facts = self.learn(*trainer.varied(batch))
        else:
            self._draw(at.epoch)
            facts = self.learn(torch.from_numpy(batch).to(self._device))
        loss, correct, norm = facts.tolist()
        if not math.isfinite(loss + norm):
            return (norm if math.isfinite(loss) else loss), 0
        size = self.update().item()
        return (loss if math.isfinite(size) else size), int(correct)

    def _kept(self) -> Tensor | None:
        """The training pictures (N, H, W, C) on the GPU; None where they are too many or mixed with each other."""
        images = self.trainer.data.images
        if self.trainer.recipe.augmentation.cutmix or not isinstance(images, np.ndarray):
            return None
        if images.nbytes > torch.cuda.mem_get_info()[0] / SHARE:
            return None
        return torch.from_numpy(np.require(images, requirements=["C", "W"])).to(self._device)

    def _draw(self, epoch: int) -> None:
        """Draw for all pictures what varies them in this epoch."""
        if epoch == self._epoch:
            return
        recipe, count = self.trainer.recipe, len(self.trainer.data)
        for purpose in purposes(recipe.augmentation, self.trainer.preprocess.channels):
            drawn = torch.from_numpy(draws(recipe.seed, epoch, np.arange(count), purpose))
            if purpose in self._draws:
                self._draws[purpose].copy_(drawn)
            else:
                self._draws[purpose] = drawn.to(self._device)
        self._epoch = epoch

    def _learn_rows(self, rows: Tensor) -> Tensor:
        """(B,) int64 -> as `_learn`, from the pictures that are kept here."""
        assert self._images is not None
        x, labels = self._normalise(self._images[rows]), self._labels[rows]
        x = vary(x, self.trainer.recipe.augmentation, lambda purpose: self._draws[purpose][rows])
        targets = F.one_hot(labels, self.trainer.classes).float()
        return self._learn(x.contiguous(memory_format=torch.channels_last), targets, labels)

    def _learn(self, x: Tensor, targets: Tensor, labels: Tensor) -> Tensor:
        """(B, C, H, W), (B, K), (B,) -> (3,): the loss, the right answers, the norm of the gradients, which it sets."""
        whole = len(x) == self.trainer.batch_size
        model = self._model if whole else self.trainer.model  # a file's last, smaller batch is not worth compiling for
        try:
            gradients, facts = self.trainer.learn(model, 1.0, x, targets, labels)
        except RuntimeError as error:
            if model is self.trainer.model:
                raise
            why = str(error).partition("\n")[0]  # there is no compiler, or it does not know something in this network
            warnings.warn(f"the network is not compiled ({why}); it trains more slowly", RuntimeWarning, stacklevel=2)
            self._model = self.trainer.model
            return self._learn(x, targets, labels)
        torch._foreach_copy_([cast(Tensor, p.grad) for p in self.trainer.trained], gradients)
        return torch.cat([facts, get_total_norm(gradients).view(1)])

    def _update(self) -> Tensor:
        """The optimizer's step; the norm of all weights and statistics after it."""
        self.trainer.optimizer.step()
        return get_total_norm(self.trainer.state)

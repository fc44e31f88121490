"""Training steps on one GPU: pictures in its memory, everything recorded once and replayed, long runs compiled.

N pictures of H x W pixels and C channels, B of them in a batch, K classes.
"""

import math
import warnings
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from nin.data.augment import draws, purposes, vary
from nin.data.randomness import step_seed
from nin.training.batch_norm import in_ghost_batches
from nin.training.replay import Replay
from nin.training.state import State
from nin.training.tensors import Normaliser

SHARE = 4  # at most a fourth of the GPU's free memory is for pictures
COMPILED = 50_000  # steps from which half a minute of compiling pays: ours, docs/log.md


class GpuSteps:
    """The steps of a run whose tensors do not change their places in memory from now on.

    Pictures that fit are kept on the GPU, and a step is given their row numbers only; others, and mixtures of pictures,
    are prepared one batch after another.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self._device = state.class_weights.device
        for parameter in state.trained:
            parameter.grad = torch.zeros_like(parameter)
        for group in state.optimizer.param_groups:
            group["lr"] = torch.zeros((), device=self._device)  # a recorded step reads it: no number in the graph
        self._rate = math.nan
        self._eager = in_ghost_batches(state.model, state.batch_size, state.recipe.statistics_batch)
        self._model = self._eager
        if state.steps * state.recipe.epochs >= COMPILED:
            self._model = cast(nn.Module, torch.compile(self._eager, dynamic=False))
        self._images = self._kept()
        self._labels = torch.from_numpy(state.data.labels).to(self._device)
        self._normalise = Normaliser(state.preprocess, self._device)
        self._draws: dict[str, Tensor] = {}
        self._epoch = -1  # that the draws are for
        self.learn = Replay(self._learn if self._images is None else self._learn_rows)
        self.update = Replay(self._update)

    def step(self, batch: np.ndarray, rate: float) -> tuple[float, int]:
        """As `nin.training.state.Steps.step`."""
        state = self.state
        at = self.state.position
        if rate != self._rate:
            self._rate = rate
            for group in state.optimizer.param_groups:
                group["lr"].fill_(rate * group["scale"])
        # dropout's, which a replay takes from the same generator
        torch.cuda.manual_seed(step_seed(state.recipe.seed, at.epoch, at.step))
        if self._images is None:
            facts = self.learn(*state.augmented(batch))
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
        images = self.state.data.images
        if self.state.recipe.augmentation.cutmix or not isinstance(images, np.ndarray):
            return None
        if images.nbytes > torch.cuda.mem_get_info()[0] / SHARE:
            return None
        return torch.from_numpy(np.require(images, requirements=["C", "W"])).to(self._device)

    def _draw(self, epoch: int) -> None:
        """Draw the random numbers that augment all pictures in this epoch."""
        if epoch == self._epoch:
            return
        recipe = self.state.recipe
        count = len(self.state.data)
        for purpose in purposes(recipe.augmentation, self.state.preprocess.channels):
            drawn = torch.from_numpy(draws(recipe.seed, epoch, np.arange(count), purpose))
            if purpose in self._draws:
                self._draws[purpose].copy_(drawn)
            else:
                self._draws[purpose] = drawn.to(self._device)
        self._epoch = epoch

    def _learn_rows(self, rows: Tensor) -> Tensor:
        """(B,) int64 -> as `_learn`, from the pictures that are kept here."""
        assert self._images is not None
        x = self._normalise(self._images[rows])  # (B, C, H, W)
        labels = self._labels[rows]
        x = vary(x, self.state.recipe.augmentation, lambda purpose: self._draws[purpose][rows])
        targets = F.one_hot(labels, self.state.classes).float()  # (B, K)
        return self._learn(x.contiguous(memory_format=torch.channels_last), targets, labels)

    def _learn(self, x: Tensor, targets: Tensor, labels: Tensor) -> Tensor:
        """(B, C, H, W), (B, K), (B,) -> (3,): the loss, the right answers, the norm of the gradients, which it sets."""
        whole = len(x) == self.state.batch_size
        model = self._model if whole else self._eager  # a file's last, smaller batch is not worth compiling for
        try:
            gradients, facts = self.state.learn(model, 1.0, x, targets, labels)
        except RuntimeError as error:
            if model is self._eager:
                raise
            why = str(error).partition("\n")[0]  # there is no compiler, or it does not know something in this network
            warnings.warn(f"the network is not compiled ({why}); it trains more slowly", RuntimeWarning, stacklevel=2)
            self._model = self._eager
            return self._learn(x, targets, labels)
        torch._foreach_copy_([cast(Tensor, p.grad) for p in self.state.trained], gradients)
        return torch.cat([facts, get_total_norm(gradients).view(1)])

    def _update(self) -> Tensor:
        """The optimizer's step; the norm of all weights and statistics after it."""
        self.state.optimizer.step()
        return get_total_norm(self.state.tensors)

"""Training steps on a processor, alone or as one of several ranks: micro-batches side by side, gradients summed.

B pictures in a batch, M of them this rank's shard, C channels, H x W pixels, K classes.
"""

import math

import numpy as np
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from nin.data.randomness import step_seed
from nin.training.micro_batches import LEAST_NORMALISED, LEAST_PLAIN, MicroBatches, micro_batch_count
from nin.training.state import State


class CpuSteps:
    """The steps of a run: each batch in as many micro-batches as this rank's threads compute side by side."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.micro_batches = 1
        # of several ranks each has one micro-batch: they communicate in one order, which racing threads would not keep
        if state.hardware.device == "cpu" and state.team.world == 1:
            normalised = any(isinstance(module, nn.BatchNorm2d) for module in state.model.modules())
            least = LEAST_NORMALISED if normalised else LEAST_PLAIN
            self.micro_batches = micro_batch_count(state.batch_size, state.hardware.threads, least=least)
        self._replicas = MicroBatches(state.model, self.micro_batches, state.hardware.threads)

    def step(self, batch: np.ndarray, rate: float) -> tuple[float, int]:
        """As `nin.training.state.Steps.step`."""
        state = self.state
        at = self.state.position
        x, targets, labels = state.augmented(rows_of(state, batch))  # (M or M + 1, C, H, W), (.., K), (..)
        own = len(batch[state.team.shard(len(batch))])
        x = x[-own:]  # (M, C, H, W): without the row that cutmix alone needed
        targets = targets[-own:]
        labels = labels[-own:]
        for group in state.optimizer.param_groups:
            group["lr"] = rate * group["scale"]

        def learn(model: nn.Module, index: int) -> tuple[list[Tensor], Tensor]:
            start, stop = (own * place // self.micro_batches for place in (index, index + 1))
            rows = slice(start, stop)
            # weighed by its share of the whole batch: the sum over micro-batches and ranks is the batch's mean
            return state.learn(model, (stop - start) / len(batch), x[rows], targets[rows], labels[rows])

        first = (at.step * state.team.world + state.team.rank) * self.micro_batches
        seeds = [step_seed(state.recipe.seed, at.epoch, first + index) for index in range(self.micro_batches)]
        gradients, facts = self._replicas.run(learn, seeds)
        state.team.all_reduce(*gradients, facts)
        for parameter, gradient in zip(state.trained, gradients, strict=True):
            parameter.grad = gradient
        loss = facts[0].item()
        norm = float(get_total_norm(gradients))
        if not math.isfinite(loss + norm):
            return (norm if math.isfinite(loss) else loss), 0
        state.optimizer.step()
        size = float(get_total_norm(state.tensors))
        return (loss if math.isfinite(size) else size), int(facts[1])


def rows_of(state: State, batch: np.ndarray) -> np.ndarray:
    """(B,) -> this rank's rows (M,); where cutmix pastes from the row before, that comes first, to be dropped."""
    shard = state.team.shard(len(batch))
    before = 1 if state.team.world > 1 and state.recipe.augmentation.cutmix else 0
    return batch[np.arange(shard.start - before, shard.stop)]  # row -1 is the last, as in cutmix

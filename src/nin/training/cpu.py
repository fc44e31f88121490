"""Training steps on a processor, alone or as one of several ranks: parts of a batch side by side, gradients summed.

B pictures in a batch, M of them a rank's own.
"""

import math

import numpy as np
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from nin.data.randomness import step_seed
from nin.training.parts import FEWEST, LEAST, Parts, part_count
from nin.training.state import State


class CpuSteps:
    """The steps of a run: each batch in as many parts as this rank's threads compute side by side."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.parts = 1
        if state.hardware.device == "cpu" and state.team.world == 1:
            normed = any(isinstance(module, nn.BatchNorm2d) for module in state.model.modules())
            self.parts = part_count(state.batch_size, state.hardware.threads, least=LEAST if normed else FEWEST)
        self._side_by_side = Parts(state.model, self.parts, state.hardware.threads)

    def step(self, batch: np.ndarray, rate: float) -> tuple[float, int]:
        """As `nin.training.state.Steps.step`."""
        state = self.state
        at = self.state.position
        x, targets, labels = state.varied(rows_of(state, batch))
        own = len(batch[state.team.part(len(batch))])
        x = x[-own:]
        targets = targets[-own:]
        labels = labels[-own:]
        for group in state.optimizer.param_groups:
            group["lr"] = rate * group["scale"]

        def learn(model: nn.Module, part: int) -> tuple[list[Tensor], Tensor]:
            start, stop = (own * place // self.parts for place in (part, part + 1))
            rows = slice(start, stop)
            return state.learn(model, (stop - start) / len(batch), x[rows], targets[rows], labels[rows])

        first = (at.step * state.team.world + state.team.rank) * self.parts
        seeds = [step_seed(state.recipe.seed, at.epoch, first + part) for part in range(self.parts)]
        gradients, facts = self._side_by_side.run(learn, seeds)
        state.team.add_up(*gradients, facts)
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
    part = state.team.part(len(batch))
    before = 1 if state.team.world > 1 and state.recipe.augmentation.cutmix else 0
    return batch[np.arange(part.start - before, part.stop)]  # row -1 is the last, as in cutmix

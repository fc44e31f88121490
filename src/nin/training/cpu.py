"""Training steps on a processor, alone or as one of several ranks: micro-batches side by side, gradients summed.

B pictures in a batch, M of them this rank's shard, C channels, H x W pixels, K classes. What a step computes does not
depend on the number of threads or ranks, but for rounding: the recipe says what is normalised together, and dropout's
masks are the pictures' own.
"""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import accumulate, pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.utils import get_total_norm

from nin.data.randomness import mask_seeds, step_seed
from nin.network.layers import Dropout
from nin.training.batch_norm import batch_of, ghost_batches, in_ghost_batches, is_normalised
from nin.training.micro_batches import MicroBatches, computed_together, divided, micro_batch_count
from nin.training.state import State


class CpuSteps:
    """The steps of a run: each batch in micro-batches, as many side by side as this rank's threads compute.

    The micro-batches of a normalised network are the recipe's ghost batches, whatever the number of threads.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.micro_batches = 1
        self._ghosts = False  # whether the micro-batches are ghost batches
        model = state.model
        threads = state.hardware.threads
        # torch's own dropout draws from one generator, which threads would race for
        draws = any(isinstance(module, _DropoutNd) for module in model.modules())
        # of several ranks each has one micro-batch: they communicate in one order, which racing threads would not keep
        if state.team.world == 1 and state.hardware.device != "cpu":
            model = in_ghost_batches(model, state.batch_size, state.recipe.statistics_batch)
        elif state.team.world == 1:
            self._ghosts = is_normalised(model)
            if self._ghosts:
                self.micro_batches = len(ghost_batches(state.batch_size, state.recipe.statistics_batch))
            elif not draws:
                self.micro_batches = micro_batch_count(state.batch_size, threads)
        together = 1 if draws else computed_together(self.micro_batches, threads)
        self._replicas = MicroBatches(model, self.micro_batches, threads, together)

    def step(self, batch: np.ndarray, rate: float) -> tuple[float, int]:
        """As `nin.training.state.Steps.step`."""
        state = self.state
        x, targets, labels = state.augmented(rows_of(state, batch))  # (M or M + 1, C, H, W), (.., K), (..)
        shard = state.team.shard(len(batch))
        own = len(batch[shard])
        x = x[-own:]  # (M, C, H, W): without the row that cutmix alone needed
        targets = targets[-own:]
        labels = labels[-own:]
        for group in state.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        bounds = list(pairwise(accumulate(self._sizes(own), initial=0)))

        def learn(model: nn.Module, index: int) -> tuple[list[Tensor], Tensor]:
            start, stop = bounds[index]
            rows = slice(start, stop)
            with self._seeded(model, shard.start + start, shard.start + stop, index):
                # weighed by its share of the whole batch: the sum over micro-batches and ranks is the batch's mean
                return state.learn(model, (stop - start) / len(batch), x[rows], targets[rows], labels[rows])

        with batch_of(len(batch), state.model):
            gradients, facts = self._replicas.run(learn, len(bounds))
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

    def _sizes(self, own: int) -> tuple[int, ...]:
        """The pictures of every micro-batch of a step on `own` pictures."""
        if self._ghosts:
            return ghost_batches(own, self.state.recipe.statistics_batch)
        return divided(own, min(self.micro_batches, max(1, own)))

    @contextmanager
    def _seeded(self, model: nn.Module, start: int, stop: int, index: int) -> Iterator[None]:
        """Inside `with` what is random in `model` belongs to the batch's pictures from `start` to `stop`.

        What draws from torch's own generator, as dropout on a GPU does, depends on the rank as well.
        """
        state = self.state
        at = state.position
        on_cpu = state.hardware.device == "cpu"
        ours = [module for module in model.modules() if isinstance(module, Dropout) and module.p] if on_cpu else []
        places = at.step * state.batch_size + np.arange(start, stop)
        with ExitStack() as stack:
            for layer, module in enumerate(ours):
                module.seeds = mask_seeds(state.recipe.seed, at.epoch, places, layer)
                stack.callback(setattr, module, "seeds", None)
            if self._replicas.together == 1:
                of_rank = (at.step * state.team.world + state.team.rank) * self.micro_batches + index
                seed = step_seed(state.recipe.seed, at.epoch, of_rank)
                cuda = [torch.cuda.current_device()] if state.class_weights.is_cuda else []
                stack.enter_context(torch.random.fork_rng(cuda))
                if on_cpu:
                    torch.default_generator.manual_seed(seed)  # not torch.manual_seed: it writes its caller down
                else:
                    torch.manual_seed(seed)
            yield


def rows_of(state: State, batch: np.ndarray) -> np.ndarray:
    """(B,) -> this rank's rows (M,); where cutmix pastes from the row before, that comes first, to be dropped."""
    shard = state.team.shard(len(batch))
    before = 1 if state.team.world > 1 and state.recipe.augmentation.cutmix else 0
    return batch[np.arange(shard.start - before, shard.stop)]  # row -1 is the last, as in cutmix

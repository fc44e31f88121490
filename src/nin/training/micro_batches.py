"""A training step on several threads: each micro-batch is computed by one thread from beginning to end.

Threads that share every single operation wait for each other after every single operation, and all wait for the one
whose core has something else to do. Micro-batches are taken by whichever thread is free, and their gradients are summed
in a fixed order, so that the result does not depend on who computed what. Threads decide how many micro-batches are
computed side by side, never what is normalised together: that is what the micro-batches of a normalised network are.
"""

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn

# Both: ours, docs/log.md.
LEAST = 16  # pictures of a micro-batch where nothing is normalised: smaller ones cost more than they gain
PER_THREAD = (4, 2, 1)  # micro-batches; the more, the better a busy neighbour is borne
Work = Callable[[nn.Module, int], tuple[list[Tensor], Tensor]]


def micro_batch_count(batch: int, threads: int, *, least: int = LEAST) -> int:
    """Into how many equal micro-batches to split a batch; 1 when it is too small or there is one thread only."""
    counts = (threads * each for each in PER_THREAD)
    return next((n for n in counts if batch % n == 0 and batch // n >= least), 1) if threads > 1 else 1


def divided(count: int, parts: int) -> tuple[int, ...]:
    """The sizes of `parts` parts of `count` pictures, equal to one picture: 250 in 3 are 83, 83 and 84."""
    return tuple(count * (place + 1) // parts - count * place // parts for place in range(parts))


def computed_together(count: int, threads: int) -> int:
    """How many of `count` micro-batches to compute at a time; as many threads as there are for each share its work.

    The number that is done soonest where threads share work without loss; of equals the largest, where they wait least:
    4 on 2 threads: 2, one thread each. 4 on 8: 4, two each. 4 on 3: one after another, all three together.
    """
    return min(range(1, min(count, threads) + 1), key=lambda n: (-(-count // n) / (threads // n), -n))


class MicroBatches:
    """Copies of `model` that share its weights but not its running statistics, one for each micro-batch.

    One micro-batch needs no copy: then the model itself does the work. together: computed at a time; a single one is
    computed by the caller's own thread, with what torch's default generator of the CPU then gives.
    """

    def __init__(self, model: nn.Module, count: int, threads: int, together: int) -> None:
        self.model = model
        shared = {id(p): p for p in model.parameters()}  # deepcopy's memo: what is in it is shared, not copied
        self.copies = [copy.deepcopy(model, dict(shared)).train() for _ in range(count)] if count > 1 else []
        self.together = together
        if together > 1:
            # threads of their own: a pool whose threads all divided their operations would wait for each other again
            self._pool = ThreadPoolExecutor(
                together, "micro-batch", initializer=torch.set_num_threads, initargs=(threads // together,)
            )

    def run(self, work: Work, count: int) -> tuple[list[Tensor], Tensor]:
        """The sums, in the order of the micro-batches, of the gradients and facts that `work(copy, index)` gives.

        count: of micro-batches this time. Afterwards the model's running statistics are the means of the copies'.
        """
        if not self.copies:
            return work(self.model, 0)
        copies = self.copies[:count]
        statistics = [b for b in self.model.buffers() if b.is_floating_point()]
        theirs = [[b for b in replica.buffers() if b.is_floating_point()] for replica in copies]
        for buffers in theirs:
            for own, buffer in zip(buffers, statistics, strict=True):
                own.copy_(buffer)
        every = self._pool.map if self.together > 1 else map
        results = list(every(work, copies, range(len(copies))))
        for place, buffer in enumerate(statistics):
            buffer.copy_(torch.stack([buffers[place] for buffers in theirs]).mean(dim=0))
        for buffer, new in zip(self.model.buffers(), copies[0].buffers(), strict=True):
            if not buffer.is_floating_point():
                buffer.copy_(new)  # batches counted
        (gradients, facts), *others = results
        for more, further in others:
            facts = facts + further
            for gradient, addend in zip(gradients, more, strict=True):
                gradient.add_(addend)
        return gradients, facts

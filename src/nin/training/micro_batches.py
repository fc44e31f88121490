"""A training step on several threads: each micro-batch is computed by one thread from beginning to end.

Threads that share every single operation wait for each other after every single operation, and all wait for the one
whose core has something else to do. Micro-batches are taken by whichever thread is free, and their gradients are summed
in a fixed order, so that the result does not depend on who computed what. Normalisation sees one micro-batch at a time.
"""

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn

from nin.network.layers import Dropout

# All of these: ours, docs/log.md.
LEAST_NORMALISED = 64  # pictures that a normalisation should see at once
LEAST_PLAIN = 16  # pictures where nothing is normalised: smaller micro-batches cost more than they gain
PER_THREAD = (4, 2, 1)  # micro-batches; the more, the better a busy neighbour is borne
Work = Callable[[nn.Module, int], tuple[list[Tensor], Tensor]]


def micro_batch_count(batch: int, threads: int, *, least: int = LEAST_NORMALISED) -> int:
    """Into how many equal micro-batches to split a batch; 1 when it is too small or there is one thread only."""
    counts = (threads * each for each in PER_THREAD)
    return next((n for n in counts if batch % n == 0 and batch // n >= least), 1) if threads > 1 else 1


class MicroBatches:
    """Copies of `model` that share its weights but not its running statistics, one for each micro-batch.

    One micro-batch needs no copy: then the model itself does the work, and its dropout is torch's default generator's.
    """

    def __init__(self, model: nn.Module, count: int, threads: int) -> None:
        self.model = model
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        shared = {id(p): p for p in model.parameters()}  # deepcopy's memo: what is in it is shared, not copied
        self.copies = [copy.deepcopy(model, dict(shared)).train() for _ in range(count)] if count > 1 else []
        self.generators = [torch.Generator() for _ in self.copies]
        for replica, generator in zip(self.copies, self.generators, strict=True):
            for module in replica.modules():
                if isinstance(module, Dropout):
                    module.generator = generator
        # one thread each: a thread of the pool that divided its operations would wait for the others again
        self._pool = ThreadPoolExecutor(threads, "micro-batch", initializer=torch.set_num_threads, initargs=(1,))

    def run(self, work: Work, seeds: Sequence[int]) -> tuple[list[Tensor], Tensor]:
        """The sums, in the order of the micro-batches, of the gradients and facts that `work(copy, index)` gives.

        seeds: of each micro-batch's dropout. Afterwards the model's running statistics are the means of the copies'.
        """
        if not self.copies:
            cuda = [torch.cuda.current_device()] if self.parameters[0].is_cuda else []
            with torch.random.fork_rng(cuda):
                if self.parameters[0].device.type == "cpu":
                    torch.default_generator.manual_seed(seeds[0])  # not torch.manual_seed: it writes its caller down
                else:
                    torch.manual_seed(seeds[0])
                return work(self.model, 0)
        statistics = [b for b in self.model.buffers() if b.is_floating_point()]
        theirs = [[b for b in replica.buffers() if b.is_floating_point()] for replica in self.copies]
        for generator, seed, buffers in zip(self.generators, seeds, theirs, strict=True):
            generator.manual_seed(seed)
            for own, buffer in zip(buffers, statistics, strict=True):
                own.copy_(buffer)
        results = list(self._pool.map(work, self.copies, range(len(self.copies))))
        for place, buffer in enumerate(statistics):
            buffer.copy_(torch.stack([buffers[place] for buffers in theirs]).mean(dim=0))
        for buffer, new in zip(self.model.buffers(), self.copies[0].buffers(), strict=True):
            if not buffer.is_floating_point():
                buffer.copy_(new)  # batches counted
        (gradients, facts), *others = results
        for more, further in others:
            facts = facts + further
            for gradient, addend in zip(gradients, more, strict=True):
                gradient.add_(addend)
        return gradients, facts

"""A computation recorded on a GPU once and replayed: Python needs longer to launch a small network's kernels one by
one than the GPU needs to run them.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

WARM_UP = 3  # runs before recording, in which libraries choose kernels and reserve memory
Work = Callable[..., tuple[list[Tensor], Tensor]]


class Recording:
    """One CUDA graph of `work` and the memory of its inputs and results."""

    def __init__(self, work: Work, inputs: Sequence[Tensor], state: Sequence[Tensor]) -> None:
        self._inputs = [given.clone() for given in inputs]
        before = [kept.clone() for kept in state]
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                work(*self._inputs)
        torch.cuda.current_stream().wait_stream(aside)
        for kept, value in zip(state, before, strict=True):
            kept.copy_(value)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._results = work(*self._inputs)

    def __call__(self, *inputs: Tensor) -> tuple[list[Tensor], Tensor]:
        for own, given in zip(self._inputs, inputs, strict=True):
            own.copy_(given)
        self._graph.replay()
        return self._results


class Replay:
    """`work` on GPU tensors, recorded for every shape of its inputs that comes and replayed when it comes again.

    work: tensors -> gradients and facts, all on the GPU; it reads its weights in place and draws from torch's default
    generator, whose seed counts in a replay as it does without one. state: what it changes besides, such as running
    statistics. The results are overwritten by the next call. Work that cannot be recorded (it asks for a value on the
    way) or whose recording finds no memory is done as it is.
    """

    def __init__(self, work: Work, state: Sequence[Tensor]) -> None:
        self.work, self.state = work, state
        self.recordings: dict[tuple[torch.Size, ...], Recording | None] = {}

    def __call__(self, *inputs: Tensor) -> tuple[list[Tensor], Tensor]:
        """As `work(*inputs)`."""
        shapes = tuple(given.shape for given in inputs)
        if shapes not in self.recordings:
            seed = torch.cuda.initial_seed()
            try:
                self.recordings[shapes] = Recording(self.work, inputs, self.state)
            except RuntimeError:
                self.recordings[shapes] = None
            torch.cuda.manual_seed(seed)
        recording = self.recordings[shapes]
        return self.work(*inputs) if recording is None else recording(*inputs)

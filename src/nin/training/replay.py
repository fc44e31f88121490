"""A computation recorded on a GPU once and replayed; launching a small network's kernels takes Python longer."""

import gc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

LAUNCHED = 3  # calls before one is recorded, in which libraries choose kernels and reserve memory; the last is watched
Work = Callable[..., Tensor]


class Recording:
    """One CUDA graph of `work`, and the memory of its inputs and result."""

    def __init__(self, work: Work, inputs: tuple[Tensor, ...]) -> None:
        self._inputs = [given.clone() for given in inputs]
        self._graph = torch.cuda.CUDAGraph()
        with _no_collection(), torch.cuda.graph(self._graph):
            self._result = work(*self._inputs)

    def __call__(self, *inputs: Tensor) -> Tensor:
        for own, given in zip(self._inputs, inputs, strict=True):
            own.copy_(given)
        return self.again()

    def again(self) -> Tensor:
        """The result for the inputs of before."""
        self._graph.replay()
        return self._result


class Replay:
    """`work` on GPU tensors, recorded for every shape of its inputs that comes often, and replayed from then on.

    What work reads or changes besides its inputs must stay where it is in memory. It may draw from torch's default
    generator of the GPU: the seed counts in a replay as it does without one. The result is overwritten by the next
    call. Work that cannot be recorded, as it asks the GPU for a value on its way, is launched every time.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self.recordings: dict[tuple[torch.Size, ...], Recording | None] = {}
        self._calls: dict[tuple[torch.Size, ...], int] = {}

    def __call__(self, *inputs: Tensor) -> Tensor:
        """As `work(*inputs)`."""
        shapes = tuple(given.shape for given in inputs)
        recording = self.recordings.get(shapes)
        if recording is not None:
            return recording(*inputs)
        if shapes in self.recordings:
            return self.work(*inputs)
        calls = self._calls[shapes] = self._calls.get(shapes, 0) + 1
        if calls < LAUNCHED:
            return self.work(*inputs)
        if calls == LAUNCHED:
            with Waits() as waits:
                result = self.work(*inputs)
            if waits.seen:
                self.recordings[shapes] = None
            return result
        try:
            recording = self.recordings[shapes] = Recording(self.work, inputs)
        except RuntimeError:
            self.recordings[shapes] = None
            _free_generator()
            return self.work(*inputs)
        return recording(*inputs)


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage is collected within: freeing an older recording while one is made spoils the new one."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _free_generator() -> None:
    """A recording that failed keeps the generator of the GPU to itself; put one with the same seed in its place."""
    default = torch.cuda.default_generators[torch.cuda.current_device()]
    fresh = torch.Generator(default.device).manual_seed(default.initial_seed())
    default.graphsafe_set_state(fresh)


class Waits:
    """Finds out whether anything within waits for the GPU, as asking it for a value does."""

    seen = False

    def __enter__(self) -> "Waits":
        self._warnings = warnings.catch_warnings(record=True)
        self._caught = self._warnings.__enter__()
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        return self

    def __exit__(self, *error: object) -> None:
        torch.cuda.set_sync_debug_mode("default")
        self._warnings.__exit__(*error)  # type: ignore[arg-type]
        self.seen = any("synchronizing CUDA operation" in str(each.message) for each in self._caught)

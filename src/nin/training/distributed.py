"""One run on many processes, as torchrun starts them: who is who, sums over all ranks, and what if one is lost.

R ranks (processes), each with its shard of every batch; C channels, (N, C, H, W) a rank's shard. All ranks hold the
same weights, see the same sums and so take the same decisions; rank 0 alone writes and prints.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from nin.errors import Interrupted, NinError, UsageError

JOIN_SECONDS = 120.0  # until every rank must have come to the master
SILENCE_SECONDS = 1800.0  # until a rank that is connected but says nothing counts as lost; reading pictures takes long
GRACE_SECONDS = 3.0  # until a rank that has lost another one must have written that it is alive


@dataclass(frozen=True)
class Rank:
    """Where a process stands among those of its run; `local` counts within its machine."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1
    restarts: int = 0  # how often torchrun has started this run again


def place(variables: Mapping[str, str] = os.environ) -> Rank:
    """The place that torchrun's environment variables give; one process where there are none. Raises UsageError."""

    def number(name: str, otherwise: int) -> int:
        text = variables.get(name, str(otherwise))
        if not text.isdecimal():
            raise UsageError(f"{name} is {text!r}; expected a whole number, as torchrun sets it")
        return int(text)

    needed = ("RANK", "WORLD_SIZE")
    missing = [name for name in needed if name not in variables]
    if len(missing) == 1:
        there = next(name for name in needed if name in variables)
        raise UsageError(f"{there} is set, but {missing[0]} is not; start with torchrun, which sets both, or unset it")
    found = Rank(
        *(number("RANK", 0), number("WORLD_SIZE", 1), number("LOCAL_RANK", 0), number("LOCAL_WORLD_SIZE", 1)),
        number("TORCHELASTIC_RESTART_COUNT", 0),
    )
    for name, rank, world in (
        ("WORLD_SIZE", found.rank, found.world),
        ("LOCAL_WORLD_SIZE", found.local_rank, found.local_world),
    ):
        if rank >= world:
            low = name.replace("WORLD_SIZE", "RANK")
            raise UsageError(f"{low} is {rank}, but {name} is {world}; expected a rank below the number of ranks")
    if found.world > 1 and (missing := [n for n in ("MASTER_ADDR", "MASTER_PORT") if not variables.get(n)]):
        raise UsageError(
            f"WORLD_SIZE is {found.world}, but {missing[0]} is not set; start with torchrun, which sets it"
        )
    number("MASTER_PORT", 0)
    return found


class Team:
    """The ranks of a run as one of them sees them; without a store it is a process alone, and every sum its own."""

    def __init__(self, here: Rank | None = None, store: Any = None) -> None:
        self.place = here or Rank()
        self.rank = self.place.rank
        self.world = self.place.world
        self.store = store  # torch.distributed's: texts that outlive a lost connection
        self.first = self.rank == 0

    def shard(self, count: int) -> slice:
        """This rank's rows of a batch of `count`; shards differ by one row at most."""
        return slice(count * self.rank // self.world, count * (self.rank + 1) // self.world)

    def all_reduce(self, *tensors: Tensor) -> None:
        """Sum tensors of one type and device over all ranks, in place, in one communication."""
        if self.world == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])  # one message costs less than many
        with self._watched():
            dist.all_reduce(flat)
        for tensor, total in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(total.view(tensor.shape))

    def broadcast_seconds(self, seconds: float) -> float:
        """Rank 0's seconds, on all ranks."""
        return self._total(seconds if self.first else 0.0)

    def any_rank(self, asked: bool) -> bool:
        """Whether any rank asks, on all ranks."""
        return self._total(float(asked)) > 0

    def _total(self, number: float) -> float:
        total = torch.tensor([number], dtype=torch.float64)
        self.all_reduce(total)
        return float(total)

    def broadcast_text(self, text: str, rank: int = 0) -> str:
        """The text that one rank has, on all ranks."""
        if self.world == 1:
            return text
        data = torch.frombuffer(bytearray(text.encode() + b" "), dtype=torch.uint8)  # a buffer may not be empty
        return bytes(self._send(data, rank).numpy()).decode()[:-1]

    def broadcast_arrays(self, arrays: Mapping[str, np.ndarray], text: str) -> tuple[dict[str, np.ndarray], str]:
        """Rank 0's arrays and text, on all ranks; what the others give is ignored."""
        names = json.loads(
            self.broadcast_text(json.dumps([[name, str(a.dtype), a.shape] for name, a in arrays.items()]))
        )
        found = dict(arrays) if self.first else {}
        if self.world > 1:
            for name, dtype, shape in names:
                raw = np.frombuffer(arrays[name].tobytes(), np.uint8) if self.first else np.empty(0, np.uint8)
                sent = self._send(torch.from_numpy(raw.copy()), 0).numpy()
                found[name] = np.frombuffer(sent.tobytes(), dtype).reshape(shape)
        return found, self.broadcast_text(text)

    def _send(self, data: Tensor, rank: int) -> Tensor:
        """(B,) bytes of one rank on all ranks."""
        with self._watched():
            length = torch.tensor([len(data)])
            dist.broadcast(length, rank)
            data = data if rank == self.rank else torch.empty(int(length), dtype=torch.uint8)
            if len(data):
                dist.broadcast(data, rank)
        return data

    def check_same(self, facts: Mapping[str, Any]) -> None:
        """Raise UsageError on every rank, naming rank and fact, unless all have the same facts (JSON-able)."""
        mine = json.dumps(facts)
        of_ranks = [json.loads(self.broadcast_text(mine, rank)) for rank in range(self.world)]
        for rank, theirs in enumerate(of_ranks):
            for name, value in of_ranks[0].items():
                if theirs.get(name) != value:
                    raise UsageError(
                        f"rank {rank} has {name} {theirs.get(name)}, rank 0 has {value}; "
                        "start every rank with the same command, program and pictures"
                    )

    def close(self) -> None:
        """Leave once every rank is done: a socket closed early takes the last sum from a slower rank."""
        if self.store is not None and dist.is_initialized():
            with suppress(RuntimeError):
                self.store.set(f"done/{self.rank}", "")
                self.store.wait([f"done/{rank}" for rank in range(self.world)], timedelta(seconds=60))
            dist.destroy_process_group()

    def leave(self, error: BaseException) -> None:
        """Tell the others why this rank leaves at once; settle which rank prints it (`error.said`)."""
        assert self.store is not None
        known = error if isinstance(error, NinError) else None
        text = str(known or f"rank {self.rank} failed ({type(error).__name__})")
        with suppress(RuntimeError):
            if self._reason() is None:
                self.store.set("word", json.dumps([text, known.exit_code if known else 1]))
            if known:
                digest = hashlib.sha256(text.encode()).hexdigest()
                known.said = self.store.add(f"said/{digest}", 1) > 1
        if isinstance(error, Interrupted):  # all stop together: rank 0 knows where the run lies
            error.said = not self.first
        if dist.is_initialized():
            dist.destroy_process_group()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """A communication that fails because a rank is lost fails in one line that names it."""
        try:
            yield
        except RuntimeError as error:
            raise self._lost(error) from error

    def _lost(self, error: RuntimeError) -> NinError:
        assert self.store is not None
        if dist.is_initialized():
            dist.destroy_process_group()  # closes the sockets: a rank that waits for this one fails too
        go_on = "go on from the last checkpoint with the same torchrun and --resume RUN"
        absent = list(range(self.world))
        try:
            self.store.set(f"alive/{self.rank}", "")
            end = time.monotonic() + GRACE_SECONDS
            while absent and time.monotonic() < end:
                if reason := self._reason():
                    return reason
                absent = [rank for rank in absent if not self.store.check([f"alive/{rank}"])]
                time.sleep(0.05)
        except RuntimeError:
            return NinError(f"rank 0 ended without a word (killed, or out of memory?), and its store; {go_on}")
        if not absent:
            return NinError(f"the ranks lost their connection ({str(error).splitlines()[0]}); {go_on}")
        who = f"rank {absent[0]}" if len(absent) == 1 else f"one or more of the ranks {', '.join(map(str, absent))}"
        return NinError(f"{who} ended without a word (killed, or out of memory?); {go_on}")

    def _reason(self) -> NinError | None:
        """Why another rank left, if one did and said so."""
        assert self.store is not None
        if not self.store.check(["word"]):
            return None
        text, code = json.loads(self.store.get("word"))
        return {2: UsageError, 130: Interrupted}.get(code, NinError)(text)


ALONE = Team()


@contextmanager
def joined() -> Iterator[Team]:
    """The team that torchrun's environment asks for; an error of one rank ends all of them.

    Raises UsageError for impossible settings, NinError when the ranks do not come together in JOIN_SECONDS.
    """
    here = place()
    if here.world == 1:
        yield Team(here)
        return
    team = Team(here, _meet(here))
    try:
        yield team
    except BaseException as error:
        team.leave(error)
        raise
    team.close()


def _meet(here: Rank) -> Any:
    """Connect all ranks: gloo for tensors in memory, NCCL for those on GPUs."""
    host = os.environ["MASTER_ADDR"]
    port = int(os.environ["MASTER_PORT"])
    serves = here.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    gpus = torch.cuda.device_count() if dist.is_nccl_available() else 0
    if here.local_rank < gpus:
        torch.cuda.set_device(here.local_rank)
    try:
        wait = timedelta(seconds=JOIN_SECONDS)
        server = dist.TCPStore(host, port, here.world, serves, wait, multi_tenant=True)  # type: ignore[attr-defined]
        store = dist.PrefixStore(f"nin/{here.restarts}", server)  # type: ignore[attr-defined]
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if here.local_rank < gpus else "gloo",
            store=store,
            rank=here.rank,
            world_size=here.world,
            timeout=timedelta(seconds=SILENCE_SECONDS),
        )
    except (RuntimeError, ValueError) as error:
        if "EADDRINUSE" in str(error) or "address already in use" in str(error).lower():
            raise UsageError(f"MASTER_PORT {port} is in use on this machine; choose another --master-port") from None
        raise NinError(
            f"rank {here.rank} of {here.world} did not meet the others at {host}:{port} within {JOIN_SECONDS:g} s; see "
            "that every rank was started, and that MASTER_ADDR and MASTER_PORT are those of rank 0's machine"
        ) from None
    store.set_timeout(timedelta(seconds=GRACE_SECONDS))
    return store

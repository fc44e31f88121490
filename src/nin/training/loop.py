"""The training loop: yields one Epoch at a time; writes nothing, prints nothing.

N pictures of H x W pixels and C channels, B of them in a batch; K classes.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from nin.data.preprocess import Preprocess
from nin.data.stream import Images, prefetch
from nin.errors import NotFinite
from nin.training.cpu import CpuSteps, rows_of
from nin.training.distributed import ALONE, Team
from nin.training.gpu import GpuSteps
from nin.training.hardware import Hardware
from nin.training.recipes import Recipe
from nin.training.state import Epoch, Pictures, Position, Progress, State, Steps
from nin.training.tensors import to_tensor
from nin.training.watch import OnDiagnosis, Watch

EVALUATION_BATCH = 250
GPU_PIXELS = 1 << 20  # of an evaluation batch on a GPU, where small batches wait for their launches
FEW = 5  # validation pictures of a class from which it can count as dead; ours


class Trainer:
    """A run in progress. `epochs()` advances it; its state, and the best weights so far, are all there is to it."""

    def __init__(
        self,
        model: nn.Module,
        train: Pictures,
        validation: Pictures,
        preprocess: Preprocess,
        recipe: Recipe,
        hardware: Hardware,
        team: Team = ALONE,
    ) -> None:
        self.state = State(model, train, validation, preprocess, recipe, hardware, team)
        self.best: dict[str, torch.Tensor] = {}
        self.stepper: Steps | None = None  # from the first one on

    @property
    def model(self) -> Any:
        """The network, on its device."""
        return self.state.model

    @property
    def data(self) -> Pictures:
        """The training pictures."""
        return self.state.data

    @property
    def validation(self) -> Pictures:
        """The pictures that every epoch is measured on."""
        return self.state.validation

    @property
    def preprocess(self) -> Preprocess:
        """What pictures go through on their way to the network."""
        return self.state.preprocess

    @property
    def recipe(self) -> Recipe:
        """How the network is trained."""
        return self.state.recipe

    @property
    def hardware(self) -> Hardware:
        """What computes."""
        return self.state.hardware

    @property
    def team(self) -> Team:
        """The ranks of this run."""
        return self.state.team

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """What changes the weights."""
        return self.state.optimizer

    @property
    def position(self) -> Position:
        """Where the run stands."""
        return self.state.position

    @property
    def finished(self) -> bool:
        """True when nothing is left to do."""
        return self.position.stopped or self.position.epoch >= self.recipe.epochs

    def epochs(
        self,
        *,
        on_step: Callable[[Progress], None] = lambda _: None,
        should_stop: Callable[[], bool] = lambda: False,
        on_finding: OnDiagnosis | None = None,
    ) -> Iterator[Epoch]:
        """Train; yield after each epoch. Returns early, at the end of a step, when `should_stop()` says so.

        on_finding: called with what keeps the first steps from learning, and may raise; without it nothing is checked.
        """
        watch = Watch(self.state, on_finding)
        watch.before_first_step()
        while not self.finished:
            with torch.random.fork_rng([torch.cuda.current_device()] if self.hardware.device == "cuda" else []):
                whole = self._finish_epoch(on_step, should_stop, watch)
            if not whole:
                return
            done = self._measure_epoch()
            watch.after_epoch()
            yield done
            if self.team.any_rank(should_stop()):
                return

    def _finish_epoch(self, on_step: Callable[[Progress], None], should_stop: Callable[[], bool], watch: Watch) -> bool:
        """Do the remaining steps of the epoch under way; False when asked to stop before its end."""
        at = self.position
        recipe = self.recipe
        batches = self.state.batches(at.epoch)
        prefetch(
            self.data.images,
            np.concatenate([np.arange(0), *(rows_of(self.state, batch) for batch in batches[at.step :])]),
        )
        self.model.train()
        while at.step < self.state.steps:
            start = time.perf_counter()
            batch = batches[at.step]
            loss, correct = self.step(batch)
            watch.after_step(loss)
            if not math.isfinite(loss):
                raise NotFinite(
                    f"the training loss, its gradient or a weight became {loss} in epoch {at.epoch + 1}, step "
                    f"{at.step + 1}, at learning rate {self.state.learning_rate():.3g}; start again with a smaller --lr"
                )
            elapsed = self._elapsed(start)
            at.step += 1
            at.seen += len(batch)
            at.loss_sum += loss * len(batch)
            at.correct += correct
            at.seconds += elapsed
            at.epoch_seconds += elapsed
            on_step(self._progress(loss))
            if recipe.max_seconds is not None and at.seconds >= recipe.max_seconds:
                at.stopped = True
                return at.seen > 0
            if at.step < self.state.steps and self.team.any_rank(should_stop()):
                return False
        return True

    def step(self, batch: np.ndarray) -> tuple[float, int]:
        """The next optimizer step, on the pictures `batch` (B,) of all ranks; returns its loss and right answers."""
        if self.stepper is None:
            on_gpu = self.hardware.device == "cuda" and self.team.world == 1
            self.stepper = GpuSteps(self.state) if on_gpu else CpuSteps(self.state)
        return self.stepper.step(batch, self.state.learning_rate())

    def restore(self, position: Position, best: dict[str, torch.Tensor]) -> None:
        """Go on from this position; weights and momentum were put in place before."""
        self.state.position = position
        self.best = best
        self.stepper = None  # what was recorded on a GPU used the momentum of before

    def _elapsed(self, start: float) -> float:
        """Seconds since `start`; rank 0's where the clock decides."""
        elapsed = time.perf_counter() - start
        return elapsed if self.recipe.max_seconds is None else self.team.broadcast_seconds(elapsed)

    def logits(self, images: Images, *, fast: bool = False) -> np.ndarray:
        """(N, H, W, C) uint8 -> (N, K) float32 as `predict_logits`; every rank computes its shard and gets all."""
        shard = self.team.shard(len(images))
        mine = predict_logits(self.model, images[shard], self.preprocess, self.hardware, fast=fast)
        if self.team.world == 1:
            return mine
        whole = torch.zeros(len(images), self.state.classes)
        whole[shard] = torch.from_numpy(mine)
        self.team.all_reduce(whole)  # zeros where others computed: the sum is the whole
        return whole.numpy()

    def _measure_epoch(self) -> Epoch:
        """Measure on the validation pictures and move the position to the next epoch."""
        at = self.position
        start = time.perf_counter()
        logits = torch.from_numpy(self.logits(self.validation.images, fast=True))  # (N, K)
        labels = torch.from_numpy(self.validation.labels)  # (N,)
        val_loss = float(F.cross_entropy(logits, labels))
        at.seconds += self._elapsed(start)
        at.epoch += 1
        done = Epoch(
            epoch=at.epoch,
            step=(at.epoch - 1) * self.state.steps + at.step,
            train_loss=at.loss_sum / at.seen,
            train_accuracy=at.correct / at.seen,
            val_loss=val_loss,
            val_accuracy=float((logits.argmax(1) == labels).float().mean()),
            lr=float(self.optimizer.param_groups[0]["lr"]),
            time=at.seconds,
            images_per_second=at.seen / at.epoch_seconds,
            dead_classes=int((logits == 0).all(0)[torch.bincount(labels, minlength=self.state.classes) >= FEW].sum()),
        )
        at.history.append(done)
        at.step = 0
        at.seen = 0
        at.correct = 0
        at.loss_sum = 0.0
        at.epoch_seconds = 0.0
        self._stop_early(val_loss)
        return done

    def _stop_early(self, val_loss: float) -> None:
        """Remember the best epoch; stop after `patience` epochs without a better one."""
        at = self.position
        patience = self.recipe.patience
        if patience is None:
            return
        if at.best_loss is None or val_loss < at.best_loss:
            at.best_loss = val_loss
            at.best_epoch = at.epoch
            self.best = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        at.stopped = at.stopped or at.epoch - at.best_epoch >= patience

    def _progress(self, loss: float) -> Progress:
        at = self.position
        rate = at.seen / at.epoch_seconds
        done = self.state.progress()
        left = at.seconds * (1 - done) / done if done > 0 else math.inf
        return Progress(at.epoch + 1, self.recipe.epochs, at.step, self.state.steps, loss, rate, left)

    def final_weights(self) -> dict[str, torch.Tensor]:
        """The weights that the run is for: the best epoch's with patience, else the present ones."""
        return self.best or self.model.state_dict()


def train_epochs(
    model: nn.Module,
    data: Pictures,
    validation: Pictures,
    preprocess: Preprocess,
    recipe: Recipe,
    hardware: Hardware,
) -> Iterator[Epoch]:
    """Train `model` in place and yield one Epoch at a time: `for epoch in train_epochs(...): ...`."""
    return Trainer(model, data, validation, preprocess, recipe, hardware).epochs()


def predict_logits(
    model: nn.Module, images: Images, preprocess: Preprocess, hardware: Hardware, *, fast: bool = False
) -> np.ndarray:
    """(N, H, W, C) uint8 -> (N, K) float32 logits, in evaluation mode; the model's mode is restored.

    Computed in float32, or with `fast` in the precision that the hardware trains with.
    """
    was_training = model.training
    model.eval()
    prefetch(images, np.arange(len(images)))
    logits = [np.empty((0, int(model.num_classes)), np.float32)]  # type: ignore[arg-type]
    at_once = EVALUATION_BATCH
    if hardware.device == "cuda":
        at_once = max(at_once, GPU_PIXELS // math.prod(preprocess.size))
    with torch.inference_mode(), hardware.autocast if fast else nullcontext():
        for start in range(0, len(images), at_once):
            x = to_tensor(images[start : start + at_once], preprocess, hardware.device)  # (B, C, H, W)
            logits.append(model(x.contiguous(memory_format=torch.channels_last)).float().cpu().numpy())
    model.train(was_training)
    return np.concatenate(logits)

"""The training loop: yields one Epoch at a time; writes nothing, prints nothing. N pictures, K classes."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from nin.data.augment import augment, cutmix
from nin.data.preprocess import Preprocess
from nin.data.randomness import balanced_order, order, step_seed
from nin.data.stream import Images, expect
from nin.errors import NotFinite, UsageError
from nin.training.distributed import ALONE, Team
from nin.training.gpu import GpuSteps
from nin.training.hardware import Hardware
from nin.training.inputs import to_input
from nin.training.optimizers import class_weights, optimizer_for, weighted_targets
from nin.training.parts import FEWEST, LEAST, Parts, part_count
from nin.training.recipes import Recipe
from nin.training.watch import Finding, Watch

EVALUATION_BATCH = 250
GPU_PIXELS = 1 << 20  # of an evaluation batch on a GPU, where small batches wait for their launches
SLACK = 0.1  # of a time budget: a run may be so late before the clock decides its learning rate
FEW = 5  # validation pictures of a class from which it can count as dead; ours


@dataclass(frozen=True)
class Pictures:
    """Decoded pictures (N, H, W, C) uint8 (in memory, memory-mapped or streamed) with labels (N,) int64."""

    images: Images
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training pictures gave. Losses are mean cross-entropies in nats, accuracies 0 to 1."""

    epoch: int  # 1 is the first
    step: int  # optimizer steps since the start of the run
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    lr: float
    time: float  # seconds since the start of the run, interruptions not counted
    images_per_second: float
    dead_classes: int = 0  # with FEW validation pictures or more, and a logit of 0 for all pictures


@dataclass(frozen=True)
class Progress:
    """Where the loop stands within an epoch; handed to `on_step`."""

    epoch: int
    epochs: int
    step: int  # within the epoch, 1 is the first
    steps: int
    loss: float
    images_per_second: float
    seconds_left: float  # of the whole run


@dataclass
class Position:
    """Everything besides tensors that decides the next bit; JSON-able."""

    epoch: int = 0  # finished epochs
    step: int = 0  # steps done in the epoch under way
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0
    stopped: bool = False  # by patience or by the clock
    best_epoch: int = 0
    best_loss: float | None = None
    saves: int = 0  # checkpoints written so far
    history: list[Epoch] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)  # of the first steps, for the watch over them
    looks: list[list[float]] = field(default_factory=list)  # what it saw: nin.training.guard.Look
    notes: list[str] = field(default_factory=list)  # what was told of dead starts, and done about them


class Trainer:
    """A run in progress. `epochs()` advances it; `position`, `model` and `optimizer` are its whole state."""

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
        self.model = model.to(hardware.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.data, self.validation, self.preprocess = train, validation, preprocess
        self.recipe, self.hardware, self.team = recipe, hardware, team
        self.classes = int(model.num_classes)  # type: ignore[arg-type]
        self.batch_size = min(recipe.batch_size, len(train))
        if self.batch_size < team.world:
            raise UsageError(f"a batch of {self.batch_size} cannot be shared by {team.world} ranks; raise --batch-size")
        self.steps = len(self._batches(0))
        self.position = Position()
        self.best: dict[str, torch.Tensor] = {}
        self.optimizer = optimizer_for(self.model, recipe, hardware)
        team.share_norms(self.model)
        self.parts = 1
        if hardware.device == "cpu" and team.world == 1:
            normed = any(isinstance(module, nn.BatchNorm2d) for module in self.model.modules())
            self.parts = part_count(self.batch_size, hardware.threads, least=LEAST if normed else FEWEST)
        self._side_by_side = Parts(self.model, self.parts, hardware.threads)
        self.trained = self._side_by_side.parameters
        statistics = [held for held in self.model.buffers() if held.is_floating_point()]
        self.state = [*self.model.parameters(), *statistics]  # what a step may spoil
        self.gpu: GpuSteps | None = None  # the steps recorded on it, from the first one on
        self.class_weights = class_weights(train.labels, self.classes, recipe.balance).to(hardware.device)

    @property
    def finished(self) -> bool:
        """True when nothing is left to do."""
        return self.position.stopped or self.position.epoch >= self.recipe.epochs

    def epochs(
        self,
        *,
        on_step: Callable[[Progress], None] = lambda _: None,
        should_stop: Callable[[], bool] = lambda: False,
        on_finding: Finding | None = None,
    ) -> Iterator[Epoch]:
        """Train; yield after each epoch. Returns early, at the end of a step, when `should_stop()` says so.

        on_finding: hears, and may raise, what keeps the first steps from learning; without it nobody looks.
        """
        watch = Watch(self, on_finding)
        watch.begin()
        while not self.finished:
            with torch.random.fork_rng([torch.cuda.current_device()] if self.hardware.device == "cuda" else []):
                whole = self._finish_epoch(on_step, should_stop, watch)
            if not whole:
                return
            done = self._close_epoch()
            watch.close()
            yield done
            if self.team.anybody(should_stop()):
                return

    def _finish_epoch(self, on_step: Callable[[Progress], None], should_stop: Callable[[], bool], watch: Watch) -> bool:
        """Do the remaining steps of the epoch under way; False when asked to stop before its end."""
        at, recipe = self.position, self.recipe
        batches = self._batches(at.epoch)
        expect(self.data.images, np.concatenate([np.arange(0), *map(self._rows, batches[at.step :])]))
        self.model.train()
        while at.step < self.steps:
            start = time.perf_counter()
            batch = batches[at.step]
            loss, correct = self.step(batch)
            watch.hear(loss)
            if not math.isfinite(loss):
                raise NotFinite(
                    f"the training loss, its gradient or a weight became {loss} in epoch {at.epoch + 1}, step "
                    f"{at.step + 1}, at learning rate {self.learning_rate():.3g}; start again with a smaller --lr"
                )
            elapsed = self._elapsed(start)
            at.step, at.seen = at.step + 1, at.seen + len(batch)
            at.loss_sum, at.correct = at.loss_sum + loss * len(batch), at.correct + correct
            at.seconds, at.epoch_seconds = at.seconds + elapsed, at.epoch_seconds + elapsed
            on_step(self._progress(loss))
            if recipe.max_seconds is not None and at.seconds >= recipe.max_seconds:
                at.stopped = True
                return at.seen > 0
            if at.step < self.steps and self.team.anybody(should_stop()):
                return False
        return True

    def _batches(self, epoch: int) -> list[np.ndarray]:
        """The rows of every step of an epoch, each (B,)."""
        recipe, count = self.recipe, len(self.data)
        if recipe.files is not None:
            files = np.split(np.arange(count), range(recipe.files, count, recipe.files))
            return [file[s : s + self.batch_size] for file in files for s in range(0, len(file), self.batch_size)]
        if recipe.balance == "sampler":
            indices = balanced_order(recipe.seed, epoch, self.data.labels)
        else:
            indices = order(recipe.seed, epoch, count)
        whole = count // self.batch_size  # the rest of a shuffled epoch waits for another epoch
        return np.split(indices[: whole * self.batch_size], whole)

    def progress(self) -> float:
        """Share of the run that is done: by steps, or by the clock when that is further by SLACK of the budget.

        A run whose epochs were planned within its budget so goes by steps alone, and resumes bit for bit.
        """
        at, budget = self.position, self.recipe.max_seconds
        done = (at.epoch * self.steps + at.step) / (self.recipe.epochs * self.steps)
        return max(done, (at.seconds / budget - SLACK) / (1 - SLACK)) if budget else done

    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return self.recipe.rate(self.progress())

    def step(self, batch: np.ndarray) -> tuple[float, int]:
        """One optimizer step on the pictures `batch` (B,) of all ranks; returns its loss and right answers.

        Where loss or gradient are not finite the weights stay as they are; the loss returned is not finite then, nor
        when the step made a weight or a statistic so.
        """
        rate = self.learning_rate()
        if self.hardware.device == "cuda" and self.team.world == 1:
            self.gpu = self.gpu or GpuSteps(self)
            return self.gpu.step(batch, rate)
        recipe, at = self.recipe, self.position
        x, targets, labels = self.varied(self._rows(batch))
        own = len(batch[self.team.part(len(batch))])
        x, targets, labels = x[-own:], targets[-own:], labels[-own:]
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]

        def learn(model: nn.Module, part: int) -> tuple[list[torch.Tensor], torch.Tensor]:
            start, stop = (own * place // self.parts for place in (part, part + 1))
            rows = slice(start, stop)
            return self.learn(model, (stop - start) / len(batch), x[rows], targets[rows], labels[rows])

        first = (at.step * self.team.world + self.team.rank) * self.parts
        seeds = [step_seed(recipe.seed, at.epoch, first + part) for part in range(self.parts)]
        gradients, facts = self._side_by_side.run(learn, seeds)
        self.team.add_up(*gradients, facts)
        for parameter, gradient in zip(self.trained, gradients, strict=True):
            parameter.grad = gradient
        loss, norm = facts[0].item(), float(torch.nn.utils.get_total_norm(gradients))
        if not math.isfinite(loss + norm):
            return (norm if math.isfinite(loss) else loss), 0
        self.optimizer.step()
        size = float(torch.nn.utils.get_total_norm(self.state))
        return (loss if math.isfinite(size) else size), int(facts[1])

    def pictures(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Training pictures `rows` (M,) as the network gets them, not varied (M, C, H, W), and their labels (M,)."""
        x = to_input(self.data.images[rows], self.preprocess, self.hardware.device)
        return x, torch.from_numpy(self.data.labels[rows]).to(self.hardware.device)

    def varied(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Training pictures `rows` (M,) as they are learnt from (M, C, H, W), their targets (M, K) and labels (M,)."""
        recipe, at = self.recipe, self.position
        x, labels = self.pictures(rows)
        targets = F.one_hot(labels, self.classes).float()
        x = augment(x, rows, recipe.augmentation, seed=recipe.seed, epoch=at.epoch)
        x, targets = cutmix(x, targets, recipe.augmentation, seed=recipe.seed, epoch=at.epoch, step=at.step)
        return x.contiguous(memory_format=torch.channels_last), targets, labels

    def learn(
        self, model: nn.Module, share: float, x: torch.Tensor, targets: torch.Tensor, labels: torch.Tensor
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Gradients of `share` times the mean loss of these pictures; that loss and the number of right answers."""
        if not len(x):  # a file's last batch may have fewer pictures than there are parts
            return [torch.zeros_like(p) for p in self.trained], torch.zeros(2)
        with self.hardware.autocast:
            logits = model(x)
        loss = share * F.cross_entropy(
            logits.float(), weighted_targets(targets, self.class_weights, self.recipe.label_smoothing)
        )
        gradients = torch.autograd.grad(loss, self.trained)
        return list(gradients), torch.stack([loss.detach(), (logits.argmax(1) == labels).sum().float()])

    def _rows(self, batch: np.ndarray) -> np.ndarray:
        """(B,) -> this rank's rows (M,); where cutmix pastes from the row before, that comes first, to be dropped."""
        part = self.team.part(len(batch))
        before = 1 if self.team.world > 1 and self.recipe.augmentation.cutmix else 0
        return batch[np.arange(part.start - before, part.stop)]  # row -1 is the last, as in cutmix

    def _elapsed(self, start: float) -> float:
        """Seconds since `start`; rank 0's where the clock decides."""
        elapsed = time.perf_counter() - start
        return elapsed if self.recipe.max_seconds is None else self.team.clock(elapsed)

    def logits(self, images: Images, *, fast: bool = False) -> np.ndarray:
        """(N, H, W, C) uint8 -> (N, K) float32 as `predict_logits`; every rank does its part and gets the whole."""
        part = self.team.part(len(images))
        mine = predict_logits(self.model, images[part], self.preprocess, self.hardware, fast=fast)
        if self.team.world == 1:
            return mine
        whole = torch.zeros(len(images), self.classes)
        whole[part] = torch.from_numpy(mine)
        self.team.add_up(whole)
        return whole.numpy()

    def _close_epoch(self) -> Epoch:
        """Measure on the validation pictures and move the position to the next epoch."""
        at = self.position
        start = time.perf_counter()
        logits = torch.from_numpy(self.logits(self.validation.images, fast=True))
        labels = torch.from_numpy(self.validation.labels)
        val_loss = float(F.cross_entropy(logits, labels))
        at.seconds += self._elapsed(start)
        at.epoch += 1
        done = Epoch(
            epoch=at.epoch,
            step=(at.epoch - 1) * self.steps + at.step,
            train_loss=at.loss_sum / at.seen,
            train_accuracy=at.correct / at.seen,
            val_loss=val_loss,
            val_accuracy=float((logits.argmax(1) == labels).float().mean()),
            lr=float(self.optimizer.param_groups[0]["lr"]),
            time=at.seconds,
            images_per_second=at.seen / at.epoch_seconds,
            dead_classes=int((logits == 0).all(0)[torch.bincount(labels, minlength=self.classes) >= FEW].sum()),
        )
        at.history.append(done)
        at.step, at.seen, at.correct, at.loss_sum, at.epoch_seconds = 0, 0, 0, 0.0, 0.0
        self._watch(val_loss)
        return done

    def _watch(self, val_loss: float) -> None:
        """Early stopping: remember the best epoch; give up after `patience` epochs without a better one."""
        at, patience = self.position, self.recipe.patience
        if patience is None:
            return
        if at.best_loss is None or val_loss < at.best_loss:
            at.best_loss, at.best_epoch = val_loss, at.epoch
            self.best = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        at.stopped = at.stopped or at.epoch - at.best_epoch >= patience

    def _progress(self, loss: float) -> Progress:
        at = self.position
        rate = at.seen / at.epoch_seconds
        done = self.progress()
        left = at.seconds * (1 - done) / done if done > 0 else math.inf
        return Progress(at.epoch + 1, self.recipe.epochs, at.step, self.steps, loss, rate, left)

    def final_weights(self) -> dict[str, torch.Tensor]:
        """The weights that the run is for: the best epoch's with patience, else the present ones."""
        return self.best or self.model.state_dict()


def train(
    model: nn.Module,
    data: Pictures,
    validation: Pictures,
    preprocess: Preprocess,
    recipe: Recipe,
    hardware: Hardware,
) -> Iterator[Epoch]:
    """Train `model` in place and yield one Epoch at a time: `for epoch in train(...): ...`."""
    return Trainer(model, data, validation, preprocess, recipe, hardware).epochs()


def predict_logits(
    model: nn.Module, images: Images, preprocess: Preprocess, hardware: Hardware, *, fast: bool = False
) -> np.ndarray:
    """(N, H, W, C) uint8 -> (N, K) float32 logits, in evaluation mode; the model's mode is restored.

    Computed in float32, or with `fast` in the precision that the hardware trains with.
    """
    was_training = model.training
    model.eval()
    expect(images, np.arange(len(images)))
    parts = [np.empty((0, int(model.num_classes)), np.float32)]  # type: ignore[arg-type]
    at_once = EVALUATION_BATCH
    if hardware.device == "cuda":
        at_once = max(at_once, GPU_PIXELS // math.prod(preprocess.size))
    with torch.inference_mode(), hardware.autocast if fast else nullcontext():
        for start in range(0, len(images), at_once):
            x = to_input(images[start : start + at_once], preprocess, hardware.device)
            parts.append(model(x.contiguous(memory_format=torch.channels_last)).float().cpu().numpy())
    model.train(was_training)
    return np.concatenate(parts)

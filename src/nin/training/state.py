"""What a run is made of and where it stands: all that the next step depends on.

N pictures of H x W pixels and C channels, B of them in a batch, M of them a micro-batch or a rank's shard; K classes.
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from nin.data.augment import augment, cutmix
from nin.data.preprocess import Preprocess
from nin.data.randomness import balanced_order, order
from nin.data.stream import Images
from nin.errors import UsageError
from nin.training.batch_norm import share_batch_norms
from nin.training.distributed import ALONE, Team
from nin.training.hardware import Hardware
from nin.training.optimizers import class_weights, optimizer_for, weighted_targets
from nin.training.recipes import Recipe
from nin.training.tensors import to_tensor

SLACK = 0.1  # of a time budget: a run may be so late before the clock decides its learning rate


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
    looks: list[list[float]] = field(default_factory=list)  # its checks: nin.training.guard.EarlierProbe
    notes: list[str] = field(default_factory=list)  # what was found of dead starts, and done about them


class Steps(Protocol):
    """What does the optimizer's steps: a processor (nin.training.cpu) or a GPU (nin.training.gpu)."""

    def step(self, batch: np.ndarray, rate: float) -> tuple[float, int]:
        """One step at this learning rate on the pictures `batch` (B,) of all ranks; its loss and right answers.

        Where loss or gradient are not finite the weights stay as they are; the loss returned is not finite then, nor
        when the step made a weight or a statistic so.
        """


class State:
    """All that decides the next step: network, pictures, recipe, optimizer, machine, ranks, and the position."""

    def __init__(
        self,
        model: nn.Module,
        data: Pictures,
        validation: Pictures,
        preprocess: Preprocess,
        recipe: Recipe,
        hardware: Hardware,
        team: Team = ALONE,
    ) -> None:
        self.model = model.to(hardware.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.data = data
        self.validation = validation
        self.preprocess = preprocess
        self.recipe = recipe
        self.hardware = hardware
        self.team = team
        self.classes = int(model.num_classes)  # type: ignore[arg-type]
        self.batch_size = min(recipe.batch_size, len(data))
        if self.batch_size < team.world:
            raise UsageError(f"a batch of {self.batch_size} cannot be shared by {team.world} ranks; raise --batch-size")
        self.steps = len(self.batches(0))  # of an epoch
        self.position = Position()
        self.optimizer = optimizer_for(self.model, recipe, hardware)
        share_batch_norms(self.model, team, recipe.statistics_batch)
        self.trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        statistics = [held for held in self.model.buffers() if held.is_floating_point()]
        self.tensors = [*self.model.parameters(), *statistics]  # what a step may spoil
        self.class_weights = class_weights(data.labels, self.classes, recipe.balance).to(hardware.device)

    def batches(self, epoch: int) -> list[np.ndarray]:
        """The rows of every step of an epoch, each (B,)."""
        recipe = self.recipe
        count = len(self.data)
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
        at = self.position
        budget = self.recipe.max_seconds
        done = (at.epoch * self.steps + at.step) / (self.recipe.epochs * self.steps)
        return max(done, (at.seconds / budget - SLACK) / (1 - SLACK)) if budget else done

    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return self.recipe.rate(self.progress())

    def pictures(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Training pictures `rows` (M,) as the network gets them, not augmented (M, C, H, W), and their labels (M,)."""
        x = to_tensor(self.data.images[rows], self.preprocess, self.hardware.device)
        return x, torch.from_numpy(self.data.labels[rows]).to(self.hardware.device)

    def augmented(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Training pictures `rows` (M,), augmented (M, C, H, W), their targets (M, K) and labels (M,)."""
        recipe = self.recipe
        at = self.position
        x, labels = self.pictures(rows)
        targets = F.one_hot(labels, self.classes).float()  # (M, K)
        x = augment(x, rows, recipe.augmentation, seed=recipe.seed, epoch=at.epoch)
        x, targets = cutmix(x, targets, recipe.augmentation, seed=recipe.seed, epoch=at.epoch, step=at.step)
        return x.contiguous(memory_format=torch.channels_last), targets, labels

    def learn(
        self, model: nn.Module, share: float, x: torch.Tensor, targets: torch.Tensor, labels: torch.Tensor
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Gradients of `share` times the mean loss of these pictures; (2,): that loss, the number of right answers.

        x (M, C, H, W), targets (M, K), labels (M,). share: of the whole batch, so that micro-batches add up to it.
        """
        if not len(x):  # a file's last batch may have fewer pictures than there are ranks
            return [torch.zeros_like(p) for p in self.trained], torch.zeros(2)
        with self.hardware.autocast:
            logits = model(x)  # (M, K)
        loss = share * F.cross_entropy(
            logits.float(), weighted_targets(targets, self.class_weights, self.recipe.label_smoothing)
        )
        gradients = torch.autograd.grad(loss, self.trained)
        return list(gradients), torch.stack([loss.detach(), (logits.argmax(1) == labels).sum().float()])

"""What a user may choose for a run, and how the program tells of its progress (torch-free)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from reprlib import repr as short
from typing import TYPE_CHECKING, Any, Literal

from nin.choices import AnyRuntime, Fit, Normalisation, Range, check_fields
from nin.data.reading import Reading
from nin.errors import UsageError

if TYPE_CHECKING:
    from nin.training.state import Epoch, Progress

Balance = Literal["none", "weights", "sampler"]
Flip = Literal["auto", "on", "off"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Colours = Literal["rgb", "bgr"]
Precision = Literal["auto", "float32", "bfloat16"]
Edge = Literal["padding", "ceil", "floor"]
Switch = Literal["on", "off"]
Format = Literal["onnx", "onnx-int8", "pt2"]
Lang = Literal["en", "ko", "both"]
CLAIM_SEEDS = 2  # of every training of nin claims; the whole list takes under 5 minutes on two cores: docs/log.md
ProtocolName = Literal["short", "full"]
RecipeName = Literal["default", "author", "author-augmented", "author-caffe"]


SCRATCH = "none"  # the model that stands for none


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What `nin train` lets a user choose. None means: chosen from the data, printed and saved in args.yaml."""

    out: Path | None = None
    """Run folder; by default runs/<name of the data>."""
    epochs: int | None = None
    """Passes over the training pictures."""
    max_time: str | None = None
    """Time budget: 90s, 10m, 1.5h; the epochs are planned to fit."""
    from_: str | None = None
    """Begin with the weights of this model: a model folder, or one of the package such as nin-cifar10; none: begin from
    scratch. By default few photographs begin with nin-photos, everything else from scratch."""
    size: int | None = None
    """Side of the square the network sees, in pixels."""
    width: float = 1.0
    """Width of the network: 1.0 is at most 966,986 parameters for ten classes."""
    fit: Fit = "stretch"
    """How a picture becomes a square: stretch it, pad it, or crop its middle."""
    network: str = "nin"
    """Which network: nin, nin-large, one of the author's, such as nin-author-cifar10, or a file with your own."""
    balance: Balance = "none"
    """Counter class imbalance by loss weights or by the sampler."""
    patience: int | None = None
    """Stop after so many epochs without a lower validation loss, keep the best epoch."""
    seed: int = 0
    """Seed of split, initial weights, order and augmentation."""
    skip_unreadable: bool = False
    """Leave out pictures that cannot be read instead of stopping."""
    divide: str | None = None
    """Folders, or values of a table's split column, that are splits: test=fold_4; none: all are classes."""
    follow_links: bool = False
    """Read links to pictures and folders elsewhere."""
    recipe: RecipeName = "default"
    """How to train: our way, or as the author trained the network that --network names."""
    lr: float | None = None
    """Largest learning rate."""
    batch_size: int | None = None
    """Pictures per step."""
    statistics_batch: int | None = None
    """Pictures that batch normalisation takes mean and variance of together."""
    weight_decay: float | None = None
    """L2 penalty on the weights."""
    label_smoothing: float | None = None
    """Share of the target given to all classes alike."""
    flip: Flip = "auto"
    """Mirror training pictures left-right; auto: for colour pictures only."""
    mirror: bool = False
    """Answer with the mean of a picture and its mirror image: more accurate, twice the work in use."""
    holdout: float = 0.15
    """Share of the training pictures held out when the data has no validation split."""
    channels: int | None = None
    """1 (grey), 3 (RGB) or 4 (RGBA)."""
    normalise: Normalisation | None = None
    """How values are scaled: as usual (standard), or as in 2013 for CIFAR (gcn-zca) and SVHN (lcn)."""
    device: Device = "auto"
    """Where to compute."""
    threads: int | None = None
    """CPU threads."""
    precision: Precision = "auto"
    """auto measures whether bfloat16 is faster here."""
    stream: bool = False
    """Decode training pictures when they are needed, with no cache file, however many there are."""
    strict: bool = False
    """End on a dead start instead of repairing it and starting again."""
    overwrite: bool = False
    """Replace an earlier run in the same folder."""

    def __post_init__(self) -> None:
        if isinstance(self.max_time, Real) and not isinstance(self.max_time, bool):  # a number means seconds
            object.__setattr__(self, "max_time", f"{self.max_time}s")
        check_fields(self, RANGES)
        if self.channels not in (None, 1, 3, 4):
            raise UsageError(f"--channels is {self.channels}; expected 1, 3 or 4")
        if self.max_time is not None:
            seconds(self.max_time)
        _ = self.reading  # refuses what --divide cannot mean

    @property
    def reading(self) -> Reading:
        """How the data set is to be read; UsageError where `divide` says nothing that can be done."""
        return Reading(self.divide, self.follow_links, offered=True)


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What `nin import` lets a user choose. None means: as the files, or what is known of them, tell."""

    out: Path | None = None
    """Model folder to write; without it nothing is."""
    labels: str | None = None
    """Names of the classes: cifar10, or a text file with one name a line; by default their numbers."""
    layout: str | None = None
    """Whose PyTorch weights they are, such as pytorchcv."""
    key: str | None = None
    """Which weights of a checkpoint, such as model_ema."""
    pooling: Edge | None = None
    """What poolings do at the edge, if files do not tell."""
    pools: str | None = None
    """Kinds of poolings, such as max,avg; max2 is 2x2."""
    last_relu: Switch | None = None
    """Whether a ReLU follows the last layer."""
    norm_eps: float | None = None
    """What batch normalisations add to variances."""
    size: int | None = None
    """Side of the pictures in pixels."""
    mean: str | None = None
    """Mean to subtract, RGB, of values from 0 to 1, such as 0.49,0.48,0.45."""
    std: str | None = None
    """Standard deviation to divide by, RGB, of values from 0 to 1."""
    colours: Colours | None = None
    """Order in which the weights read colours."""
    whiten: Path | None = None
    """Pictures to fit GCN and ZCA on, for a network trained on whitened ones."""
    overwrite: bool = False
    """Replace the model folder that is there."""

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            object.__setattr__(self, name, _joined(getattr(self, name)))
        if isinstance(self.pools, list | tuple):
            object.__setattr__(self, "pools", ",".join(map(str, self.pools)))
        check_fields(self, {"size": (8, 4096), "norm_eps": (0, 1)})
        if self.whiten is not None and (self.mean or self.std):
            raise UsageError("--whiten takes the place of --mean and --std; leave one out")

    def numbers(self, name: str, channels: int) -> tuple[float, ...] | None:
        """--mean or --std as one number for each channel (one alone counts for all); None where it is not given."""
        text = getattr(self, name)
        if text is None:
            return None
        low = {"mean": 0.0, "std": 1e-6}[name]
        words = text.split(",")
        try:
            values = tuple(float(word) for word in words)
        except ValueError:
            values = ()
        values = values * channels if len(values) == 1 else values
        if len(values) != channels or not all(low <= value <= 1 for value in values):
            raise UsageError(
                f"--{name} is {text!r}; expected {channels} numbers from {low:g} to 1, separated by commas"
            )
        return values


def _joined(numbers: Any) -> Any:
    """Numbers as the command line takes them, for Python's 0.5 or (0.49, 0.48, 0.45); everything else as it is."""
    several = (
        list(numbers) if isinstance(numbers, Iterable) and not isinstance(numbers, str | bytes | Mapping) else [numbers]
    )
    given = several and all(isinstance(each, Real) and not isinstance(each, bool) for each in several)
    return ",".join(str(float(each)) for each in several) if given else numbers


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """What `nin serve` lets a user choose."""

    host: str = "127.0.0.1"
    """Address to listen at."""
    port: int = 8000
    """Port to listen at; 0 takes a free one."""
    public: bool = False
    """Let others reach the server at --host, without a password."""
    threads: int | None = None
    """CPU threads of a model."""
    runtime: AnyRuntime = "auto"
    """What computes; auto measures once which of those installed is faster."""
    queue: int = 256
    """Requests that may wait; more are refused with 503."""
    max_batch: int = 32
    """Pictures computed together."""
    max_body: int = 10
    """Largest upload, in megabytes."""
    cors: str | None = None
    """Origins whose pages may read answers, with commas between them; * for all."""
    access_log: bool = False
    """Write a line for every request."""

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins of --cors."""
        return tuple(part.strip() for part in (self.cors or "").split(",") if part.strip())

    def __post_init__(self) -> None:
        check_fields(self, SERVE_RANGES)
        for origin in self.origins:
            if not ORIGIN.fullmatch(origin):
                raise UsageError(
                    f"--cors is {short(origin)}; expected an origin as browsers write it, such as "
                    "https://example.org or http://localhost:3000, or * for all"
                )
        if self.cors is not None and not self.origins:
            raise UsageError("--cors is empty; expected an origin such as https://example.org, or * for all")


# an origin as browsers write it, or * for all
ORIGIN = re.compile(r"\*|https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
SERVE_RANGES: dict[str, Range] = {
    "port": (0, 65535),
    "threads": (1, 1024),
    "queue": (1, 100_000),
    "max_batch": (1, 1024),
    "max_body": (1, 64),
}
TOP: Range = (1, 1_000)  # classes to show: as many as ImageNet has
SEEDS: Range = (1, 1_000)  # trainings of one row or claim
BATCH_RANGES: dict[str, Range] = {"workers": (1, 100_000), "threads": (1, 1024), "block_size": (1, 1_000_000)}
RANGES: dict[str, Range] = {
    "epochs": (1, 1_000_000),
    "size": (8, 512),
    "width": (0.01, 100),
    "patience": (1, 1_000_000),
    "seed": (0, 2**63 - 1),
    "lr": (1e-9, 1e3),
    "batch_size": (1, 1_000_000),
    "statistics_batch": (2, 1_000_000),
    "weight_decay": (0, 1),
    "label_smoothing": (0, 0.999),
    "holdout": (0.001, 0.9),
    "threads": (1, 1024),
}


def seconds(text: str) -> float:
    """'90s', '10m', '1.5h' or a plain number of seconds."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text)
    if not match or float(match[1]) == 0:
        raise UsageError(f"--max-time is {text!r}; expected a time such as 90s, 10m or 1.5h")
    return float(match[1]) * {"s": 1, "": 1, "m": 60, "h": 3600}[match[2]]


class Listener:
    """Is told of a run's progress; the command line prints it, the default keeps silent."""

    def note(self, text: str) -> None:
        """One line the user should know."""

    def loading(self, done: int, total: int) -> None:
        """Pictures decoded so far."""

    def answered(self, done: int, total: int) -> None:
        """Pictures of a batch answered so far, in this run and before."""

    def begin(self, about: dict[str, Any]) -> None:
        """Training starts: run folder, data, network, recipe and machine in words."""

    def step(self, progress: "Progress") -> None:
        """One optimizer step is done."""

    def epoch(self, epoch: "Epoch", epochs: int) -> None:
        """One epoch of `epochs` is done."""

    def should_stop(self) -> bool:
        """True when the user asked to stop; asked after every step."""
        return False


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """What `nin batch` lets a user choose."""

    scores: bool = False
    """Write the probabilities of all classes, too."""
    address: str | None = None
    """Ray cluster to work on, host:port of its head or auto; by default the cores of this machine."""
    workers: int | None = None
    """Processes that answer; by default as many as the cores allow."""
    threads: int = 1
    """Cores of one worker."""
    runtime: AnyRuntime = "auto"
    """What computes; auto measures once which of those installed is faster."""
    column: str | None = None
    """Column of Parquet files with pictures or paths; by default recognised."""
    block_size: int | None = None
    """Pictures of one part, which is done as a whole or not at all; by default 512."""
    overwrite: bool = False
    """Begin again: remove what nin batch wrote to the destination before."""

    def __post_init__(self) -> None:
        check_fields(self, BATCH_RANGES)


@dataclass(frozen=True, kw_only=True)
class ReproduceOptions:
    """What `nin reproduce` lets a user choose."""

    protocol: ProtocolName = "short"
    """The author's full length, or a short one of ours."""
    seeds: int = 2
    """How often each row is trained."""
    strict: bool = False
    """Use the author's initialisation, which usually fails; repaired by default."""
    only: tuple[str, ...] = ()
    """Rows to train, such as cifar10-fc; by default all."""
    out: Path = Path("reproduced")
    """Folder for results and trainings."""
    resume: bool = False
    """Go on with what --out holds."""

    def __post_init__(self) -> None:
        check_fields(self, {"seeds": SEEDS})


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What `nin export` lets a user choose."""

    format: Format = "onnx"
    """onnx in float32, onnx-int8 in eight bits, or pt2 for torch.export."""
    standard: bool = False
    """For readers such as OpenCV and TFLite converters: one picture of a fixed size, resized by them."""
    size: int | None = None
    """With --standard: side of that picture in pixels; by default the model's own."""
    out: Path | None = None
    """File to write; by default the model's name here, with the ending of the format."""
    data: Path | None = None
    """Pictures to prove the file with, and to calibrate eight bits with; by default those of the model's run."""
    overwrite: bool = False
    """Replace the file that is there."""

    def __post_init__(self) -> None:
        check_fields(self, {"size": (8, 4096)})
        if self.standard and self.format != "onnx":
            raise UsageError(f"--standard is a form of --format onnx, in float32; leave out --format {self.format}")
        if self.size is not None and not self.standard:
            raise UsageError("--size is for --standard; other files take pictures of any size, or of the model's own")

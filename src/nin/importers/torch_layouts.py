"""How others lay out a Network in Network in PyTorch: names of its weights, and what names and shapes do not tell.

They do not tell how a network pools, what it drops and what pictures it was shown. That is known of each layout below,
from its public source; where anybody may have given such names, it is only supposed, and a user can say otherwise.
"""

import re
from dataclasses import dataclass, replace
from typing import Any, Literal

from nin.errors import UsageError, escape_name
from nin.importers.neutral import NORM_EPS, WHITENED, ForeignInput

CIFAR_MEAN = (0.4914, 0.4822, 0.4465)  # as both sources below have it
CIFAR_STD = (0.2023, 0.1994, 0.2010)  # as both sources below have it
POOL = re.compile(r"(max|avg)([23]?)")  # 3x3 or 2x2, with stride 2
Edge = Literal["padding", "ceil", "floor"]
EDGES = {  # how a pooling treats the edge of a map: its words, and what tells it from the others in PyTorch
    "padding": "padded by 1",
    "ceil": "rounded up (ceil_mode=True)",
    "floor": "rounded down, no padding",
}
Names = tuple[tuple[str, str], ...]  # of each convolution, and of the normalisation after it or ""


@dataclass(frozen=True)
class TorchLayout:
    """A network as somebody lays it out: (convolution, normalisation) names block by block, and what names do not say.

    Names are those below one common name that every user chooses (`classifier.0` is `0` here). pools, dropouts: after
    every block but the last; edge: of all poolings; kernel, stride, padding: of the first filters, if they are fixed.
    own: nobody else gives such names, so that who has them has all the rest, too.
    """

    name: str
    source: str
    blocks: tuple[Names, ...]
    pools: tuple[str, ...] = ("max", "avg")
    edge: str = "padding"
    dropouts: tuple[float, ...] = (0.5, 0.5)
    kernel: int | None = None
    stride: int = 1
    padding: int | None = None
    last_relu: bool = True
    eps: float = NORM_EPS
    input: ForeignInput = ForeignInput(32)  # noqa: RUF009  frozen
    own: bool = False


@dataclass(frozen=True)
class Said:
    """What a user says of a network whose weights do not tell it; None: as its layout has it.

    layout: the name of one of LAYOUTS. key: which weights, in a file that holds several. pools: such as "max,avg".
    """

    layout: str | None = None
    key: str | None = None
    edge: str | None = None
    pools: str | None = None
    last_relu: bool | None = None
    eps: float | None = None

    def applied(self, layout: TorchLayout) -> TorchLayout:
        """The layout with all that the user says; UsageError where that is not possible."""
        changes: dict[str, Any] = {"edge": self.edge, "last_relu": self.last_relu, "eps": self.eps}
        if self.pools is not None:
            pools = tuple(self.pools.replace(" ", "").split(","))
            if len(pools) != len(layout.pools) or not all(map(POOL.fullmatch, pools)):
                example = ",".join(layout.pools)
                raise UsageError(
                    f"--pools is {escape_name(self.pools)!r}; expected {len(layout.pools)} kinds such as {example} "
                    "(3x3 with stride 2; max2 and avg2 are 2x2)"
                )
            layout = replace(layout, pools=pools)
        return replace(layout, **{name: value for name, value in changes.items() if value is not None})


def _row(*names: str) -> Names:
    return tuple((name, "") for name in names)


def _pairs(*numbers: int) -> Names:
    """A convolution and, right after it in the same row of modules, its normalisation."""
    return tuple((f"{number}", f"{number + 1}") for number in numbers)


def _units(*numbers: int) -> Names:
    return tuple((f"{number}.conv", f"{number}.bn") for number in numbers)


LAYOUTS = (
    TorchLayout(
        "pytorch-nin-cifar10",
        "jiecaoyu/pytorch-nin-cifar10: one row of modules, no normalisation",
        (_row("0", "2", "4"), _row("8", "10", "12"), _row("16", "18", "20")),
        input=ForeignInput(32, odd=WHITENED),
    ),
    TorchLayout(
        "pytorchcv",
        "osmr/imgclsmob (pytorchcv): nin_cifar10, nin_cifar100, nin_svhn",
        (
            _row(*(f"features.stage1.unit{unit}.conv" for unit in (1, 2, 3))),
            _row(*(f"features.stage2.unit{unit}.conv" for unit in (1, 2, 3))),
            _row("features.stage3.unit1.conv", "features.stage3.unit2.conv", "output.final_conv.conv"),
        ),
        input=ForeignInput(32, CIFAR_MEAN, CIFAR_STD),
        own=True,
    ),
    TorchLayout(
        "micronet",
        "666DZY666/micronet: nin, not quantised, batch normalisation after every convolution",
        (_pairs(0) + _units(2, 3), _units(5, 6, 7), _units(9, 10) + _pairs(11)),
        dropouts=(0.0, 0.0),
        input=ForeignInput(32, CIFAR_MEAN, CIFAR_STD),
        own=True,
    ),
    TorchLayout(
        "cifar.torch",
        "szagoruyko/cifar.torch (nin.lua) as one row of PyTorch modules: convolution, normalisation, ReLU",
        (_pairs(0, 3, 6), _pairs(11, 14, 17), _pairs(22, 25, 28)),
        edge="ceil",
        eps=1e-3,
        input=ForeignInput(32, odd="YUV colours, normalised picture by picture and channel by channel"),
    ),
    TorchLayout(
        "d2l",
        "Dive into Deep Learning (d2l.ai), section NiN: nin_block in a row, trained on Fashion-MNIST at 224 pixels",
        (_row("0.0", "0.2", "0.4"), _row("2.0", "2.2", "2.4"), _row("4.0", "4.2", "4.4"), _row("7.0", "7.2", "7.4")),
        pools=("max", "max", "max"),
        edge="floor",
        dropouts=(0.0, 0.0, 0.5),
        kernel=11,
        stride=4,
        padding=0,
        input=ForeignInput(224, (0.0,), (1.0,)),
    ),
)


NOTHING = Said()


def supposed(layout: TorchLayout, said: Said) -> str | None:
    """What is supposed of a network and would not show if it were wrong, in one line; None where all of it is known."""
    if layout.own or said.layout is not None:
        return None
    parts = []
    if said.pools is None:
        parts.append(f"poolings {', '.join(layout.pools)} of 3x3 with stride 2 (else --pools)")
    if said.edge is None:
        others = " or ".join(edge for edge in EDGES if edge != layout.edge)
        parts.append(f"{EDGES[layout.edge]} (else --pooling {others})")
    if said.last_relu is None:
        parts.append("a ReLU after the last layer (else --last-relu off)")
    if said.eps is None and layout.blocks[0][0][1]:
        parts.append(f"{layout.eps:g} added to variances (else --norm-eps)")
    if not parts:
        return None
    return (
        f"the weights do not tell everything; supposed as in {layout.name}: {'; '.join(parts)}. What is otherwise in "
        f"the network they come from changes the answers without an error; --layout {layout.name} confirms all of it"
    )

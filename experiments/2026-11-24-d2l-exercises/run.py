"""The exercises of d2l's chapter on Network in Network, answered with numbers (about three minutes on two cores).

    python experiments/2026-11-24-d2l-exercises/run.py

Accuracy is that of small networks trained here on placed digits (see nin.claims.small_trainings), three seeds each,
with all 1,294 training digits and with 300 of them; costs are counted. d2l's own network (224 x 224 grey pictures, ten
classes) is counted as the book builds it.
"""

import json
import statistics
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from nin.claims.learned import FEW
from nin.claims.placed_digits import placed
from nin.claims.small_trainings import CLASSES, EPOCHS, SIDE, STANDARD, FullyConnectedHead, Workbench, chain, network
from nin.network.anatomy import anatomy
from nin.network.config import BlockConfig, NINConfig
from nin.training import hardware

HERE = Path(__file__).resolve().parent
SEEDS = 3
D2L = NINConfig(
    "d2l",
    (
        BlockConfig((96, 96, 96), 11, stride=4, padding=0, pool="max", pool_ceil=False),
        BlockConfig((256, 256, 256), 5, pool="max", pool_ceil=False),
        BlockConfig((384, 384, 384), 3, pool="max", pool_ceil=False, dropout=0.5),
        BlockConfig((10, 10, 10), 3),
    ),
    10,
    1,
    last_activation=True,
)


def spatial_everywhere() -> NINConfig:
    """The bench's network with 3x3 in place of its inner 1x1 layers; the layer that makes class maps stays 1x1."""
    blocks = []
    for block in STANDARD.blocks:
        first, second, *rest = block.channels
        blocks += [replace(block, channels=(first,), pool=None), replace(block, channels=(second, *rest))]
    return replace(STANDARD, blocks=tuple(blocks))


def main() -> None:
    machine = hardware.choose("cpu", precision="float32")
    settings = ExitStack()
    settings.enter_context(hardware.applied(machine))  # until this function ends
    bench = Workbench(machine, SEEDS)
    widths = (16, 24, 24)
    variants = {
        "no 1x1 layer": network(chain(*[(w,) for w in widths])),
        "one 1x1 layer (the bench's network)": network(chain(*[(w,) * 2 for w in widths])),
        "two 1x1 layers (as in the paper)": network(chain(*[(w,) * 3 for w in widths])),
        "three 1x1 layers": network(chain(*[(w,) * 4 for w in widths])),
        "3x3 instead of 1x1": network(spatial_everywhere()),
        "fully connected head instead of pooling": lambda generator: FullyConnectedHead(STANDARD, generator),
        "last block 10-10 (d2l reduces in one step)": network(chain((16, 16), (24, 24), (10, 10))),
        "last block 24-10": network(chain((16, 16), (24, 24), (24, 10))),
    }
    rows = []
    for name, build in variants.items():
        row: dict[str, object] = {"variant": name, "n": SEEDS}
        for size, pictures, epochs in (("all", None, EPOCHS), ("300", placed("train", FEW), 40)):
            runs = [bench.learn(build, pictures, epochs, seed) for seed in range(SEEDS)]
            tests = [run.test for run in runs]
            row[size] = {"accuracy": round(statistics.mean(tests), 2), "spread": round(statistics.stdev(tests), 2)}
        found = anatomy(runs[0].model, (1, SIDE, SIDE))
        rows.append({**row, "parameters": found.parameters, "macs": found.macs})
        print(rows[-1], flush=True)
    whole = anatomy(D2L, (1, 224, 224))
    last = {row.name: (row.parameters, row.macs) for row in whole.layers if row.name.startswith("blocks.3")}
    gradual = replace(D2L, blocks=(*D2L.blocks[:3], BlockConfig((384, 96, CLASSES), 3)))
    d2l = {
        "parameters": whole.parameters, "macs": whole.macs, "training bytes a picture": whole.activation_bytes,
        "inference bytes a picture": whole.peak_bytes, "last block": last,
        "384 to 384-96-10 instead": {"parameters": anatomy(gradual, (1, 224, 224)).parameters,
                                     "macs": anatomy(gradual, (1, 224, 224)).macs},
    }  # fmt: skip
    result = {"rows": rows, "d2l": d2l, "machine": hardware.environment(machine)}
    (HERE / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(d2l, indent=2))


if __name__ == "__main__":
    main()

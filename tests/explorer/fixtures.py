"""Model folders that between them use every option of a network and its preprocessing, pictures, Python's answers.

The engine of the page (web/src/net) is compared with these: `make web-fixtures TARGET=...` writes them,
`NIN_FIXTURES=TARGET npx vitest run` in web/ compares. Every file but the model folders' is a safetensors file:
TARGET/cases.json says which.
Legend: C channels, (H0, W0) sides of a picture, (H, W) of what the network sees, (h, w) of a map.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from nin.bundle.folder import Bundle, open_bundle, read_bundle, write_bundle
from nin.bundle.shipped import shipped
from nin.commands.classifier import Classifier, classifier
from nin.data.preprocess import Preprocess
from nin.engine.engine import Engine, open_engine
from nin.network.anatomy import anatomy
from nin.network.architecture import NIN, nin
from nin.network.config import BlockConfig, NINConfig
from nin.training.tensors import to_tensor
from small_models import cuts, make_bundle, preprocess

LAYERS = 3  # pictures of a case whose inner maps are kept: files stay small
SIZES = {  # (H, W) of pictures, beside cuts of photographs: one pixel, extreme ratios, odd
    "pixel": (1, 1),
    "line": (1, 173),
    "column": (211, 2),
    "half": (56, 37),  # half as large as 28 pixels: a side ends in one half, which is rounded to even
    "odd": (37, 53),
}
UNKNOWN_BELOW = 0.55


@dataclass(frozen=True)
class Case:
    """A network, its preprocessing, and other sizes (H, W) at which it shall look at pictures."""

    config: NINConfig
    how: Preprocess
    sizes: tuple[tuple[int, int], ...] = ()
    beyond: float | None = None
    dtype: str = "float32"


def chain(*blocks: BlockConfig, classes: int = 3, **changes) -> NINConfig:
    """A network of these blocks and a last one."""
    last = BlockConfig((7, classes), 3)
    return NINConfig("chain", (*blocks, last), classes, **changes)


def pooled(kind: str, size: int, stride: int, padding: int, *, ceil: bool) -> dict:
    """The settings of one pooling."""
    named = {"pool": kind, "pool_size": size, "pool_stride": stride, "pool_padding": padding, "pool_ceil": ceil}
    return named


def cases() -> dict[str, Case]:
    """Every case by name; together they use every option that a network and a preprocessing have."""
    strided = BlockConfig((8, 6), 5, stride=2, padding=1, **pooled("avg", 3, 2, 1, ceil=True))
    grouped = BlockConfig((12, 9), 3, groups=3, **pooled("max", 3, 2, 1, ceil=True))
    wide = BlockConfig((5, 4), 11, stride=3, padding=0, dropout=0.3, **pooled("avg", 2, 2, 0, ceil=False))
    depthwise = BlockConfig((6,), 3, groups=3, **pooled("max", 2, 1, 0, ceil=False))
    even = BlockConfig((10, 11, 13), 4, padding=2, dropout=0.4, **pooled("avg", 3, 2, 0, ceil=True))
    single = BlockConfig((9, 6), 1, dropout=0.25, **pooled("max", 2, 3, 1, ceil=True))  # a window would start outside
    return {
        "ours": Case(nin(4, width=0.2), preprocess((24, 24)), ((32, 32), (41, 27)), beyond=9.5),
        "mirrored": Case(replace(nin(4, width=0.2), mirror=True), preprocess((24, 31), fit="crop"), ((30, 17),), 9.5),
        "grey": Case(
            nin(3, 1, width=0.2), replace(preprocess((28, 28), 1, fit="pad"), mean=(0.3,)), ((20, 33),)
        ),  # the mean colour is 76.5
        "alpha": Case(nin(3, 4, width=0.2), preprocess((16, 16), 4), ((23, 18),)),
        "alpha, padded": Case(nin(3, 4, width=0.2), preprocess((17, 20), 4, fit="pad")),
        "alpha, cropped": Case(nin(3, 4, width=0.2), preprocess((17, 20), 4, fit="crop")),
        "halves": Case(nin(5, width=0.2), preprocess((24, 24)), dtype="float16"),
        "global contrast": Case(chain(even, single, last_activation=True), preprocess((32, 28), normalisation="gcn")),
        "local contrast": Case(nin(3, width=0.2), preprocess((20, 26), normalisation="lcn"), ((31, 20),)),
        "grey, global contrast": Case(nin(3, 1, width=0.2), preprocess((20, 26), 1, "gcn"), ((19, 19),)),
        "gelu": Case(chain(strided, grouped, activation="gelu"), preprocess((33, 29))),
        "silu": Case(chain(strided, grouped, activation="silu"), preprocess((33, 29))),
        "linear": Case(chain(strided, grouped, activation="identity"), preprocess((21, 64))),
        "all normalised": Case(
            chain(strided, grouped, norm="batch", last_norm=True, last_activation=True), preprocess((40, 33))
        ),
        "classic dropout": Case(chain(even, single, dropout_kind="classic"), preprocess((26, 31)), ((19, 40),)),
        "classic, normalised": Case(chain(even, single, dropout_kind="classic", norm="batch"), preprocess((26, 31))),
        "wide kernels": Case(chain(wide, last_activation=True), preprocess((47, 38)), ((40, 60),)),
        "depthwise": Case(chain(depthwise, mirror=True), preprocess((15, 14)), (), 9.5),
        "full range": Case(nin(3, 1, width=0.2), replace(preprocess((16, 16), 1), value_range=(0.0, 65535.0))),
        "deep": Case(nin(3, 1, width=0.2), replace(preprocess((16, 16), 1), value_range=(168.0, 560.0))),
        "whitened": Case(chain(strided, dropout_kind="classic"), preprocess((12, 14), normalisation="gcn-zca")),
    }


def pictures(channels: int) -> Iterator[np.ndarray]:
    """(H0, W0, C0) uint8 as files give them, C0 of 1, 3 or 4: cuts of photographs, and what is odd about sizes."""
    yield from cuts(3, 4 if channels == 4 else 3, seed=3)
    generator = np.random.default_rng(7)
    for number, (height, width) in enumerate(SIZES.values()):
        yield generator.integers(0, 256, (height, width, (3, 4, 1)[number % 3]), np.uint8)
    photograph = cuts(1, 3, seed=5)[0]
    fading = np.linspace(0, 255, photograph.shape[1]).astype(np.uint8)[None, :, None]
    yield np.concatenate([photograph, np.broadcast_to(fading, (*photograph.shape[:2], 1))], axis=-1)
    yield photograph[..., :1]
    yield np.full((30, 30, 3), 77, np.uint8)


def layer_maps(network: NIN, x: torch.Tensor) -> list[np.ndarray]:
    """Every convolution's maps (C, h, w) after its activation, of the straight view of one picture (1, C, H, W)."""
    found = []
    for number, block in enumerate(network.blocks):
        for index in range(len(block.convolutions)):
            x = block._layer(index, x)
            found.append(x[0].numpy().copy())
        if number < len(network.pools):
            x = network.dropouts[number](network.pools[number](x))
    return found


def answers(bundle: Bundle, network: NIN, pixels: np.ndarray, how: Preprocess, *, inner: bool) -> dict[str, np.ndarray]:
    """What Python makes of one picture at the size of `how`."""
    seen = how.resize(pixels)  # (H, W, C)
    x = to_tensor(seen[None], how, "cpu")  # (1, C, H, W)
    with torch.no_grad():
        maps, features = network.forward_both(x)  # (1, K, h, w), (1, F)
        logits = maps.double().mean((2, 3))
        scaled = torch.softmax(logits / bundle.calibration.temperature, 1)
        found = {
            "resized": seen,
            "class_maps": maps[0].numpy(),
            "logits": logits[0].float().numpy(),
            "probabilities": scaled[0].float().numpy(),
        }
        if bundle.likeness is not None:
            found["distance"] = bundle.likeness.distances(features.numpy())
        if inner:
            found |= {f"layer.{index}": layer for index, layer in enumerate(layer_maps(network, x))}
    return {name: np.ascontiguousarray(array) for name, array in found.items()}


def network_of(bundle: Bundle) -> NIN:
    """The torch network of a model folder, in evaluation mode."""
    network = NIN(NINConfig.from_dict(bundle.network))
    network.load_state_dict({name: torch.from_numpy(array) for name, array in bundle.weights().items()})
    return network.eval()


def write_case(folder: Path, bundle: Bundle, sizes: tuple[tuple[int, int], ...]) -> dict:
    """The answers of one model, also at these other sizes (H, W); what cases.json says of it."""
    how = bundle.preprocess
    network = network_of(bundle)
    engine = open_engine(bundle.folder)
    asked = classifier(bundle.folder, "cpu")
    refused = None if how.value_range in (None, (0.0, 65535.0)) else "deep"
    entry: dict = {"model": str(bundle.folder), "refused": refused, "pictures": [], **geometry(network.config, how)}
    tensors: dict[str, np.ndarray] = {}
    for number, pixels in enumerate(pictures(how.channels)):
        name = f"picture.{number}"
        tensors[name] = np.ascontiguousarray(pixels)
        size = (how.size, *sizes)[number % (1 + len(sizes))]
        entry["pictures"].append({"name": name, "size": list(size)})
        if refused:
            continue
        found = answers(bundle, network, pixels, replace(how, size=size), inner=number < LAYERS)
        if size == how.size:
            found["unknown"] = unknown(engine, asked, pixels, found)
        tensors |= {f"{name}.{key}": array for key, array in found.items()}
    save_file(tensors, folder / "answers.safetensors")
    return entry


def rewritten(bundle: Bundle, dtype: str) -> Bundle:
    """The same model folder in this precision, with answers that are unknown."""
    write_bundle(
        bundle.folder,
        network=bundle.network,
        weights=bundle.weights(),
        classes=bundle.classes,
        preprocess=bundle.preprocess,
        calibration=replace(bundle.calibration, unknown_below=UNKNOWN_BELOW),
        metrics={"accuracy": 0.75, "interval": [0.5, 0.875], "n": 16, "split": "test"},
        provenance={"license": "CC0-1.0", "data": "noise"},
        dtype=dtype,
        likeness=bundle.likeness,
    )
    return read_bundle(bundle.folder)


def geometry(config: NINConfig, how: Preprocess) -> dict:
    """Parameters, and receptive field, jump, macs and sides of every convolution, as `nin summary` counts them."""
    counted = anatomy(replace(config, mirror=False), (how.channels, *how.size))
    layers = [
        {"field": row.receptive_field, "jump": row.jump, "macs": row.macs, "sides": list(row.output[1:])}
        for row in counted.layers
        if row.kind in ("conv", "1x1")
    ]
    return {"parameters": counted.parameters, "layers": layers}


def unknown(engine: Engine, asked: Classifier, pixels: np.ndarray, found: dict[str, np.ndarray]) -> np.ndarray:
    """Whether `nin predict` answers "unknown", and whether that is for the distance; its answers are those found."""
    answer = engine.run(found["resized"][None])
    np.testing.assert_allclose(answer.probabilities[0], found["probabilities"], atol=1e-5)
    np.testing.assert_allclose(answer.maps[0], found["class_maps"], atol=1e-4 * np.abs(found["class_maps"]).max())
    (predicted,) = asked.answer(iter([("picture", pixels)]))
    return np.array([predicted.unknown, predicted.unlike], np.uint8)


def models(target: Path) -> Iterator[tuple[str, Bundle, tuple[tuple[int, int], ...]]]:
    """Every case, its model folder below the target, and the models of the package, with other sizes to look at."""
    for number, (name, case) in enumerate(cases().items()):
        made = make_bundle(target / f"model-{number:02}", case.config, case.how, beyond=case.beyond)
        yield name, rewritten(made, case.dtype), case.sizes
    for name in shipped():
        yield name, open_bundle(name), ((48, 40),)


def write(target: Path) -> None:
    """All cases below a folder."""
    index = {}
    for number, (name, bundle, sizes) in enumerate(models(target)):
        folder = target / f"{number:02}"
        folder.mkdir(parents=True)
        index[name] = {"folder": folder.name, **write_case(folder, bundle, sizes)}
    (target / "cases.json").write_text(json.dumps(index, indent=1), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))

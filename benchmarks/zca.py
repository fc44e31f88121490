"""GCN and ZCA of CIFAR-10's 50,000 x 3,072 values: ours beside the straightforward numpy way and scikit-learn's PCA.

    python benchmarks/zca.py [CIFAR-10-FOLDER] [--pictures 50000] [--contestants ours numpy sklearn] [--json FILE]

fit: from the pictures as bytes to mean and matrix; apply: whitening them all. ours: `fit_zca` as `nin train --normalise
gcn-zca` calls it, in blocks, then `Preprocess.normalise` in batches of 250. numpy: everything in float64 at once, one
statement a formula. sklearn: PCA(whiten=True, svd_solver="covariance_eigh") in float64 on the same GCN; it adds
nothing to the covariance and does not rotate back, so it does less. Every contestant runs in a process of its own and
tells wall-clock seconds, processor seconds (on a busy machine the first are not its own doing) and its peak resident
memory, imports and pictures included. Without a folder the pictures are noise, which takes as long.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

BATCH, BLOCK = 250, 1_000
SCALE, BIAS = 55.0, 0.1


def pictures(folder: Path | None, count: int) -> np.ndarray:
    """(N, 32, 32, 3) uint8."""
    if folder is None:
        return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8)
    from nin.data.sources import open_source

    images = open_source(folder, split=False).splits["train"].images
    assert images is not None
    return images[:count]


def ours(images: np.ndarray) -> tuple[float, np.ndarray]:
    from nin.data.preprocess import Preprocess
    from nin.data.whiten import fit_zca

    zca = fit_zca(images[start : start + BLOCK] for start in range(0, len(images), BLOCK))
    fitted = time.perf_counter()
    half = (0.5,) * 3
    preprocess = Preprocess((32, 32), 3, "stretch", half, half, "gcn-zca", zca)
    for start in range(0, len(images), BATCH):
        preprocess.normalise(images[start : start + BATCH])
    return fitted, zca.matrix


def contrasted(images: np.ndarray) -> np.ndarray:
    x = images.transpose(0, 3, 1, 2).reshape(len(images), -1).astype(np.float64)
    x -= x.mean(1, keepdims=True)
    x *= SCALE / np.sqrt((x**2).sum(1, keepdims=True))
    return x


def plain(images: np.ndarray) -> tuple[float, np.ndarray]:
    x = contrasted(images)
    x -= x.mean(0)
    values, vectors = np.linalg.eigh(x.T @ x / len(x) + BIAS * np.eye(x.shape[1]))
    matrix = (vectors / np.sqrt(values)) @ vectors.T
    fitted = time.perf_counter()
    x @ matrix
    return fitted, matrix


def sklearn(images: np.ndarray) -> tuple[float, np.ndarray | None]:
    from sklearn.decomposition import PCA

    x = contrasted(images)
    pca = PCA(whiten=True, svd_solver="covariance_eigh").fit(x)
    fitted = time.perf_counter()
    pca.transform(x)
    return fitted, None


CONTESTANTS = {"ours": ours, "numpy": plain, "sklearn": sklearn}


def measure(name: str, images: np.ndarray) -> dict[str, object]:
    start, busy = time.perf_counter(), time.process_time()
    fitted, matrix = CONTESTANTS[name](images)
    end = time.perf_counter()
    found: dict[str, object] = {
        "fit_s": fitted - start,
        "apply_s": end - fitted,
        "processor_s": time.process_time() - busy,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    if matrix is not None:
        rows = np.linspace(0, len(matrix) - 1, 5).astype(int)
        found["rows"] = matrix[rows].astype(float).tolist()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="CIFAR-10, binary version")
    parser.add_argument("--pictures", type=int, default=50_000)
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--json", type=Path, help="write everything there")
    parser.add_argument("--only", choices=CONTESTANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments.only, pictures(arguments.folder, arguments.pictures))))
        return
    found = {}
    for name in arguments.contestants:
        words = [sys.executable, __file__, "--only", name, "--pictures", str(arguments.pictures)]
        words += [str(arguments.folder)] if arguments.folder else []
        row = found[name] = json.loads(subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout)
        print(
            f"{name:8} fit {row['fit_s']:6.1f} s, apply {row['apply_s']:6.1f} s, "
            f"processor {row['processor_s']:6.1f} s, peak {row['peak_mib']:,.0f} MiB",
            flush=True,
        )
    if {"ours", "numpy"} <= set(found):
        difference = np.abs(np.array(found["ours"].pop("rows")) - np.array(found["numpy"].pop("rows"))).max()
        print(f"ours and numpy differ by at most {difference:.1e} in five rows of the matrix")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Certificates of exported files: the default network, the author's network whitened by ZCA, the shipped one in int8.

    python experiments/2026-11-24-export/run.py CIFAR_FOLDER --runs runs/export

Trains the first on scikit-learn's digits (`nin demo`) and the second for a few minutes on CIFAR-10 (`nin train CIFAR
--network nin-author-cifar10 --normalise gcn-zca --max-time 4m`), exports both in float32 and nin-cifar10 in eight bits,
and leaves the certificates that `nin export` wrote beside this file. Finished runs are kept.
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ZCA = ("--network", "nin-author-cifar10", "--normalise", "gcn-zca", "--max-time", "4m")


def nin(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "nin", *map(str, words)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/export"))
    arguments = parser.parse_args()
    digits, author = arguments.runs / "digits", arguments.runs / "author-zca"
    if not (digits / "summary.json").exists():
        nin("demo", "--out", digits, "--overwrite")
    if not (author / "summary.json").exists():
        nin("train", arguments.cifar, *ZCA, "--out", author, "--overwrite")
    files = {
        "digits.onnx": (digits, "onnx", ()),
        "author-zca.onnx": (author, "onnx", ("--data", arguments.cifar)),
        "nin-cifar10-int8.onnx": ("nin-cifar10", "onnx-int8", ("--data", arguments.cifar)),
    }
    for name, (model, form, more) in files.items():
        file = arguments.runs / name
        nin("export", model, "--format", form, "--out", file, "--overwrite", *more)
        certificate = file.with_name(f"{name}.parity.json")
        (HERE / certificate.name).write_bytes(certificate.read_bytes())


if __name__ == "__main__":
    main()

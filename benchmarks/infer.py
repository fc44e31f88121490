"""Prediction beside its peers, in one run: throughput, a cold start, a folder of 1,000 JPEGs (make bench-infer).

    python benchmarks/infer.py [--photos FOLDER] [--peers PYTHON] [--only throughput cold folder] [--json FILE]

throughput: the author's CIFAR-10 network at batch 128, all cores. torch: eager, float32, as most people write it, and
its best (bfloat16, channels last). ort: ONNX Runtime on the float32 graph, and on what its own quantize_static makes of
it. openvino: the same files at its three precisions, also with a stream a core. ours: the engine of `nin predict`,
float32 and int8, from uint8 pictures, class maps and all. Each in a process of its own, rounds in turn.
cold: one JPEG of 1920 x 1080, `nin predict`, from nothing to the answer on the screen. folder: 1,000 JPEGs of FOLDER,
`nin predict` beside `predict` of Ultralytics with its smallest classifier for ten classes, at the same 96 pixels.
--peers: an interpreter that has it; without it that peer is left out, and the table says so.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BATCH, SECONDS, MACS = 128, 2.0, 222_486_528
PICTURES = 1_000
CORES = len(os.sched_getaffinity(0))
STUB = """
import torch
library = torch.library.Library("torchvision", "DEF")
library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""
ULTRALYTICS = """
import sys
from ultralytics import YOLO
from ultralytics.nn.tasks import ClassificationModel
model = YOLO("yolo11n-cls.yaml", task="classify")
model.model = ClassificationModel("yolo11n-cls.yaml", nc=10, verbose=False)
for answer in model.predict(sys.argv[1], imgsz=96, stream=True, verbose=False, device="cpu"):
    print(answer.path, answer.probs.top1, float(answer.probs.top1conf))
print(sum(p.numel() for p in model.model.parameters()), file=sys.stderr)
"""


def prepare(folder: Path) -> None:
    """Model folders (author's network; ours for photos), the float32 graph and two int8 graphs of the author's."""
    import numpy as np
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    from nin import __version__
    from nin.bundle.card import Calibration
    from nin.bundle.folder import read_bundle, write_bundle
    from nin.commands.torch_runner import TorchRunner
    from nin.data.preprocess import Preprocess
    from nin.engine.engine import facts_of_bundle
    from nin.engine.exporter import Exporter, whole
    from nin.engine.graph import RESIZED, core
    from nin.engine.onnx_file import to_bytes
    from nin.engine.quantise import quantised
    from nin.network.architecture import NIN, author_cifar10, nin

    for name, config, side in (("author", author_cifar10(), 32), ("photos", nin(10, stem_stride=2), 96)):
        write_bundle(
            folder / name,
            network=config.to_dict(),
            weights={key: tensor.numpy() for key, tensor in NIN(config).state_dict().items()},
            classes=[f"class {n}" for n in range(10)],
            preprocess=Preprocess((side, side), 3, "stretch", (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)),
            calibration=Calibration(),
            metrics={},
            provenance={},
        )
    bundle = read_bundle(folder / "author")
    graph = core(bundle)
    (folder / "float32.onnx").write_bytes(to_bytes(graph, __version__))
    images = np.random.default_rng(0).integers(0, 256, (256, 32, 32, 3), dtype=np.uint8)
    exporter = Exporter(bundle, TorchRunner(bundle, "cpu").run, list(images[:2]))
    rounded = quantised(graph, exporter._ranges(images).extremes)
    (folder / "int8-core.onnx").write_bytes(to_bytes(rounded, __version__))
    file = whole(bundle, rounded, facts_of_bundle(bundle, "int8"))
    (folder / "int8.onnx").write_bytes(to_bytes(file, __version__))

    class Reader(CalibrationDataReader):
        rows = iter([{RESIZED: images[:128]}, {RESIZED: images[128:]}])

        def get_next(self) -> dict | None:
            return next(self.rows, None)

    words = {"per_channel": True, "quant_format": QuantFormat.QDQ, "op_types_to_quantize": ["Conv", "MaxPool"]}
    types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
    quantize_static(onnx.load(folder / "float32.onnx"), folder / "ort-int8.onnx", Reader(), **words, **types)


def ours(model: str, runtime: str = "onnxruntime") -> Callable[[], None]:
    import numpy as np

    from nin.engine.engine import open_engine

    engine = open_engine(model, runtime=runtime)
    images = np.random.default_rng(0).integers(0, 256, (BATCH, 32, 32, 3), dtype=np.uint8)
    return lambda: engine.run(images)


def ort(file: str) -> Callable[[], None]:
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = CORES
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).integers(0, 256, (BATCH, 32, 32, 3), dtype=np.uint8)
    return lambda: session.run(["logits"], {"resized": images})


def eager(*, best: bool) -> Callable[[], None]:
    import torch

    from nin.network.architecture import NIN, author_cifar10

    model = NIN(author_cifar10()).eval()
    x = torch.randn(BATCH, 3, 32, 32)
    if best:
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)

    def step() -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=best):
            model(x)

    return step


def openvino(file: str, precision: str, streams: int) -> Callable[[], None]:
    """One stream takes the batch whole; with one a core, sixteen pictures at a time go to whichever is free."""
    import numpy as np
    import openvino

    core = openvino.Core()
    words = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": str(streams)}
    model = core.read_model(file)
    part = BATCH if streams == 1 else 16
    model.reshape([part, 32, 32, 3])
    queue = openvino.AsyncInferQueue(core.compile_model(model, "CPU", words), streams)
    images = np.random.default_rng(0).integers(0, 256, (BATCH, 32, 32, 3), dtype=np.uint8)

    def step() -> None:
        for start in range(0, BATCH, part):
            queue.start_async([images[start : start + part]])
        queue.wait_all()

    return step


CONTESTANTS: dict[str, Callable[[Path], Callable[[], None]]] = {
    "torch eager float32": lambda _: eager(best=False),
    "torch bfloat16, channels last": lambda _: eager(best=True),
    "ort float32": lambda folder: ort(str(folder / "float32.onnx")),
    "ort int8 (quantize_static)": lambda folder: ort(str(folder / "ort-int8.onnx")),
    "openvino float32": lambda folder: openvino(str(folder / "float32.onnx"), "f32", 1),
    "openvino bfloat16": lambda folder: openvino(str(folder / "float32.onnx"), "bf16", 1),
    "openvino bfloat16, a stream a core": lambda folder: openvino(str(folder / "float32.onnx"), "bf16", CORES),
    "openvino int8": lambda folder: openvino(str(folder / "int8-core.onnx"), "f32", 1),
    "openvino int8, a stream a core": lambda folder: openvino(str(folder / "int8-core.onnx"), "f32", CORES),
    "ours float32": lambda folder: ours(str(folder / "author")),
    "ours int8": lambda folder: ours(str(folder / "int8.onnx")),
    "ours int8, --runtime openvino": lambda folder: ours(str(folder / "int8.onnx"), "openvino"),
}


def contest(name: str, folder: Path) -> None:
    """A process of one contestant: for every line it is sent, its pictures a second over SECONDS."""
    step = CONTESTANTS[name](folder)
    for _ in range(3):
        step()
    print("ready", flush=True)
    for _ in sys.stdin:
        done, started = 0, time.perf_counter()
        while time.perf_counter() - started < SECONDS:
            step()
            done += BATCH
        print(done / (time.perf_counter() - started), flush=True)


def throughput(folder: Path, rounds: int) -> dict:
    """Median pictures a second of every contestant, with the least and the most."""
    running = {}
    for name in CONTESTANTS:
        words = [sys.executable, __file__, "--contest", name, "--folder", str(folder)]
        running[name] = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if running[name].stdout.readline() != "ready\n":
            raise SystemExit(f"{name} did not start")
    found: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(rounds):
        for name, process in running.items():
            print("go", file=process.stdin, flush=True)
            found[name].append(float(process.stdout.readline()))
    for process in running.values():
        process.stdin.close()
        process.wait()
    result = {name: _spread(rates) for name, rates in found.items()}
    for one in result.values():
        one["times eager"] = round(one["median"] / result["torch eager float32"]["median"], 2)
        one["GFLOP/s"] = round(2e-9 * MACS * one["median"])
    return result


def cold(folder: Path, runs: int = 10) -> dict:
    """Seconds of `nin predict nin-cifar10 picture.jpg` for a picture of 1920 x 1080, after one that is not counted."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    picture = folder / "1080p.jpg"
    Image.fromarray(load_sample_images().images[0]).resize((1920, 1080)).save(picture, quality=90)
    program, found = Path(sys.executable).with_name("nin"), []
    for _ in range(runs + 1):
        started = time.perf_counter()
        subprocess.run([program, "predict", "nin-cifar10", picture, "--json"], check=True, capture_output=True)
        found.append(time.perf_counter() - started)
    return _spread(found[1:], digits=3)


def whole_folder(folder: Path, photos: Path, peers: str | None, rounds: int = 3) -> dict:
    """Seconds for 1,000 JPEGs, start of the program included, ours and Ultralytics' in turn."""
    many = folder / "many"
    many.mkdir()
    sources = sorted(photos.rglob("*.jpg"))
    for number in range(PICTURES):
        shutil.copyfile(sources[number % len(sources)], many / f"{number:04}.jpg")
    stub = Path(folder, "ultralytics.py")
    stub.with_name("peer.py").write_text(STUB + ULTRALYTICS)
    program = str(Path(sys.executable).with_name("nin"))
    commands = {"ours": [program, "predict", str(folder / "photos"), str(many), "--jsonl"]}
    if peers:
        commands["ultralytics"] = [peers, str(folder / "peer.py"), str(many)]
    found: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, words in commands.items():
            started = time.perf_counter()
            done = subprocess.run(words, check=True, capture_output=True, text=True, cwd=folder)
            found[name].append(time.perf_counter() - started)
            assert len([line for line in done.stdout.splitlines() if ".jpg" in line]) >= PICTURES, done.stderr[-500:]
    result = {name: _spread(seconds, digits=2) for name, seconds in found.items()}
    if peers:
        result["times faster"] = round(result["ultralytics"]["median"] / result["ours"]["median"], 2)
    return result


def _spread(values: list[float], digits: int = 1) -> dict:
    least, median, most = (round(f(values), digits) for f in (min, statistics.median, max))
    return {"median": median, "least": least, "most": most, "n": len(values)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="a folder with JPEGs, for the third measurement")
    parser.add_argument("--peers", help="an interpreter that has ultralytics")
    parser.add_argument(
        "--only", nargs="+", choices=("throughput", "cold", "folder"), default=("throughput", "cold", "folder")
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--contest", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contest:
        contest(arguments.contest, arguments.folder)
        return
    result: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        if "throughput" in arguments.only:
            result["images a second, author's CIFAR-10 network, batch 128"] = throughput(folder, arguments.rounds)
        if "cold" in arguments.only:
            result["seconds, nin predict, one JPEG of 1920 x 1080"] = cold(folder)
        if "folder" in arguments.only and arguments.photos:
            result["seconds, 1,000 JPEGs"] = whole_folder(folder, arguments.photos, arguments.peers)
    if not arguments.peers:
        result["left out"] = "ultralytics: no --peers"
    print(json.dumps(result, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

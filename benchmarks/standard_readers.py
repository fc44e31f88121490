"""Files of `nin export --standard` in the readers that are installed: how far each is from ONNX Runtime.

    pip install numpy onnx onnxruntime opencv-python-headless openvino tract onnxslim onnxsim   (what there is of these)
    python benchmarks/standard_readers.py nin-cifar10-standard.onnx ...

Needs nothing of this package, so it can run in an environment of its own. The pictures are random and the same in every
run; a line a file and reader: the largest difference of probabilities and of class maps, or why there is none.
"""

import sys
from collections.abc import Callable

import numpy as np
import onnxruntime

NAMES = ["probabilities", "logits", "class_maps"]
PICTURES = 3
Run = Callable[[np.ndarray], list[np.ndarray]]


def runtime(file: str | bytes, plain: bool = False) -> Run:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if plain:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(file, options)
    return lambda picture: session.run(NAMES, {"pictures": picture})


def opencv(file: str) -> Run:
    import cv2

    net = cv2.dnn.readNetFromONNX(file)

    def run(picture: np.ndarray) -> list[np.ndarray]:
        net.setInput(picture, "pictures")
        return list(net.forward(NAMES))

    return run


def reference(file: str) -> Run:
    import onnx
    from onnx.reference import ReferenceEvaluator

    onnx.checker.check_model(file, full_check=True)
    graph = ReferenceEvaluator(file)
    return lambda picture: graph.run(NAMES, {"pictures": picture})


def openvino(file: str) -> Run:
    import openvino

    model = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda picture: [model(picture)[name] for name in NAMES]


def tract(file: str) -> Run:
    import tract

    model = tract.onnx().load(file).into_model().into_runnable()
    return lambda picture: [part.to_numpy() for part in model.run([picture])]


def slimmed(file: str) -> Run:
    import onnxslim

    return runtime(onnxslim.slim(file).SerializeToString())


def simplified(file: str) -> Run:
    import onnxsim

    return runtime(onnxsim.simplify(file)[0].SerializeToString())


READERS: dict[str, Callable[[str], Run]] = {
    "ONNX Runtime without optimisations": lambda file: runtime(file, plain=True),
    "ONNX's reference, after its checker": reference,
    "OpenCV": opencv,
    "OpenVINO": openvino,
    "tract": tract,
    "onnxslim": slimmed,
    "onnxsim": simplified,
}


def main(files: list[str]) -> None:
    for file in files:
        shape = onnxruntime.InferenceSession(file).get_inputs()[0].shape
        pictures = np.random.default_rng(0).integers(0, 256, (PICTURES, *shape)).astype(np.float32)
        expected = [runtime(file)(picture) for picture in pictures]
        for name, reader in READERS.items():
            try:
                run = reader(file)
                found = [run(picture) for picture in pictures]
            except Exception as error:  # noqa: BLE001  whatever a reader of others raises is what this is here to tell
                print(f"{file}: {name}: {type(error).__name__}: {str(error).splitlines()[0][:100]}")
                continue
            probabilities, _, maps = (
                max(float(np.abs(np.asarray(a[n]) - b[n]).max()) for a, b in zip(found, expected, strict=True))
                for n in range(3)
            )
            print(f"{file}: {name}: probabilities {probabilities:.1e}, class maps {maps:.1e}")


if __name__ == "__main__":
    main(sys.argv[1:])

"""Files that people take for weights and that are something else, called what they are (imports nothing heavy)."""

import re
import zipfile
from collections.abc import Callable, Sequence
from io import BytesIO

from nin.errors import ModelError, escape_name

HDF5 = b"\x89HDF"
ZIP = b"PK\x03\x04"
PICKLE = re.compile(rb"\x80[\x02-\x05]")
LEGACY = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"  # PyTorch's number at the beginning of its files before 1.6
SAVE = "torch.save(model.state_dict(), 'weights.pth')"
UNPACK = "is packed with {}; unpack it and give the file inside"


def _onnx(data: bytes) -> bool:
    """Whether a file begins as ONNX files do: the version of the format, then who wrote it, or the graph."""
    if len(data) < 5 or data[0] != 0x08 or not 1 <= data[1] <= 20:
        return False
    if data[2] == 0x12:
        return re.fullmatch(rb"[\w. ()-]*", data[4 : 4 + data[3]]) is not None
    return data[2] in (0x3A, 0x42)


def _tensorflow(data: bytes) -> bool:
    """Whether a file begins as SavedModel's or a frozen graph's does."""
    saved = data.startswith(b"\x08\x01\x12") and (b"tensorflow" in data or b"serve" in data)
    return saved or b"\x12\x0bPlaceholder" in data[:4096]


def _keras(data: bytes) -> bool:
    return data.startswith(HDF5) and any(word in data for word in (b"keras", b"model_weights", b"layer_names"))


def _torchscript(names: Sequence[str]) -> bool:
    return any(name.endswith("/constants.pkl") for name in names) and any("/code/" in name for name in names)


STARTS: tuple[tuple[tuple[bytes, ...], str], ...] = (  # what a file begins with, and what it is and what to do then
    ((b"\x1f\x8b",), UNPACK.format("gzip")),
    ((b"BZh",), UNPACK.format("bzip2")),
    ((b"\xfd7zXZ\0",), UNPACK.format("xz")),
    ((b"\x28\xb5\x2f\xfd",), UNPACK.format("Zstandard")),
    ((b"7z\xbc\xaf\x27\x1c",), UNPACK.format("7-Zip")),
    ((b"Rar!",), UNPACK.format("RAR")),
    (
        (b"version https://git-lfs", b"version https://hawser"),
        "is a Git LFS pointer, not the file itself; fetch it: git lfs pull",
    ),
    ((b"\x93NUMPY",), "is one NumPy array; expected all weights by name, as .pth or .safetensors"),
    ((b"GGUF",), "is a GGUF file of a language model; expected the weights of a Network in Network"),
    ((b"%PDF",), "is a PDF; expected a definition file or a file of weights"),
    ((b"\x89PNG", b"\xff\xd8\xff", b"GIF8"), "is a picture; expected a definition file or a file of weights"),
)
WEB = re.compile(rb"\s*(<!doctype html|<html|<head|<\?xml|<!--)", re.IGNORECASE)
MARKERS: tuple[tuple[Callable[[bytes], bool], str], ...] = (
    (lambda data: not data[:4096].strip() and not data.strip(), "is empty ({size} bytes); get it again"),
    (
        lambda data: WEB.match(data[:200].removeprefix(b"\xef\xbb\xbf")) is not None,
        "is a web page, not the file itself; download it again and look at what the page says",
    ),
    (lambda data: data[4:8] == b"TFL3", "is a TensorFlow Lite model, which is not read; save the weights as .pth"),
    (lambda data: data[257:262] == b"ustar", UNPACK.format("tar")),
    (
        _keras,
        "is a Keras file (HDF5), which is not read; save the weights as .pth or .safetensors",
    ),
    (
        lambda data: data.startswith(HDF5),
        "is an HDF5 file; save the weights as .caffemodel, .pth or .safetensors",
    ),
    (
        lambda data: data[:1] in b"{[" and b'"weight_map"' in data,
        "is the index of weights that lie in several files (.safetensors); give the .safetensors file itself",
    ),
    (
        lambda data: re.match(rb'\{\s*"', data[:200]) is not None,
        "is a JSON file; expected a definition file or a file of weights",
    ),
    (
        lambda data: PICKLE.match(data) is not None and LEGACY not in data[:64],
        f"is a pickle that torch.save did not write, and is not run; where it comes from, write it with {SAVE}",
    ),
    (_onnx, "is an ONNX model, which is not read; give the weights it was made from, as .pth"),
    (
        _tensorflow,
        "is a TensorFlow model, which is not read; save the weights as .pth or .safetensors",
    ),
)
ARCHIVES: tuple[tuple[Callable[[Sequence[str]], bool], str], ...] = (
    (
        _torchscript,
        "is a TorchScript program, whose code is not run; save its weights: torch.save(torch.jit.load('FILE')"
        ".state_dict(), 'weights.pth')",
    ),
    (
        lambda names: any(name.endswith(("archive_format", "serialized_exported_program.json")) for name in names),
        "is a torch.export program, whose code is not run; save its weights: torch.save(torch.export.load('FILE')"
        ".state_dict, 'weights.pth')",
    ),
    (
        lambda names: all(name.endswith(".npy") for name in names),
        "is a NumPy archive (.npz), whose names are not looked for; save the weights as .pth or .safetensors",
    ),
    (
        lambda names: any(name.endswith((".weights.h5", "keras_metadata.pb")) for name in names),
        "is a Keras file, which is not read; save the weights as .pth or .safetensors",
    ),
    (
        lambda names: any(name.endswith("saved_model.pb") for name in names),
        "holds a TensorFlow model, which is not read; save the weights as .pth or .safetensors",
    ),
)


def expect_no_other(data: bytes, what: str) -> None:
    """Raise ModelError in one line for a file that is known to be something else; `what` is its name, for messages."""
    said = next((words for starts, words in STARTS if data.startswith(starts)), None)
    said = said or next((words for fits, words in MARKERS if fits(data)), None)
    if said is None and data.startswith(ZIP):
        said = _archive(data)
    if said is not None:
        raise ModelError(f"{what} {said.replace('{size}', str(len(data))).replace('FILE', what)}")


def _archive(data: bytes) -> str | None:
    """What a zip archive is that torch.save did not write; None for one that it did, or that cannot be opened."""
    try:
        names = zipfile.ZipFile(BytesIO(data)).namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError):
        return None
    said = next((words for fits, words in ARCHIVES if fits(names)), None)
    if said is None and names and not any(name.endswith("data.pkl") for name in names):
        shown = ", ".join(escape_name(name)[:60] for name in names[:3])
        return f"is a zip archive ({shown}); unpack it and give the file of weights inside"
    return said

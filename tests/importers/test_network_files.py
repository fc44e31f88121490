"""Files that people give to `nin import` and that are no weights: each is called what it is, in one line."""

import bz2
import gzip
import io
import lzma
import pickle
import tarfile
import warnings
import zipfile

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import nin
from nin.errors import ModelError

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 3900000\n"
PAGE = b"<!DOCTYPE html><html><head><title>Virus scan warning</title></head></html>"
SAVE = "torch.save(model.state_dict(), 'weights.pth')"


def zipped(*names):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name in names:
            archive.writestr(name, b"N.")
    return held.getvalue()


def made(write):
    """What a program writes, as a function that is called when it is wanted."""

    def content():
        held = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            write(held)
        return held.getvalue()

    return content


def tarred(held):
    with tarfile.open(fileobj=held, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))


def scripted(held):
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), held)


def exported(held):
    torch.export.save(torch.export.export(nn.Linear(2, 2), (torch.zeros(1, 2),)), held)


def onnx_file(producer):
    graph = onnx.helper.make_graph([], "g", [], [])
    return onnx.helper.make_model(graph, producer_name=producer).SerializeToString()


OTHERS = {  # made by the programs that make such files, where they are here
    "empty": (b"", "is empty (0 bytes); get it again"),
    "blank": (b" \n\n", "is empty (3 bytes); get it again"),
    "web page": (PAGE, "is a web page, not the file itself; download it again and look at what the page says"),
    "page with a mark": (b"\xef\xbb\xbf\n" + PAGE.lower(), "is a web page, not the file itself"),
    "error of a bucket": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "is a web page"),
    "Git LFS": (LFS, "is a Git LFS pointer, not the file itself; fetch it: git lfs pull"),
    "gzip": (gzip.compress(b"x"), "is packed with gzip; unpack it and give the file inside"),
    "bzip2": (bz2.compress(b"x"), "is packed with bzip2;"),
    "xz": (lzma.compress(b"x"), "is packed with xz;"),
    "tar": (made(tarred), "is packed with tar;"),
    "zip": (zipped("nin.pth", "read.me"), "is a zip archive (nin.pth, read.me); unpack it and give the file of"),
    "npy": (made(lambda held: np.save(held, np.ones(3))), "is one NumPy array; expected all weights by name"),
    "npz": (made(lambda held: np.savez(held, a=np.ones(3))), "is a NumPy archive (.npz), whose names are not looked"),
    "pickle": (
        pickle.dumps({"a": np.ones(3)}),
        f"is a pickle that torch.save did not write, and is not run; where it comes from, write it with {SAVE}",
    ),
    "old pickle": (pickle.dumps({"a": 1}, 2), "is a pickle that torch.save did not write"),
    "ONNX of PyTorch": (onnx_file("pytorch"), "is an ONNX model, which is not read; give the weights it was made from"),
    "ONNX of nobody": (onnx_file(""), "is an ONNX model, which is not read"),
    "ONNX of Keras": (onnx_file("tf2onnx-1.9 (x)"), "is an ONNX model, which is not read"),
    "TorchScript": (
        made(scripted),
        "is a TorchScript program, whose code is not run; save its weights: torch.save(torch.jit.load('file')"
        ".state_dict(), 'weights.pth')",
    ),
    "torch.export": (
        made(exported),
        "is a torch.export program, whose code is not run; save its weights: torch.save(torch.export.load('file')"
        ".state_dict, 'weights.pth')",
    ),
    "whole network": (
        made(lambda held: torch.save(nn.Linear(2, 2), held)),
        "is more than a table of tensors (torch.nn.modules.linear.Linear), and is not run; where its code is, save the "
        f"state_dict alone: {SAVE}",
    ),
    "whole network, old": (
        made(lambda held: torch.save(nn.Linear(2, 2), held, _use_new_zipfile_serialization=False)),
        "is more than a table of tensors (torch.nn.modules.linear.Linear), and is not run;",
    ),
    "Keras": (b"\x89HDF\r\n\x1a\n" + b"\0" * 80 + b"keras_version", "is a Keras file (HDF5), which is not read;"),
    "Keras 3": (zipped("metadata.json", "config.json", "model.weights.h5"), "is a Keras file, which is not read;"),
    "TensorFlow Lite": (b"\x1c\0\0\0TFL3" + b"\0" * 20, "is a TensorFlow Lite model, which is not read;"),
    "SavedModel": (b"\x08\x01\x12\xf0\x04\x0a\x20\x12\x05serve" + b"\0" * 600, "is a TensorFlow model, which is not"),
    "index": (b'{"metadata": {}, "weight_map": {"a": "model-00001-of-2.safetensors"}}', "is the index of weights that"),
    "JSON": (b'{"architectures": ["NIN"]}', "is a JSON file; expected a definition file or a file of weights"),
    "picture": (b"\x89PNG\r\n\x1a\n", "is a picture; expected a definition file or a file of weights"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_file_that_is_something_else_is_called_what_it_is(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, reason = OTHERS[kind]
    (tmp_path / "file").write_bytes(content if isinstance(content, bytes) else content())
    with pytest.raises(ModelError) as caught:
        nin.import_model(["file"], out="model")
    assert str(caught.value).startswith(f"file {reason}")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "model").exists()

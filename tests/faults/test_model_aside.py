"""A model that takes over in a running server answers once in a process of its own first: it may end that one."""

import sys
import textwrap

import pytest

from nin.engine.engine import pack_engine
from nin.engine.fastest import end_of
from nin.errors import ModelError
from nin.run.options import ServeOptions
from nin.server import serve


@pytest.fixture
def ending(tmp_path, monkeypatch):
    """A package onnxruntime that ends the process as soon as it computes, seen by new processes alone."""

    def plant(how: str) -> None:
        (tmp_path / "onnxruntime").mkdir()
        text = f"""
            import os, signal
            __version__ = "0"
            class SessionOptions: pass
            class InferenceSession:
                def __init__(self, *_, **__):
                    {how}
        """
        (tmp_path / "onnxruntime" / "__init__.py").write_text(textwrap.dedent(text))
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    return plant


def test_a_model_that_computes_ends_nothing(default_bundle):
    assert end_of(pack_engine(default_bundle.folder), "onnxruntime", 1) == ""


def test_a_model_that_ends_its_process_does_not_take_over(default_bundle, ending):
    (one,) = serve._open([f"tabby={default_bundle.folder}"], ServeOptions(threads=1, runtime="onnxruntime"))
    assert one._open_aside()[0].digest == one.engine.digest
    ending("os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(ModelError, match=r"small was tried aside and ends its process here \(SIGSEGV\); get the model"):
        one._open_aside()

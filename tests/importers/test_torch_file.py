"""PyTorch's files, written by PyTorch in both formats, and files that want to do harm."""

import argparse
import collections
import datetime
import enum
import io
import os
import pickle
import random
import struct
import types
import zipfile
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch.nn.utils import prune

from nin.errors import ModelError
from nin.importers.torch_file import read_safetensors, read_torch

EXAMPLES = 20_000 if os.environ.get("NIN_HEAVY") == "1" else 300
ROW = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def saved(value, zipped=True):
    held = io.BytesIO()
    torch.save(value, held, _use_new_zipfile_serialization=zipped)
    return held.getvalue()


def only(tables, place):
    """The one table of a file, which lies at that place in it."""
    assert list(tables) == [place]
    return tables[place]


def same(found, expected, ordered=True):
    assert list(found) == list(expected) if ordered else set(found) == set(expected)
    assert all(torch.equal(found[name], expected[name]) and found[name].dtype == expected[name].dtype for name in found)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_dict_is_read_as_torch_reads_it(zipped):
    state = ROW.state_dict()
    same(only(read_torch(saved(state, zipped), "f"), ""), state)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("key", ["state_dict", "model", "net"])
def test_a_checkpoint_with_an_optimizer_is_read(zipped, key):
    optimizer = torch.optim.SGD(ROW.parameters(), lr=0.1, momentum=0.9)
    ROW(torch.zeros(2, 3, 4, 4)).sum().backward()
    optimizer.step()
    checkpoint = {
        "epoch": 3,
        "best": 86.9,
        "done": True,
        "none": None,
        "optimizer": optimizer.state_dict(),
        key: ROW.state_dict(),
    }
    same(only(read_torch(saved(checkpoint, zipped), "f"), key), ROW.state_dict())


@pytest.mark.parametrize("zipped", [True, False])
def test_types_strides_offsets_and_shared_storages(zipped):
    whole = torch.arange(24.0).reshape(2, 3, 4)
    value = {
        "whole": whole,
        "part": whole[1],
        "turned": whole.permute(2, 0, 1),
        "again": whole,
        "parameter": nn.Parameter(torch.ones(2)),
        "scalar": torch.tensor(7),
        "empty": torch.empty(0, 3),
        **{
            str(dtype): torch.ones(3, dtype=dtype)
            for dtype in (torch.float64, torch.float16, torch.bfloat16, torch.int32, torch.bool, torch.uint8)
        },
    }
    found = only(read_torch(saved(value, zipped), "f"), "")
    assert found.pop("empty").numel() == value.pop("empty").numel()
    same(found, {name: tensor.detach() for name, tensor in value.items()})


@pytest.mark.parametrize(
    "before", ["_orig_mod.", "_orig_mod.module.", "module._orig_mod.", "model._fsdp_wrapped_module."]
)
def test_names_lose_what_compiling_and_sharding_put_into_them(before):
    state = {f"{before}{name}": tensor for name, tensor in ROW.state_dict().items()}
    kept = next((word for word in ("module.", "model.") if before.startswith(word) or before.endswith(f".{word}")), "")
    assert list(only(read_torch(saved(state), "f"), "")) == [kept + name for name in ROW.state_dict()]


def test_pruned_weights_are_multiplied_by_their_masks():
    """As torch.nn.utils.prune itself does it."""
    row = nn.Sequential(nn.Conv2d(3, 4, 3))
    prune.l1_unstructured(row[0], "weight", amount=0.5)
    assert {"0.weight_orig", "0.weight_mask"} < set(row.state_dict())
    found = only(read_torch(saved(row.state_dict()), "f"), "")
    assert set(found) == {"0.weight", "0.bias"}
    assert torch.equal(found["0.weight"], row[0].weight)


@dataclass
class Settings:
    """What people keep beside their weights."""

    lr: float = 0.1
    data: object = None


class Table(dict):
    """A table with attributes, as several packages for settings have it."""


class Row(list):
    """A list of one's own."""


class Colour(enum.Enum):
    """A choice."""

    RED = 1


BESIDE = {
    "argparse": argparse.Namespace(lr=0.1),
    "numpy scalar": np.float64(86.93),
    "numpy array": np.ones(3),
    "path": PurePosixPath("/data"),
    "defaultdict": collections.defaultdict(list, loss=[1.0]),
    "counter": collections.Counter("aab"),
    "date": datetime.datetime(2026, 11, 29),
    "own class": Settings(data=Settings()),
    "own table": Table(lr=0.1, more=Table(a=Settings())),
    "own list": Row([1, 2]),
    "choice": Colour.RED,
    "deque": collections.deque([1, 2], 5),
    "simple": types.SimpleNamespace(a=1),
    "class itself": Settings,
    "loss": nn.CrossEntropyLoss(),
    "optimizer": torch.optim.SGD(ROW.parameters(), lr=0.1),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("beside", [name for name in BESIDE if name != "loss"])
def test_objects_beside_the_weights_are_read_as_nothing(beside, zipped):
    value = {"args": BESIDE[beside], "state_dict": ROW.state_dict(), "list": [BESIDE[beside]]}
    same(only(read_torch(saved(value, zipped), "f"), "state_dict"), ROW.state_dict())


def test_a_tensor_beside_the_weights_does_not_hide_them():
    found = read_torch(saved({"best_acc1": torch.tensor(86.9), "state_dict": ROW.state_dict()}), "f")
    assert set(found) == {"", "state_dict"}
    same(found["state_dict"], ROW.state_dict())


def test_tables_come_in_the_order_in_which_they_are_likely():
    state = ROW.state_dict()
    value = {
        "model_ema": state,
        "epoch": 3,
        "checkpoint": {"ema": state, "state_dict": state},
        "optimizer": {"a": state},
    }
    assert list(read_torch(saved(value), "f")) == ["checkpoint.state_dict", "model_ema", "checkpoint.ema"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_safetensors_of_every_type_are_read(dtype):
    state = {name: tensor.to(dtype) for name, tensor in ROW.state_dict().items()}
    same(only(read_safetensors(safetensors.torch.save(state), "f"), ""), state, ordered=False)


class Harm:
    """What a malicious pickle does when it is loaded: here, leave a file behind."""

    def __init__(self, call):
        self.call = call

    def __reduce__(self):
        return self.call


def archive(data, more=(), name="archive/data.pkl", compression=zipfile.ZIP_STORED):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", compression) as made:
        made.writestr(name, data)
        made.writestr("archive/version", b"3\n")
        for other, content in more:
            made.writestr(other, content)
    return held.getvalue()


def legacy(data, keys=(), rest=b""):
    """What PyTorch before 1.6 wrote: number, version, machine, the object, the storages' keys, their numbers."""
    parts = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    return b"".join(pickle.dumps(part, 2) for part in parts) + data + pickle.dumps(list(keys), 2) + rest


@pytest.mark.parametrize("wrap", [archive, legacy])
def test_no_code_of_a_file_runs(wrap, tmp_path):
    canary = tmp_path / "canary"
    calls = [
        (os.system, (f"touch {canary}",)),
        (os.mkdir, (str(canary),)),
        (exec, (f"open({str(canary)!r}, 'w')",)),
        (torch.load, (str(canary),)),
        (getattr, ("x", "upper")),
    ]
    for call, arguments in calls:
        for value in ({"x": Harm((call, arguments))}, {Harm((call, arguments)): 1}, Harm((call, arguments))):
            with pytest.raises(ModelError, match=r"^f is (more than a table of tensors|damaged, or no weights)"):
                read_torch(wrap(pickle.dumps(value, 2)), "f")
    assert not canary.exists()
    pickle.loads(pickle.dumps(Harm((os.mkdir, (str(canary),))), 2))
    assert canary.exists()  # unpickling would have run it


NO_TENSORS = "holds no tensors by name; expected a state_dict, alone or under state_dict or model_state_dict or model"
MORE = (
    "is more than a table of tensors ({}), and is not run; where its code is, save the state_dict alone: "
    "torch.save(model.state_dict(), 'weights.pth')"
)
NO_TABLE = [
    (saved(ROW)[:-1], "is damaged (File is not a zip file); get it again"),
    (saved(ROW), MORE.format("torch.nn.modules.container.Sequential")),
    (saved([torch.ones(1)]), NO_TENSORS),
    (saved({"a": 1}), NO_TENSORS),
    (archive(b"N.", name="other"), "is a zip archive, but none that torch.save wrote; give the weights alone"),
    (
        archive(b"N." * 99, compression=zipfile.ZIP_DEFLATED),
        "is a compressed archive; expected a file as torch.save writes it",
    ),
    (archive(b"cos\nsystem\n."), MORE.format("os.system")),
]


@pytest.mark.parametrize(("data", "reason"), NO_TABLE)
def test_what_is_no_table_of_tensors_is_said_in_one_line(data, reason):
    with pytest.raises(ModelError) as caught:
        read_torch(data, "f")
    assert str(caught.value).removeprefix("f ") == reason


@pytest.mark.parametrize(
    "data",
    [b"", b"N.", pickle.dumps({"a": 1}, 2), archive(b""), archive(b"}}s."), archive(b"(" * 250_000), b"\x80" * 9],
)
def test_other_rubbish_is_one_line_too(data):
    with pytest.raises(ModelError) as caught:
        read_torch(data, "f")
    assert str(caught.value).isprintable() and str(caught.value).startswith("f ")


def test_a_tensor_cannot_be_larger_than_its_numbers():
    huge = torch.ones(1).expand(2**20, 2**20)  # a petabyte when it is copied
    with pytest.raises(
        ModelError, match=r"^f: a has the shape \(1048576, 1048576\), which its numbers do not fill; get"
    ):
        read_torch(saved({"a": huge}), "f")


def test_a_flipped_bit_in_the_numbers_of_an_archive_is_noticed():
    """torch.load does not look at the archive's checksums; this reader does."""
    data = bytearray(saved({"a": torch.arange(1000.0)}))
    place = bytes(data).find(struct.pack("<f", 500.0))
    data[place] ^= 1
    with pytest.raises(ModelError, match=r"^f is damaged \(wrong checksum of archive/data/0\); get it again$"):
        read_torch(bytes(data), "f")


@pytest.mark.parametrize("zipped", [True, False])
def test_any_cut_and_any_damage_is_read_or_refused_in_one_line(zipped):
    data = saved({"best": 1.5, "state_dict": nn.Conv2d(1, 1, 1).state_dict()}, zipped)
    rng = random.Random(0)
    for number in range(EXAMPLES):
        changed = bytearray(data[: rng.randrange(len(data)) if number % 3 == 0 else len(data)])
        for _ in range(rng.randint(0, 3) if changed else 0):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        try:
            read_torch(bytes(changed), "f")
        except ModelError as error:
            assert "\n" not in str(error)
            assert str(error).isprintable()

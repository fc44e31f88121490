"""PyTorch's files, written by PyTorch in both formats, and files that want to do harm."""

import io
import os
import pickle
import random
import struct
import zipfile

import pytest
import torch
from torch import nn

from nin.errors import ModelError
from nin.network.foreign_torch import read_torch

EXAMPLES = 20_000 if os.environ.get("NIN_HEAVY") == "1" else 300
ROW = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def saved(value, zipped=True):
    held = io.BytesIO()
    torch.save(value, held, _use_new_zipfile_serialization=zipped)
    return held.getvalue()


def same(found, expected):
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) and found[name].dtype == expected[name].dtype for name in found)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_dict_is_read_as_torch_reads_it(zipped):
    state = ROW.state_dict()
    same(read_torch(saved(state, zipped), "f"), state)


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
    same(read_torch(saved(checkpoint, zipped), "f"), ROW.state_dict())


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
    found = read_torch(saved(value, zipped), "f")
    assert found.pop("empty").numel() == value.pop("empty").numel()
    same(found, {name: tensor.detach() for name, tensor in value.items()})


def test_names_lose_what_wrappers_put_before_all_of_them():
    state = {f"module._orig_mod.{name}": tensor for name, tensor in ROW.state_dict().items()}
    assert list(read_torch(saved(state), "f")) == list(ROW.state_dict())
    mixed = {"module.a": torch.ones(1), "b": torch.ones(1)}
    assert list(read_torch(saved(mixed), "f")) == ["module.a", "b"]


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
MORE = "is more than a table of tensors ({}), and is not run; save the state_dict alone"
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

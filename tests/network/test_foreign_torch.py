"""PyTorch's files, written by PyTorch in both formats, read without unpickling; and files that want to do harm."""

import collections
import io
import os
import pickle
import random
import struct
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from foreign_files import one_line
from nin.errors import ModelError
from nin.network.foreign_torch import LEGACY_MAGIC, read_torch

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
        for other, content in more:
            made.writestr(other, content)
    return held.getvalue()


def legacy(data, keys=(), rest=b""):
    parts = [LEGACY_MAGIC, 1001, {"little_endian": True}]
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
        (np.dtype, ("f4",)),
        (collections.Counter, ()),
    ]
    for call, arguments in calls:
        for value in ({"x": Harm((call, arguments))}, {Harm((call, arguments)): 1}, Harm((call, arguments))):
            data = pickle.dumps(value, 2)
            with pytest.raises(ModelError, match=r"^f is (more than a table of tensors|damaged)"):
                read_torch(wrap(data), "f")
    assert not canary.exists()
    pickle.loads(pickle.dumps(Harm((os.mkdir, (str(canary),))), 2))
    assert canary.exists()  # unpickling would have run it


NO_TENSORS = "holds no tensors by name; expected a state_dict, alone or under state_dict or model_state_dict or model"
MORE = "is more than a table of tensors (it has {}), and is not run; save the state_dict alone"
TWICE = b"}(X\x01\x00\x00\x00aK\x01X\x01\x00\x00\x00aK\x02u."
NO_TABLE = [
    (saved(ROW)[:-1], "is damaged (File is not a zip file); get it again"),
    (saved(ROW), MORE.format("the Python object torch.nn.modules.container.Sequential")),
    (saved([torch.ones(1)]), NO_TENSORS),
    (saved({"a": 1}), NO_TENSORS),
    (archive(b"N.", name="other"), "is a zip archive, but none that torch.save wrote; give the weights alone"),
    (
        archive(b"N.", [("archive/byteorder", b"big")]),
        "was written on a machine of the other byte order; save it on an ordinary one",
    ),
    (
        archive(b"N." * 99, compression=zipfile.ZIP_DEFLATED),
        "data.pkl is compressed or larger than 8,388,608 bytes; expected a file as torch.save writes it",
    ),
    (pickle.dumps({"a": 1}, 2), "is a pickle, but none that torch.save wrote; give the weights alone"),
    (archive(b""), "is damaged (it ends 1 bytes too early); get it again"),
    (archive(b"]q\x00h\x00a."), NO_TENSORS),  # a list that holds itself
    (archive(b"}U\x01aK\x01s."), NO_TENSORS),  # a name as Python 2 wrote them
    (archive(TWICE), "is damaged ('a' is there twice); get it again"),
    (archive(b"(" * 250_000), MORE.format("more than 200,000 instructions")),
    (archive(b"cos\nsystem\n."), MORE.format("the Python object os.system")),
    (archive(b"\x8f."), MORE.format("the instruction 0x8f")),  # a set
    (archive(b"S'x'\n."), MORE.format("the instruction 0x53")),  # a text of pickle's first version
    (archive(b"cx"), "is damaged (a name without an end); get it again"),
    (
        archive(b"X\x01\x00\x00\x00\xff."),
        "is damaged ('utf-8' codec can't decode byte 0xff in position 0: invalid start byte); get it again",
    ),
    (archive(b"}}s."), "is damaged (list index out of range); get it again"),
    (
        archive(b"\x80\x02X\xff\xff\xff\x7fab."),
        "is damaged (it ends 2,147,483,644 bytes too early); get it again",
    ),
    (
        legacy(pickle.dumps({}, 2), ["0"]),
        "is damaged (its list of storages is not that of its tensors); get it again",
    ),
]


@pytest.mark.parametrize(("data", "reason"), NO_TABLE)
def test_what_is_no_table_of_tensors_is_said_in_one_line(data, reason):
    with pytest.raises(ModelError) as caught:
        read_torch(data, "f")
    text = str(caught.value)
    assert text.removeprefix("f: ").removeprefix("f ") == reason


def described(count, size, stride, offset=0, table=dict):
    """A pickle of {"a": tensor} whose description is free to lie, by Python's own pickler."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return value.words if isinstance(value, Described) else None

    class Described:
        words = ("storage", torch.FloatStorage, "0", "cpu", count)

    held = io.BytesIO()
    rebuild = torch._utils._rebuild_tensor_v2
    arguments = (Described(), offset, size, stride, False, collections.OrderedDict())
    Pickler(held, 2).dump(table([["a", Harm((rebuild, arguments))]]))
    return held.getvalue()


@pytest.mark.parametrize(
    ("size", "stride", "offset", "reason"),
    [
        ((4,), (1,), 1, "a has the shape (4,), which its numbers do not fill; get it again"),
        ((5,), (1,), 0, "a has the shape (5,), which its numbers do not fill; get it again"),
        ((2**20, 2**20), (0, 0), 0, "a has the shape (1048576, 1048576), which its numbers do not fill; get it again"),
        ((2**50,), (0,), 0, "is damaged (a tensor of impossible size); get it again"),
        ((-1,), (1,), 0, "is damaged (a tensor of impossible size); get it again"),
        ((True,), (1,), 0, "is damaged (a tensor of impossible size); get it again"),
        ((2, 2), (1,), 0, "is damaged (a tensor whose shape and strides do not fit each other); get it again"),
        ((1,) * 9, (1,) * 9, 0, "is damaged (a tensor whose shape and strides do not fit each other); get it again"),
    ],
)
def test_a_tensor_cannot_reach_outside_its_numbers(size, stride, offset, reason):
    good = struct.pack("<4f", 1, 2, 3, 4)
    made = (
        archive(described(4, size, stride, offset), [("archive/data/0", good)]),
        legacy(described(4, size, stride, offset), ["0"], struct.pack("<q", 4) + good),
    )
    for data in made:
        with pytest.raises(ModelError) as caught:
            read_torch(data, "f")
        assert str(caught.value).removeprefix("f: ").removeprefix("f ") == reason


def test_a_storage_that_is_not_there_or_shorter_is_said():
    pickled = described(4, (4,), (1,))
    short, right = struct.pack("<3f", 1, 2, 3), struct.pack("<4f", 1, 2, 3, 4)
    assert read_torch(archive(pickled, [("archive/data/0", right)]), "f")["a"].tolist() == [1, 2, 3, 4]
    assert read_torch(legacy(pickled, ["0"], struct.pack("<q", 4) + right), "f")["a"].tolist() == [1, 2, 3, 4]
    count = struct.pack("<q", 4)
    for data, reason in (
        (archive(pickled), "is cut short (storage 0 has 0 of 16 bytes); get it again"),
        (archive(pickled, [("archive/data/0", short)]), "is cut short (storage 0 has 12 of 16 bytes); get it again"),
        (
            archive(pickled, [("archive/data/0", right * 2)]),
            "data/0 is compressed or larger than 16 bytes; expected a file as torch.save writes it",
        ),
        (legacy(pickled, ["0"], count + short), "is cut short (storage 0 has 12 of 16 bytes); get it again"),
        (
            legacy(pickled, ["0"], struct.pack("<q", 5) + right),
            "is damaged or cut short (a storage is not as long as it says); get it again",
        ),
        (legacy(pickled), "has no numbers for storage 0; get it again"),
    ):
        with pytest.raises(ModelError) as caught:
            read_torch(data, "f")
        assert str(caught.value).removeprefix("f: ").removeprefix("f ") == reason


def test_an_ordered_table_made_by_a_call_is_read():
    """Python 2 pickled an OrderedDict as a call with a list of pairs."""
    pickled = described(1, (1,), (1,), table=lambda pairs: Harm((collections.OrderedDict, (pairs,))))
    found = read_torch(archive(pickled, [("archive/data/0", struct.pack("<f", 5))]), "f")
    assert found["a"].tolist() == [5]


def test_a_flipped_bit_in_the_numbers_of_an_archive_is_noticed():
    """torch.load does not look at the archive's checksums; this reader does."""
    data = bytearray(saved({"a": torch.arange(1000.0)}))
    place = bytes(data).find(struct.pack("<f", 500.0))
    data[place] ^= 1
    with pytest.raises(ModelError, match=r"^f is damaged \(Bad CRC-32 for file 'archive/data/0'\); get it again$"):
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
            assert one_line(str(error))

"""Files are complete, durable and verified, or not there: damage, kills, power loss, full and failing disks, locks.

Run as a script it is the process that gets killed, locked or starved (see `main`); NIN_HEAVY=1 raises the numbers.
"""

import errno
import fcntl
import hashlib
import json
import os
import random
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from nin import artifacts, sealed
from nin.artifacts import RunLock, open_new, read_bytes, replace_folder, write_bytes
from nin.errors import ArtifactError
from nin.orphans import sweep
from nin.sealed import read_tensors, write_tensors

HEAVY = os.environ.get("NIN_HEAVY") == "1"


def damaged(first: bytes, second: bytes, rng: random.Random, flips: int, cuts: int, holes: int, splices: int):
    """Contents that differ from `first` and `second`, two valid files."""
    for _ in range(flips):
        place = rng.randrange(len(first) * 8)
        changed = bytearray(first)
        changed[place // 8] ^= 1 << place % 8
        yield bytes(changed)
    for _ in range(cuts):
        yield first[: rng.randrange(len(first))]
    while holes:
        start, length = rng.randrange(len(first)), rng.randint(1, 4096)
        changed = first[:start] + bytes(len(first[start : start + length])) + first[start + length :]
        if changed != first:
            holes -= 1
            yield changed
    while splices:
        place = rng.randrange(1, min(len(first), len(second)))
        changed = first[:place] + second[place:]
        if changed not in (first, second):
            splices -= 1
            yield changed


def tensors_of(step: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(step)
    return {
        "blocks.0.spatial.weight": rng.normal(size=(16, 3, 5, 5)).astype(np.float32),
        "blocks.0.spatial.bias": rng.normal(size=16).astype(np.float16),
        "count": np.array(step),
    }


def silent(read, contents) -> list[int]:
    """Which of the contents were read without an ArtifactError."""
    accepted = []
    for index, content in enumerate(contents):
        try:
            read(content)
        except ArtifactError as error:
            assert "\n" not in str(error)
        else:
            accepted.append(index)
    return accepted


def test_every_damage_to_tensors_is_noticed(tmp_path):
    for step in (1, 2):
        write_tensors(tmp_path / f"{step}", tensors_of(step), {"step": str(step), "name": "고양이"})
    first, second = ((tmp_path / name).read_bytes() for name in "12")
    path = tmp_path / "damaged"

    def read(content):
        path.unlink(missing_ok=True)  # ext4 flushes a file that is truncated and written again: slow
        path.write_bytes(content)
        read_tensors(path)

    assert silent(read, [first, second]) == [0, 1]
    times = 5 if HEAVY else 1
    contents = damaged(first, second, random.Random(6), 2000 * times, 300 * times, 200 * times, 200 * times)
    assert silent(read, contents) == []


def test_the_damage_is_one_that_plain_safetensors_does_not_notice(tmp_path):
    """A control: without our digest most flips load as wrong weights."""
    write_tensors(tmp_path / "a", tensors_of(1), {})
    content = (tmp_path / "a").read_bytes()
    loaded = 0
    for flipped in damaged(content, content, random.Random(6), 200, 0, 0, 0):
        try:
            safetensors.numpy.load(flipped)
            loaded += 1
        except Exception:  # noqa: BLE001  whatever it says, it noticed
            continue
    assert loaded > 150


def test_every_damage_to_sealed_json_is_noticed():
    value = {
        "architecture": "nin",
        "mean": [0.4914, 1e-05, 1e22],
        "label_names": ["고양이", "a\nb"],
        "nested": {"sha256": "0" * 64},
    }
    first, second = sealed.seal_json(value), sealed.seal_json({**value, "mean": [0.5, 2e-05, 2e22]})

    def read(content):
        sealed.open_sealed_json(content, "config.json")

    assert silent(read, [first, second]) == [0, 1]
    assert silent(read, damaged(first, second, random.Random(7), 2000, 300, 200, 200)) == []
    every_bit = (
        first[:at] + bytes([first[at] ^ 1 << bit]) + first[at + 1 :] for at in range(len(first)) for bit in range(8)
    )
    assert silent(read, every_bit) == []
    reformatted = json.dumps(json.loads(first)).encode()
    assert silent(read, [b"", b"{}", b"[]", reformatted, first + b"\n", b" " + first]) == []


def own_digest(data: bytes, digits: bytes) -> str:
    """The rule in its own words: SHA-256 of the file in which the digest's digits are replaced by zeros."""
    assert data.count(digits) == 1
    return hashlib.sha256(data.replace(digits, b"0" * 64)).hexdigest()


def test_the_digest_follows_the_documented_rule_and_any_tool_reads_the_file(tmp_path):
    write_tensors(tmp_path / "a", tensors_of(3), {"step": "3"})
    data = (tmp_path / "a").read_bytes()
    with safetensors.safe_open(tmp_path / "a", "numpy") as file:
        digest = file.metadata()["sha256"]
        assert {name: file.get_tensor(name).tolist() for name in file.keys()} == {  # noqa: SIM118  not a dictionary
            name: array.tolist() for name, array in tensors_of(3).items()
        }
    assert own_digest(data, digest.encode()) == digest
    data = sealed.seal_json({"a": 1})
    assert own_digest(data, json.loads(data)["sha256"].encode()) == json.loads(data)["sha256"]


def test_tensors_come_back_as_they_were_and_equal_content_gives_equal_bytes(tmp_path):
    tensors = {
        "scalar": np.array(3.5),
        "empty": np.zeros((0, 3), np.float32),
        "columns": np.arange(12, dtype=np.int64).reshape(3, 4)[:, ::2],
        "big": np.arange(5, dtype=">f4"),
        "flags": np.array([True, False]),
    }
    metadata = {'"sha256":"': "0" * 64, "text": 'a "sha256":"' + "1" * 64 + '"\n', "z": "\x00"}
    write_tensors(tmp_path / "a", tensors, metadata)
    write_tensors(tmp_path / "b", dict(reversed(tensors.items())), dict(reversed(metadata.items())))
    found, text = read_tensors(tmp_path / "a")
    assert text == metadata
    assert found.keys() == tensors.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].shape == array.shape
        assert found[name].dtype == array.dtype.newbyteorder("=")
        assert found[name].flags.writeable
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_files_of_other_programs_are_read_only_on_request(tmp_path):
    (tmp_path / "foreign").write_bytes(safetensors.numpy.save({"a": np.ones(3, np.float32)}, {"author": "x"}))
    with pytest.raises(ArtifactError, match="does not carry the SHA-256"):
        read_tensors(tmp_path / "foreign")
    tensors, metadata = read_tensors(tmp_path / "foreign", require_digest=False)
    assert tensors["a"].tolist() == [1, 1, 1]
    assert metadata == {"author": "x"}
    write_tensors(tmp_path / "ours", {"a": np.ones(3, np.float32)}, {})
    content = bytearray((tmp_path / "ours").read_bytes())
    content[-1] ^= 1
    (tmp_path / "ours").write_bytes(content)
    with pytest.raises(ArtifactError, match="SHA-256 differs"):
        read_tensors(tmp_path / "ours", require_digest=False)


def forged(header: bytes, body: bytes = b"") -> bytes:
    """A safetensors file with a right digest, as an attacker makes it; `header` has DIGEST where it goes."""
    header = header.replace(b"DIGEST", b'"__metadata__":{"sha256":"' + b"0" * 64 + b'"}')
    data = struct.pack("<Q", len(header)) + header + body
    return data.replace(b"0" * 64, hashlib.sha256(data).hexdigest().encode(), 1)


HOSTILE_TENSORS = {
    "huge shape": forged(
        b'{DIGEST,"a":{"dtype":"F32","shape":[1000000000,1000000000],"data_offsets":[0,4]}}', bytes(4)
    ),
    "overflowing shape": forged(b'{DIGEST,"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}'),
    "huge offsets": forged(b'{DIGEST,"a":{"dtype":"U8","shape":[1099511627776],"data_offsets":[0,1099511627776]}}'),
    "overlap": forged(
        b'{DIGEST,"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}',
        bytes(6),
    ),
    "hole": forged(b'{DIGEST,"a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}', bytes(4)),
    "trailer": forged(b'{DIGEST,"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}', bytes(4)),
    "unknown dtype": forged(b'{DIGEST,"a":{"dtype":"PICKLE","shape":[1],"data_offsets":[0,1]}}', bytes(1)),
    "negative shape": forged(b'{DIGEST,"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}', bytes(1)),
    "deep nesting": forged(b"{DIGEST," + b'"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "not UTF-8": forged(b'{DIGEST,"\xff":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', bytes(1)),
    "metadata no table": forged(b'{"__metadata__":"sha256","x":{"sha256":"' + b"0" * 64 + b'"}}'),
    "header longer than file": struct.pack("<Q", 2**63) + b"{}",
    "pickle": b"\x80\x04cposix\nsystem\n(S'touch canary'\ntR.",
    "zip": b"PK\x03\x04" + bytes(100),
    "empty": b"",
}


@pytest.mark.parametrize("kind", HOSTILE_TENSORS)
def test_a_hostile_file_with_a_right_digest_is_refused_quickly(kind, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(HOSTILE_TENSORS[kind])
    started = time.process_time()
    with pytest.raises(ArtifactError, match=r"model\.safetensors is damaged \(.+\); restore it from a copy"):
        read_tensors(path)
    assert time.process_time() - started < 0.2


def test_what_cannot_be_stored_is_refused_in_one_line(tmp_path):
    for tensors, metadata, text in (
        ({"a": np.array(["x"])}, {}, "dtype"),
        ({"a": np.array([None])}, {}, "dtype"),
        ({}, {"sha256": "0"}, "taken"),
        ({}, {"name": "\udcff"}, "surrogates not allowed"),
    ):
        with pytest.raises(ArtifactError, match=text) as caught:
            write_tensors(tmp_path / "a", tensors, metadata)
        assert "\n" not in str(caught.value)
    with pytest.raises(ArtifactError, match="nan"):
        artifacts.write_json(tmp_path / "a", {"loss": float("nan")})
    with pytest.raises(ArtifactError, match="taken"):
        sealed.seal_json({"sha256": ""})
    assert list(tmp_path.iterdir()) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text().filter(lambda name: name != "sha256"), json_values, max_size=4))
def test_sealed_json_comes_back_as_it_was(value):
    assert sealed.open_sealed_json(sealed.seal_json(value), "x") == value


def test_json_and_text_of_odd_names(tmp_path):
    odd = {"한글": "\udcff", "b": ["\u202e", "<script>", "=cmd"]}
    artifacts.write_json(tmp_path / "a.json", odd)
    assert "한글" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "a.json").read_bytes()) == odd
    artifacts.write_text(tmp_path / "a.txt", "가\r\n\udcff")
    assert (tmp_path / "a.txt").read_bytes() == "가\r\n\\udcff".encode()


class System:
    """Stands in for the system calls: records what happens to which path, fails or does nothing where told."""

    NAMES = ("open", "fchmod", "write", "fsync", "close", "replace", "mkdir", "rename", "unlink")

    def __init__(self, monkeypatch, plan=None):
        self.log, self.paths, self.counts, self.plan = [], {}, dict.fromkeys(self.NAMES, 0), plan or {}
        self.real = {name: getattr(os, name) for name in self.NAMES}
        for name in self.NAMES:
            monkeypatch.setattr(os, name, lambda *a, _name=name, **k: self.call(_name, *a, **k))

    def call(self, name, *arguments, **keywords):
        action = self.plan.get((name, self.counts[name]))
        self.counts[name] += 1
        if action == "skip":
            return None
        if name == "close":
            self.paths.pop(arguments[0], None)
        if isinstance(action, OSError) and name != "close":
            raise action
        if name == "open":
            result = self.real[name](*arguments, **keywords)
            self.paths[result] = Path(arguments[0])
            self.log.append(("open", self.paths[result], arguments[1]))
            return result
        if name == "write":
            result = self.real[name](*arguments)
            self.log.append(("write", self.paths[arguments[0]], bytes(arguments[1][:result])))
            return result
        if name == "fsync":
            self.log.append(("fsync", self.paths[arguments[0]]))
        if name in ("replace", "rename", "mkdir", "unlink"):
            self.log.append((name, *map(Path, arguments[: 2 if name.startswith("re") else 1])))
        result = self.real[name](*arguments, **keywords)
        if isinstance(action, OSError):  # close frees the descriptor even when it fails
            raise action
        return result


def save(path: Path, size: int, pieces: int = 4) -> bytes:
    content = random.Random(size).randbytes(size)
    with open_new(path, size=size) as file:
        for start in range(0, size, -(-size // pieces)):
            file.write(content[start : start + -(-size // pieces)])
    return content


def test_the_order_of_operations(tmp_path, monkeypatch):
    path = tmp_path / "model"
    with monkeypatch.context() as patch:
        system = System(patch)
        save(path, 1000, pieces=1)
    steps = [(entry[0], entry[1].name) for entry in system.log]
    temporary = steps[0][1]
    assert temporary.startswith(".")
    assert temporary.endswith(".tmp")
    assert steps == [
        ("open", temporary),
        ("write", temporary),
        ("fsync", temporary),
        ("replace", temporary),
        ("open", tmp_path.name),
        ("fsync", tmp_path.name),
    ]
    assert system.log[0][2] & (os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW) == os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


def test_the_order_of_operations_on_folders(tmp_path, monkeypatch):
    """A name is made durable after it appears and before anything relies on it."""
    monkeypatch.setattr(artifacts.ctypes, "CDLL", lambda *a, **k: object())
    with monkeypatch.context() as patch:
        system = System(patch)
        artifacts.make_folder(tmp_path / "a" / "b")
        with replace_folder(tmp_path / "model") as new:
            pass
        with replace_folder(tmp_path / "model"):
            pass
        artifacts.remove(tmp_path / "a" / "c")
    steps = [
        (entry[0], entry[-1].relative_to(tmp_path.parent).as_posix()) for entry in system.log if entry[0] != "open"
    ]
    top, temporary = tmp_path.name, f"{tmp_path.name}/{new.name}"
    assert steps[:4] == [("mkdir", f"{top}/a"), ("fsync", top), ("mkdir", f"{top}/a/b"), ("fsync", f"{top}/a")]
    assert steps[4:8] == [("mkdir", temporary), ("fsync", temporary), ("rename", f"{top}/model"), ("fsync", top)]
    assert [step for step, _ in steps[8:14]] == ["mkdir", "fsync", "rename", "rename", "rename", "fsync"]
    assert (steps[11], steps[13]) == (("rename", f"{top}/model"), ("fsync", top))
    assert steps[14:] == [("unlink", f"{top}/a/c"), ("fsync", f"{top}/a")]


def test_a_swap_that_fails_in_the_middle_puts_the_old_back(tmp_path, monkeypatch):
    monkeypatch.setattr(artifacts.ctypes, "CDLL", lambda *a, **k: object())
    with replace_folder(tmp_path / "model") as new:
        write_bytes(new / "a", b"old")
    with monkeypatch.context() as patch:
        System(patch, {("rename", 1): OSError(errno.EIO, os.strerror(errno.EIO))})
        with (
            pytest.raises(ArtifactError, match="Input/output"),
            replace_folder(tmp_path / "model", may_hold=["a"]) as new,
        ):
            write_bytes(new / "a", b"new")
    assert (tmp_path / "model" / "a").read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def after_power_loss(log, path: Path, old: bytes):
    """The content of `path` in every state the disk may be in when the power fails at the end of `log`.

    Data not yet fsynced is kept, lost, cut at any 512 bytes or reads as zeros; a rename not followed by an fsync of its
    folder has happened or not. Written from POSIX' promises, it knows nothing of the code under test.
    """
    written, safe, names = b"", 0, [old]
    for entry in log:
        if entry[0] == "write":
            written += entry[2]
        elif entry[0] == "fsync" and entry[1] == path.parent:
            names = names[-1:]
        elif entry[0] == "fsync":
            safe = len(written)
        elif entry[0] == "replace":
            names.append(None)
    data = [written]
    for end in range(safe, len(written), 512):
        data += [written[:end], written[:end] + bytes(len(written) - end)]
    for name in names:
        for content in data:
            yield content if name is None else name


def bad_states(log, path: Path, old: bytes, new: bytes) -> tuple[int, int]:
    """How many states were looked at, and how many of them hold neither the old nor the new content, whole."""
    states = bad = 0
    for end in range(len(log) + 1):
        allowed = {old, new} if end < len(log) else {new}  # after the save returned, only the new
        for content in after_power_loss(log[:end], path, old):
            states += 1
            bad += content not in allowed
    return states, bad


@pytest.mark.parametrize("skipped", [None, ("fsync", 0), ("fsync", 1), ("replace", 0)])
def test_power_loss_leaves_the_old_or_the_new_and_removing_one_step_is_noticed(skipped, tmp_path, monkeypatch):
    path, old = tmp_path / "model", b"old" * 1000
    path.write_bytes(old)
    with monkeypatch.context() as patch:
        system = System(patch, {skipped: "skip"} if skipped else {})
        new = save(path, 2**20 if HEAVY else 2**17, pieces=16 if HEAVY else 4)
    states, bad = bad_states(system.log, path, old, new)
    if skipped:
        assert bad > 0
    else:
        assert bad == 0
        assert states > (10_000 if HEAVY else 500)


ERRORS = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EMFILE, errno.EFBIG)


def test_a_fault_at_every_call_is_named_and_loses_nothing(tmp_path, monkeypatch):
    path, old = tmp_path / "model", b"old"
    path.write_bytes(old)
    with monkeypatch.context() as patch:
        system = System(patch)
        new = save(path, 3000)
    points = [(name, index) for name, count in system.counts.items() for index in range(count)]
    assert len(points) >= 11  # open 2, fchmod 1, write 4, fsync 2, close 3, replace 1
    for name, index in points:
        for number in ERRORS:
            path.write_bytes(old)
            with monkeypatch.context() as patch:
                System(patch, {(name, index): OSError(number, os.strerror(number))})
                with pytest.raises(ArtifactError) as caught:
                    save(path, 3000)
            text = str(caught.value)
            assert str(path) in text
            assert os.strerror(number) in text
            assert "\n" not in text
            assert ("bytes needed" in text) == (number in (errno.ENOSPC, errno.EDQUOT))
            renamed = (name, index) in (
                ("open", 1),
                ("fsync", 1),
                ("close", 1),
                ("close", 2),
            )  # those of the folder after the rename, and the last of the file's own
            assert path.read_bytes() == (new if renamed else old)
            assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_fsync_is_never_asked_twice_and_a_new_save_starts_afresh(tmp_path, monkeypatch):
    path = tmp_path / "model"
    with monkeypatch.context() as patch:
        system = System(patch, {("fsync", 0): OSError(errno.EIO, os.strerror(errno.EIO))})
        with pytest.raises(ArtifactError, match="Input/output error"):
            save(path, 100)
        assert system.counts["fsync"] == 1
        first = system.log[0][1]
        save(path, 100)
        assert [entry[1] for entry in system.log if entry[0] == "open"][1] != first
    assert len(path.read_bytes()) == 100


def test_a_folder_that_cannot_be_synced_is_no_fault(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        System(patch, {("fsync", 1): OSError(errno.EINVAL, os.strerror(errno.EINVAL))})
        save(tmp_path / "model", 100)
    assert (tmp_path / "model").exists()


@pytest.mark.parametrize("kind", ["short", "interrupted", "nothing", "changed"])
def test_odd_writes(kind, tmp_path, monkeypatch):
    real, calls = os.write, [0]

    def odd(descriptor, data):
        calls[0] += 1
        if kind == "short":
            return real(descriptor, data[: 1 + calls[0] % 97])
        if kind == "interrupted" and calls[0] % 2:
            raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR))
        if kind == "nothing":
            return 0
        return real(descriptor, bytes(len(data)) if kind == "changed" else data)

    monkeypatch.setattr(os, "write", odd)
    path = tmp_path / "model"
    if kind in ("short", "interrupted"):
        assert path.read_bytes() == save(path, 5000) if path.exists() else save(path, 5000) == path.read_bytes()
        return
    expected = {"nothing": "took no bytes", "changed": "what was read back differs"}[kind]
    with pytest.raises(ArtifactError, match=expected):
        save(path, 5000)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_block_leaves_what_was_there(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), open_new(path) as file:
        file.write(np.arange(6, dtype=np.float32).reshape(2, 3))
        assert file.tell() == 24
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_streamed_content_and_its_digest(tmp_path):
    rows = np.arange(60, dtype=np.float32).reshape(5, 12)
    with open_new(tmp_path / "a") as file:
        assert file.write(np.zeros((0, 3))) == 0
        assert [file.write(row) for row in rows] == [48] * 5
        digest = file.sha256()
    assert (tmp_path / "a").read_bytes() == rows.tobytes()
    assert digest == hashlib.sha256(rows.tobytes()).hexdigest()


def test_permissions_stay_and_a_link_is_replaced_not_followed(tmp_path):
    (tmp_path / "private").write_bytes(b"")
    (tmp_path / "private").chmod(0o640)
    write_bytes(tmp_path / "private", b"new")
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o640
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "fresh", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "fresh").stat().st_mode) == 0o640
    (tmp_path / "public").write_bytes(b"")
    (tmp_path / "public").chmod(0o666)  # more than the usual umask leaves to a new file
    write_bytes(tmp_path / "public", b"new")
    assert stat.S_IMODE((tmp_path / "public").stat().st_mode) == 0o666
    (tmp_path / "link").symlink_to("private")
    write_bytes(tmp_path / "link", b"other")
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "private").read_bytes() == b"new"


def test_wrong_places_are_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    cases = [
        (lambda: write_bytes(tmp_path, b""), "is a folder"),
        (lambda: write_bytes(tmp_path / "no" / "a", b""), "its folder must exist"),
        (lambda: write_bytes(tmp_path / "file" / "a", b""), "whose parents are folders"),
        (lambda: write_bytes(tmp_path / ("a" * 300), b""), "File name too long"),
        (lambda: artifacts.make_folder(tmp_path / "file"), "a file is in its place"),
        (lambda: artifacts.make_folder(tmp_path / "file" / "x"), "cannot be made a folder"),
        (lambda: read_bytes(tmp_path / "pipe"), "not a regular file"),
        (lambda: read_bytes(tmp_path), "Is a directory"),
        (lambda: read_bytes(tmp_path / "link", follow=False), "symbolic link"),
        (lambda: read_bytes(tmp_path / "new\nline"), r"new\\nline cannot be read"),
        (lambda: artifacts.remove(tmp_path), "cannot be removed"),
        (lambda: replace_folder(tmp_path / "file").__enter__(), "is not a folder"),
    ]
    for call, text in cases:
        with pytest.raises(ArtifactError, match=text) as caught:
            call()
        assert "\n" not in str(caught.value)
    assert read_bytes(tmp_path / "link") == b""
    write_bytes(tmp_path / "ten", b"0123456789")
    assert read_bytes(tmp_path / "ten", limit=10) == b"0123456789"
    with pytest.raises(ArtifactError, match="larger than the 9 bytes"):
        read_bytes(tmp_path / "ten", limit=9)
    artifacts.remove(tmp_path / "ten")
    artifacts.remove(tmp_path / "ten")
    assert not (tmp_path / "ten").exists()
    assert artifacts.make_folder(tmp_path / "a" / "b") == artifacts.make_folder(tmp_path / "a" / "b")


@pytest.mark.parametrize("atomic", [True, False])
def test_a_folder_is_replaced_at_once(atomic, tmp_path, monkeypatch):
    if not atomic:  # file systems and systems without the exchange of two names
        monkeypatch.setattr(artifacts.ctypes, "CDLL", lambda *a, **k: object())
    target = tmp_path / "deep" / "model"
    for step in "123":
        with replace_folder(target, may_hold=["a"]) as new:
            assert new.parent == target.parent
            write_bytes(new / "a", step.encode())
        assert (target / "a").read_text() == step
    with pytest.raises(RuntimeError), replace_folder(target, may_hold=["a"]) as new:
        write_bytes(new / "a", b"4")
        raise RuntimeError
    assert (target / "a").read_text() == "3"
    assert list(target.parent.iterdir()) == [target]


def test_somebody_elses_files_are_never_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("three years")
    with pytest.raises(ArtifactError, match=r"holds thesis\.txt, which would be lost"), replace_folder(tmp_path):
        pass
    target = tmp_path / "model"
    target.mkdir()
    with pytest.raises(ArtifactError, match="holds late"), replace_folder(target) as new:
        write_bytes(new / "a", b"")
        (target / "late").write_text("x")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["model", "thesis.txt"]
    assert (target / "late").exists()


def test_sweep_removes_orphans_of_ours_and_nothing_else(tmp_path):
    orphan, folder = ".nin-0123456789abcdef.tmp", ".nin-fedcba9876543210.tmp"
    aside, stale = ".nin-0123456789abcdef.old-model", ".nin-0123456789abcdef.old-kept"
    kept = {
        "kept",
        ".nin-0123.tmp",
        "nin-0123456789abcdef.tmp",
        ".other.tmp",
        ".lock",
        "a.tmp",
        ".nin-0123456789abcdef.tmp2",
    }
    for name in {orphan, *kept}:
        (tmp_path / name).write_text("x")
    for name in (folder, aside, stale):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("x")
    assert sorted(sweep(tmp_path)) == sorted([orphan, folder, aside, stale])
    assert {entry.name for entry in tmp_path.iterdir()} == kept | {"model"}  # a swap cut in two was put right
    assert (tmp_path / "model" / "a").exists()


def test_sweep_spares_what_another_process_is_writing_and_takes_it_when_that_is_killed(tmp_path):
    with script("writes", tmp_path) as process:
        try:
            file, folder = process.stdout.readline().split()
            assert sweep(tmp_path) == ()
            assert sweep(tmp_path / folder) == ()
        finally:
            process.kill()
    assert sorted(sweep(tmp_path)) == sorted([file, folder])
    assert list(tmp_path.iterdir()) == []
    assert sweep(tmp_path / "nothing") == ()


def test_without_locks_sweep_goes_by_age(tmp_path, monkeypatch):
    new, old = tmp_path / ".nin-0123456789abcdef.tmp", tmp_path / ".nin-fedcba9876543210.tmp"
    for path in (new, old):
        path.write_text("half")
    os.utime(old, (time.time() - 100_000,) * 2)

    def refuse(*_):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert sweep(tmp_path) == (old.name,)
    write_bytes(tmp_path / "file", b"whole")
    with replace_folder(tmp_path / "folder"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([new.name, "file", "folder"])


def test_a_name_that_somebody_sweeps_at_once_is_given_up_for_another(tmp_path, monkeypatch):
    """Between the making of a temporary file and its lock another process may take it for an orphan."""
    swept = []

    def late(descriptor, operation, lock=fcntl.flock):
        if not swept:
            swept.append("")  # sweep locks, too
            swept.extend(sweep(tmp_path))
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    write_bytes(tmp_path / "file", b"whole")
    assert len(swept) == 2 and (tmp_path / "file").read_bytes() == b"whole"
    swept.clear()
    with replace_folder(tmp_path / "folder") as new:
        write_bytes(new / "a", b"whole")
    assert len(swept) == 2 and (tmp_path / "folder" / "a").read_bytes() == b"whole"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_names_stay_on_one_line():
    shown = artifacts.escape_name("a\n\r\x00\x1b[31m\u202e\u2028\udcff\x7f\x85.jpg")
    assert shown == "a\\n\\r\\x00\\x1b[31m\\u202e\\u2028\\udcff\\x7f\\x85.jpg"
    for plain in ("사진 폴더/고양이.jpg", "naïve-ß_ü.png", "👩‍👩‍👧.webp", "क्‍ष", "=cmd|' /C calc'!A0", "..\\x"):
        assert artifacts.escape_name(plain) == plain
    assert artifacts.escape_name(Path("a") / "b") == "a/b"


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_every_text_can_be_shown(text):
    shown = artifacts.escape_name(text)
    assert len(shown.splitlines()) <= 1
    assert not set(shown) & set("\x00\x07\x08\x1b\x9b\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u200e\u200f")
    shown.encode()


def script(*arguments, **options) -> subprocess.Popen:
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)


def answer(*arguments) -> dict:
    with script(*arguments) as process:
        output, _ = process.communicate(timeout=600)
    assert process.returncode == 0
    return json.loads(output)


@pytest.mark.parametrize("kind", ["file", "folder", "swap in two"])
def test_kill_at_any_moment_leaves_a_whole_save(kind, tmp_path):
    kills = 1000 if HEAVY else 60 if kind == "file" else 20
    result = answer("kill", kind, tmp_path, kills)
    assert result["kills"] == kills
    assert result["saves"] > 0
    assert result["during"] > 0  # some kills left something half-written: they hit the save itself
    assert (result["torn"], result["lost"], result["orphans"]) == (0, 0, 0)


@pytest.mark.skipif(not HEAVY, reason="control experiment; set NIN_HEAVY=1")
def test_kill_destroys_naive_saves(tmp_path):
    result = answer("kill", "naive", tmp_path, 200)
    assert result["torn"] > 100


def test_a_full_disk(tmp_path):
    sizes = 64 if HEAVY else 12
    process = subprocess.run(
        ["unshare", "-Urm", sys.executable, __file__, "full", str(tmp_path), str(sizes)], capture_output=True, text=True
    )
    if process.returncode == 77 or "unshare" in process.stderr:
        pytest.skip(f"no tmpfs can be mounted here: {process.stderr.strip()[-200:]}")
    assert process.returncode == 0, process.stderr
    result = json.loads(process.stdout)
    assert min(result["refused"], result["written"]) >= sizes // 3
    assert result["refused"] + result["written"] == sizes
    assert result["faults"] == []


def test_a_folder_without_rights():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model").write_bytes(b"old")
        (folder / "model").chmod(0o444)
        folder.chmod(0o555)
        said = answer("rights", folder)
        folder.chmod(0o755)
        reason = "(Permission denied); check the permissions or choose another folder"
        assert said == {
            "write": f"{folder}/model cannot be written {reason}",
            "folder": f"{folder}/new cannot be made a folder {reason}",
            "lock": f"{folder} cannot be locked {reason}",
        }
        assert [(entry.name, entry.read_bytes()) for entry in folder.iterdir()] == [("model", b"old")]


@contextmanager
def holder(folder: Path):
    with script("lock", folder) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_the_lock_tells_the_loser_and_dies_with_its_holder(tmp_path):
    with holder(tmp_path) as (process, state):
        assert state == "held"
        for _ in range(3):
            started = time.monotonic()
            with (
                pytest.raises(ArtifactError, match=f"is in use by process {process.pid} on .+; wait for it"),
                RunLock(tmp_path),
            ):
                pass
            assert time.monotonic() - started < 1
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with RunLock(tmp_path):
            assert (tmp_path / ".lock").read_text().startswith(f"process {os.getpid()} on ")
        with RunLock(tmp_path):
            pass


@pytest.mark.parametrize("name", ["ENOSYS", "ENOLCK", "EOPNOTSUPP", "EINVAL"])
def test_a_file_system_without_locks_is_said_and_used(tmp_path, monkeypatch, name):
    number = getattr(errno, name)

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with RunLock(tmp_path) as lock:
        assert lock.note == (
            f"{tmp_path} cannot be locked ({os.strerror(number)}): let nothing else write there meanwhile"
        )
        (tmp_path / "written").touch()
    number = errno.EACCES
    with pytest.raises(ArtifactError, match="cannot be locked"), RunLock(tmp_path):
        pass
    monkeypatch.undo()
    with RunLock(tmp_path) as lock:
        assert lock.note == ""


def test_a_lock_leaves_nothing_of_its_own(tmp_path):
    with RunLock(tmp_path / "a" / "b") as lock:
        assert (lock.folder / ".lock").exists()
    assert list(tmp_path.iterdir()) == []
    with RunLock(tmp_path / "a" / "b") as lock:
        (lock.folder / "kept").touch()
    assert [path.name for path in lock.folder.iterdir()] == ["kept"]


def test_locks_and_files_leave_no_descriptor_open(tmp_path):
    before = len(os.listdir("/dev/fd"))
    for _ in range(3):
        with RunLock(tmp_path), pytest.raises(ArtifactError, match="is in use by"), RunLock(tmp_path):
            pass
        write_bytes(tmp_path / "file", b"content")
        with pytest.raises(ValueError, match="enough"), open_new(tmp_path / "file") as file:
            file.write(b"other")
            raise ValueError("enough")
        with replace_folder(tmp_path / "folder", may_hold=["file"]) as new:
            write_bytes(new / "file", b"content")
        assert read_bytes(tmp_path / "file") == b"content"
    assert len(os.listdir("/dev/fd")) == before


def test_locks_that_come_and_go_are_never_held_twice(tmp_path):
    """Each holder takes the file, or the whole folder, away when it leaves, while others are about to lock it."""
    processes = [script("turns", tmp_path / "run", tmp_path / "mark") for _ in range(4)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 4
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    assert [found["twice"] for found in answers] == [0] * 4
    assert all(found["held"] > 0 for found in answers) and sum(found["lost"] for found in answers) > 0
    assert not (tmp_path / "run" / ".lock").exists()


def test_of_many_processes_exactly_one_holds_the_lock(tmp_path):
    processes = [script("lock", tmp_path) for _ in range(4)]
    states = sorted(process.stdout.readline().strip()[:4] for process in processes)
    for process in processes:
        process.communicate("\n")
    assert states == ["held"] + ["lost"] * 3


def main(task: str, *arguments: str) -> None:
    """The other side of the tests above; results go to standard output as JSON."""
    {
        "kill": kill_loop,
        "full": full_disk,
        "rights": no_rights,
        "lock": hold_lock,
        "turns": take_turns,
        "writes": write_for_ever,
    }[task](*arguments)


def save_step(kind: str, folder: Path, step: int) -> None:
    tensors = {name: np.full(30_000, step, np.float32) for name in "abc"}
    if kind == "file":
        write_tensors(folder / "model", tensors, {"step": str(step)})
    elif kind == "naive":
        with open(folder / "model", "wb") as file:
            for _ in range(40):
                file.write(bytes([step % 256]) * 200_000)
    else:
        if kind == "swap in two":
            artifacts.ctypes.CDLL = lambda *a, **k: object()
        with replace_folder(folder / "model", may_hold=["a", "b"]) as new:
            for name in "ab":
                write_tensors(new / name, tensors, {"step": str(step)})


def read_step(kind: str, folder: Path) -> int:
    """The step that was saved; raises when the save is torn."""
    if kind == "naive":
        content = (folder / "model").read_bytes()
        assert len(content) == 8_000_000
        return content[0]
    paths = [folder / "model"] if kind == "file" else [folder / "model" / name for name in "ab"]
    found = [read_tensors(path) for path in paths]
    values = {float(value) for tensors, _ in found for array in tensors.values() for value in np.unique(array)}
    (step,) = {int(metadata["step"]) for _, metadata in found}
    assert values == {float(step)}
    return step


def kill_loop(kind: str, folder: str, kills: str) -> None:
    """Kill a forked child at a random moment of its saving, again and again; count what is torn, lost, left over."""
    rng, where = random.Random(f"{kind} {kills}"), Path(folder)
    counts = {"kills": int(kills), "saves": 0, "torn": 0, "lost": 0, "orphans": 0, "during": 0}
    acknowledged = 0
    started = time.monotonic()
    for _ in range(3):
        save_step(kind, where, 0)
    moment = time.monotonic() - started  # of three saves: kills fall before, in and after them, on any machine
    for _ in range(int(kills)):
        receive, send = os.pipe()
        pid = os.fork()
        if pid == 0:
            for step in range(acknowledged + 1, 10**9):
                save_step(kind, where, step)
                os.write(send, struct.pack("<q", step))
        os.close(send)
        time.sleep(rng.uniform(0, moment))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        with os.fdopen(receive, "rb") as pipe:
            steps = [step for (step,) in struct.iter_unpack("<q", pipe.read())]
        counts["saves"] += len(steps)
        acknowledged = max([acknowledged, *steps])
        counts["during"] += bool(sweep(where))
        counts["orphans"] += sorted(entry.name for entry in where.iterdir()) != ["model"]
        try:
            step = read_step(kind, where)
        except Exception:  # noqa: BLE001  whatever it is, the save cannot be used
            counts["torn"] += 1
        else:
            counts["lost"] += kind != "naive" and step < acknowledged
            acknowledged = max(acknowledged, step)
    print(json.dumps(counts))


def full_disk(folder: str, sizes: str) -> None:
    """Save to a tmpfs of 1 MiB with less and less room."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        print(mounted.stderr, file=sys.stderr)
        raise SystemExit(77)
    path, ballast, result = Path(folder) / "model", Path(folder) / "ballast", {"written": 0, "refused": 0, "faults": []}
    for index in range(int(sizes)):
        path.unlink(missing_ok=True)
        write_bytes(path, b"old" * 10_000)
        ballast.write_bytes(bytes(index * 990_000 // int(sizes)))
        try:
            new = save(path, 500_000)
        except ArtifactError as error:
            result["refused"] += 1
            good = "500,000 bytes needed, " in str(error) and " free); free some space" in str(error)
            good = good and path.read_bytes() == b"old" * 10_000
        else:
            result["written"] += 1
            good = path.read_bytes() == new
        if not good or sorted(entry.name for entry in Path(folder).iterdir()) != ["ballast", "model"]:
            result["faults"].append(index)
        ballast.unlink()
    print(json.dumps(result))


def no_rights(folder: str) -> None:
    """What somebody without the right to write is told."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    tasks = {
        "write": lambda: write_bytes(Path(folder) / "model", b"new"),
        "folder": lambda: artifacts.make_folder(Path(folder) / "new"),
        "lock": lambda: RunLock(folder).__enter__(),
    }
    said = {}
    for name, task in tasks.items():
        try:
            task()
        except ArtifactError as error:
            said[name] = str(error)
    print(json.dumps(said))


def write_for_ever(folder: str) -> None:
    """Begin a file and a folder, tell their names, and never finish."""
    with open_new(Path(folder) / "file") as file, replace_folder(Path(folder) / "folder") as new:
        file.write(b"half")
        (held,) = (path.name for path in Path(folder).iterdir() if path.is_file())
        print(held, new.name, flush=True)
        sys.stdin.readline()


def take_turns(folder: str, mark: str) -> None:
    """Lock and let go for a second; count how often somebody else held the lock at the same time."""
    counts = {"held": 0, "lost": 0, "twice": 0}
    print("ready", flush=True)
    sys.stdin.readline()
    end = time.monotonic() + 1
    artifacts.time = type("NoSleep", (), {"sleep": staticmethod(lambda _: None), "time": time.time})
    while time.monotonic() < end:
        try:
            with RunLock(folder):
                counts["held"] += 1
                try:
                    os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    counts["twice"] += 1
                time.sleep(0.001)
                Path(mark).unlink(missing_ok=True)
        except ArtifactError as error:
            counts["lost"] += "is in use" in str(error)
    print(json.dumps(counts))


def hold_lock(folder: str) -> None:
    try:
        with RunLock(folder):
            print("held", flush=True)
            sys.stdin.readline()
    except ArtifactError as error:
        print(f"lost {error}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

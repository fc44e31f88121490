"""Shards: read as webdataset reads them, split, named; every tar that is not what it says is one line."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_corpus import tiny

from nin.data.check import check_source
from nin.data.formats import shards
from nin.data.images import Limits
from nin.data.sources import open_source
from nin.errors import DataError

LINK = tarfile.TarInfo("link.jpg")
LINK.type, LINK.linkname = tarfile.SYMTYPE, "/etc/passwd"


def tar(*members, mode="w", **options) -> bytes:
    """A tar file of (name, bytes) pairs and ready-made TarInfos."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode, **options) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return stream.getvalue()


def samples(count: int, first: int = 0, classes: int = 2) -> list[tuple[str, bytes]]:
    """Members of `count` samples with the keys 0000, 0001, ..."""
    pairs = [(f"{n:04}.png", tiny(n), f"{n:04}.cls", str(n % classes).encode()) for n in range(first, first + count)]
    return [member for pair in pairs for member in (pair[:2], pair[2:])]


def put(folder: Path, **files: bytes) -> Path:
    """Files into a folder; `train_0_tar` stands for train-0.tar."""
    folder.mkdir(exist_ok=True, parents=True)
    for name, data in files.items():
        (folder / name.replace("_tar", ".tar").replace("_txt", ".txt").replace("_", "-")).write_bytes(data)
    return folder


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_source(path, split=False)
    text = str(caught.value)
    assert "\n" not in text and text.isprintable()
    return text.replace(f"{path.parent}/", "")


def contents(split) -> list[tuple[str, bytes, int]]:
    return [(split.name(row), split.read(row), int(split.labels[row])) for row in range(len(split))]


@pytest.mark.filterwarnings("ignore")  # webdataset's own
def test_what_webdataset_writes_is_read_as_webdataset_reads_it(tmp_path):
    wds = pytest.importorskip("webdataset")
    keys = ["000000", "b/c.d/e", "b/c.d/f", "x" * 150, "y" * 90 + "/" + "z" * 90, "고양이", "with space", "-1"]
    written = []
    for shard in range(3):
        with wds.TarWriter(str(tmp_path / f"train-{shard:06}.tar")) as writer:
            for number, key in enumerate(keys):
                kind, label = ("png", "JPEG", "webp")[number % 3], (number + shard) % 4
                more = {"json": {"caption": "a", "label": 9}, "txt": "text"} if number % 2 else {}
                sample = {"__key__": f"{shard}{key}", kind: tiny(100 * shard + number), "cls": label, **more}
                writer.write({name: value.encode() if name == "txt" else value for name, value in sample.items()})
    for shard in range(3):
        for sample in wds.WebDataset(str(tmp_path / f"train-{shard:06}.tar"), shardshuffle=False):
            (kind,) = {"png", "jpeg", "webp"} & set(sample)
            written.append((sample["__key__"], sample[kind], int(sample["cls"])))
    split = open_source(tmp_path, split=False).splits["train"]
    names = [name.split("/", 1)[1] for name, _, _ in contents(split)]
    read = [
        (name.rpartition(".")[0], data, label) for name, (_, data, label) in zip(names, contents(split), strict=True)
    ]
    assert len(written) == 24 and read == written


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_tar_format_and_label_is_read(tmp_path, form):
    long = "folder/" * 30 + "k"
    members = [
        ("0.json", b'{"label": 3}'), ("0.JPG", tiny(0)), ("1.gif", tiny(1)), ("1.cls", b" 03\n"), ("1.txt", b"words"),
        (f"{long}.bmp", tiny(2)), (f"{long}.json", b'{"cls": "cat"}'), ("__meta__", b"x"), ("README", b"x"), LINK,
    ]  # fmt: skip
    if form == tarfile.USTAR_FORMAT:
        members[5:7] = [("k.bmp", tiny(2)), ("k.json", b'{"cls": "cat"}')]
    source = open_source(put(tmp_path / "s", a_tar=tar(*members, format=form)), split=False)
    assert source.classes == ("3", "cat") and source.kind == "shards"
    assert [(data, label) for _, data, label in contents(source.splits["train"])] == [
        (tiny(0), 0), (tiny(1), 0), (tiny(2), 1)
    ]  # fmt: skip
    assert source.notes == (
        "shards: 1 train",
        "ignored: 1 x member that is a link or no plain file",
        "ignored: 2 x member that is no picture and no label",
    )


def test_splits_come_from_names_or_folders_in_natural_order(tmp_path):
    files = {
        f"{name}_tar": tar(*samples(2, 2 * n)) for n, name in enumerate(("train_10", "train_9", "in_VAL_0", "test"))
    }
    source = open_source(put(tmp_path / "named", **files))
    assert {name: len(split) for name, split in source.splits.items()} == {"train": 4, "validation": 2, "test": 2}
    assert source.splits["train"].name(0) == "train-9.tar/0002.png"
    put(tmp_path / "folders" / "train", a_tar=tar(*samples(4)), val_tar=tar(*samples(4)))
    put(tmp_path / "folders" / "valid", a_tar=tar(*samples(2)))
    put(tmp_path / "folders" / "logs", log_txt=b"x")
    source = open_source(tmp_path / "folders")
    assert {name: len(split) for name, split in source.splits.items()} == {"train": 8, "validation": 2}
    assert source.splits["validation"].name(1) == "valid/a.tar/0001.png"
    source = open_source(put(tmp_path / "plain", a_tar=tar(*samples(30)), b_tar=tar(), c_tar=tar(*samples(10, 30))))
    assert {name: len(split) for name, split in source.splits.items()} == {"train": 34, "validation": 6}
    assert "ignored: 1 x shard without samples" in source.notes
    assert source.notes[-1] == "6 of 40 training pictures held out for validation, by class (seed 0)"
    numbers = [int(n[6:10]) for split in source.splits.values() for n, _, _ in contents(split)]
    assert sorted(numbers) == list(range(40))
    for split in source.splits.values():
        assert all(
            int(name[6:10]) % 2 == label and data == tiny(int(name[6:10])) for name, data, label in contents(split)
        )


def test_class_folders_stay_class_folders_beside_an_archive(fill):
    for name in ("train/cat", "train/dog"):
        root = fill(name, 3)
    put(root, photos_tar=tar(*samples(2)))
    put(root / "train", backup_tar=tar(*samples(2)))
    assert open_source(root).kind == "folders"


def test_listed_classes_are_numbers_and_names(tmp_path):
    put(tmp_path / "s", a_tar=tar(("0.png", tiny(0)), ("0.cls", b"2"), ("1.png", tiny(1)), ("1.cls", b"dog")))
    put(tmp_path / "s", classes_txt="\ufeffdog\ncat\r\n고양이 \n\n".encode())
    source = open_source(tmp_path / "s", split=False)
    assert source.classes == ("dog", "cat", "고양이") and source.splits["train"].labels.tolist() == [2, 0]
    (tmp_path / "s" / "classes.txt").rename(tmp_path / "s" / "labels.txt")
    assert open_source(tmp_path / "s", split=False).classes == source.classes
    (tmp_path / "s" / "labels.txt").unlink()
    source = open_source(tmp_path / "s", split=False)
    assert source.classes == ("2", "dog") and source.splits["train"].labels.tolist() == [0, 1]
    texts = (b"cow", b"dog", b"ant")
    members = [(f"{n}.{kind}", data) for n, text in enumerate(texts) for kind, data in (("png", b""), ("cls", text))]
    source = open_source(put(tmp_path / "s", a_tar=tar(*members)), split=False)
    assert source.classes == ("ant", "cow", "dog") and source.splits["train"].labels.tolist() == [1, 2, 0]
    names = [m for n, name in enumerate((b"b", b"c", b"a")) for m in ((f"{n}.png", tiny(n)), (f"{n}.cls", name))]
    source = open_source(put(tmp_path / "met", a_tar=tar(*names)), split=False)
    assert source.classes == ("a", "b", "c") and source.splits["train"].labels.tolist() == [1, 2, 0]


LABEL = "expected a whole number or a name"
JSON = 'expected {"label": 3} or {"label": "cat"}'
ONE = ("0.png", tiny(0))
MANY = tar(*samples(6))
SPARSE = tarfile.TarInfo("s.png")
SPARSE.type = tarfile.GNUTYPE_SPARSE


def claims(size: bytes, kind: bytes = b"0") -> bytes:
    """A tar whose first header claims a size, in the 12 bytes of its field."""
    info = bytearray(tar(("0.png", b"")))
    info[124:136], info[156:157] = size, kind
    info[148:156] = b"%06o\0 " % (sum(info[:148]) + 8 * 32 + sum(info[156:512]))
    return bytes(info)


BROKEN = "s/t.tar is not a whole tar file ({}); copy or write it again"
NOTHING = "s: no samples in 1 tar files{}; expected KEY.jpg and KEY.cls side by side, KEY without a dot"
MISTAKES = {
    "zero bytes": (b"", BROKEN.format("empty file")),
    "no members": (tar(), NOTHING.format("")),
    "dots in the key": (tar(("a.b.png", b""), ("a.b.cls", b"")), NOTHING.format(" (found members such as a.b.png)")),
    "text": (b"no tar " * 100, BROKEN.format("invalid header")),
    "cut in a picture": (MANY[:600], BROKEN.format("unexpected end of data")),
    "cut between members": (MANY[:2048], BROKEN.format("no end mark at byte 2,048")),
    "cut in a header": (MANY[:2148], BROKEN.format("no end mark at byte 2,048")),
    "a broken header": (MANY[:2148] + b"!" + MANY[2149:], BROKEN.format("no end mark at byte 2,048")),
    "two tars in one": (MANY[: len(samples(6)) * 1024 + 1024] + MANY, BROKEN.format("no end mark at byte 12,288")),
    "gzip": (
        tar(ONE, mode="w:gz"),
        "s/t.tar is compressed (gzip), so no picture in it can be found; give plain tar files",
    ),
    "xz": (tar(ONE, mode="w:xz"), "s/t.tar is compressed (xz), so no picture in it can be found; give plain tar files"),
    "no label": (tar(ONE), 's/t.tar/0.png has no label; expected 0.cls or 0.json with "label" beside it'),
    "label elsewhere": (
        tar(ONE, ("1.png", b""), ("0.cls", b"1")),
        's/t.tar/0.png has no label; expected 0.cls or 0.json with "label" beside it',
    ),
    "no picture": (
        tar(("0.cls", b"1"), ("0.txt", b"")),
        "s/t.tar/0.cls has no picture; expected 0.jpg, .png, .webp, .bmp or .gif beside it",
    ),
    "only a link": (
        tar(LINK, ("link.cls", b"1")),
        "s/t.tar/link.cls has no picture; expected link.jpg, .png, .webp, .bmp or .gif beside it",
    ),
    "only a sparse file": (
        tar(SPARSE, ("s.cls", b"1")),
        "s/t.tar/s.cls has no picture; expected s.jpg, .png, .webp, .bmp or .gif beside it",
    ),
    "two pictures": (
        tar(ONE, ("0.jpg", b""), ("0.cls", b"1")),
        "s/t.tar: 0.png and 0.jpg are of one sample; keep one of them",
    ),
    "two labels": (
        tar(ONE, ("0.cls", b"1"), ("0.cls", b"2")),
        "s/t.tar: 0.cls and 0.cls are of one sample; keep one of them",
    ),
    "binary label": (tar(ONE, ("0.cls", b"\xff\0")), rf"s/t.tar/0.cls holds b'\xff\x00'; {LABEL}"),
    "empty label": (tar(ONE, ("0.cls", b" \n")), rf"s/t.tar/0.cls holds b' \n'; {LABEL}"),
    "label in two lines": (tar(ONE, ("0.cls", b"a\nb")), rf"s/t.tar/0.cls holds b'a\nb'; {LABEL}"),
    "huge label": (tar(ONE, ("0.cls", bytes(2**20 + 1))), f"s/t.tar/0.cls has 1,048,577 bytes; {LABEL}"),
    "no JSON": (tar(ONE, ("0.json", b"{")), f"s/t.tar/0.json holds b'{{'; {JSON}"),
    "deep JSON": (tar(ONE, ("0.json", b"[" * 99_999)), f"s/t.tar/0.json holds b'{'[' * 30}'; {JSON}"),
    "JSON without label": (tar(ONE, ("0.json", b'{"a": 1}')), f"""s/t.tar/0.json holds b'{{"a": 1}}'; {JSON}"""),
    "a fraction": (tar(ONE, ("0.json", b'{"label": 1.5}')), f"""s/t.tar/0.json holds b'{{"label": 1.5}}'; {JSON}"""),
    "true": (tar(ONE, ("0.json", b'{"cls": true}')), f"""s/t.tar/0.json holds b'{{"cls": true}}'; {JSON}"""),
    "a path that climbs": (
        tar(("../../\x1b[31m\u202e.png", b"")),
        r"s/t.tar/../../\x1b[31m\u202e.png has no label; expected ../../\x1b[31m\u202e.cls "
        r'or ../../\x1b[31m\u202e.json with "label" beside it',
    ),
    "petabytes": (claims(b"\x80\0\0\0\0\1\0\0\0\0\0\0"), BROKEN.format("unexpected end of data")),
    "beyond all numbers": (claims(b"\x80" + b"\x7f" * 11), BROKEN.partition("{")[0] + "..."),
    "less than nothing": (claims(b"\xff" * 11 + b"\0"), BROKEN.partition("{")[0] + "..."),
    "a name of gigabytes": (
        claims(b"17777777777\0", b"L") + bytes(10_000),
        BROKEN.format("a header of more than 65,536 bytes"),
    ),
    "attributes of gigabytes": (
        claims(b"17777777777\0", b"x") + bytes(10_000),
        BROKEN.format("a header of more than 65,536 bytes"),
    ),
    "attributes of attributes": (
        (claims(b"00000165140\0", b"g")[:512] + bytes(60_416)) * 20,
        BROKEN.format("a header of more than 65,536 bytes"),
    ),
    "names of names": (
        claims(b"00000000000\0", b"L")[:512] * 9_999,
        BROKEN.format("a header of more than 65,536 bytes"),
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line(case, tmp_path):
    data, line = MISTAKES[case]
    folder = put(tmp_path / "s", t_tar=data)
    tracemalloc.start()
    said = refusal(folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert said == line or (line.endswith("...") and said.startswith(line[:-3]))  # Python's own words after that
    assert peak < 4e6


def test_mistakes_in_the_list_of_classes_are_one_line(tmp_path):
    folder = put(tmp_path / "s", t_tar=tar(ONE, ("0.cls", b"2"), ("1.png", b""), ("1.cls", b"cow\x1b")[:2]))
    for text, line in (
        (b"cat\ndog", "s/t.tar/0.cls has label 2; classes.txt names 0 to 1"),
        (b"cat\n\ndog", "classes.txt line 2 is no class name; give one a line, as plain text"),
        (b"cat\ndog\ncat", "classes.txt lines 1 and 3 both name cat; give every class a name of its own"),
        (b"\xff", "s/classes.txt cannot be used (not UTF-8 text); give one class name a line"),
    ):
        put(folder, classes_txt=text)
        assert refusal(folder) == line
    put(folder, t_tar=tar(ONE, ("0.cls", b"-1")), classes_txt=b"cat\ndog")
    assert refusal(folder) == "s/t.tar/0.cls has label -1; classes.txt names 0 to 1"
    put(folder, t_tar=tar(ONE, ("0.cls", b"cow")))
    assert refusal(folder) == "s/t.tar/0.cls has label cow, which classes.txt does not name; add it there"


def test_one_tar_and_links_that_lead_away_are_refused(tmp_path):
    put(tmp_path / "s", t_tar=MANY)
    assert (
        refusal(tmp_path / "s" / "t.tar") == "t.tar is one tar file; give the folder of shards it is in, or unpack it"
    )
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "t.tar").symlink_to(tmp_path / "s" / "t.tar")
    advice = "give the folder in which the tar files themselves lie"
    assert refusal(tmp_path / "links") == f"links: ignored: t.tar (link that leads out of the folder); {advice}"


def test_a_tar_cut_anywhere_is_noticed(tmp_path):
    """Up to the last picture's end something is missing; behind one block of zeros nothing is."""
    whole = 12 * 1024 + 512
    for end in range(1, len(MANY), 101):
        folder = put(tmp_path / "s", t_tar=MANY[:end])
        if end < whole:
            assert "s/t.tar is not a whole tar file" in refusal(folder)
        else:
            assert len(open_source(folder, split=False).splits["train"]) == 6


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_damage_is_one_line_or_harmless(tmp_path_factory, data):
    """Any bytes changed anywhere: a source, or a DataError of one line, and never another exception."""
    form = data.draw(st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
    members = [*samples(2), ("é" * 120 + ".png", tiny(3)), ("é" * 120 + ".json", b'{"label": "x"}')]
    damaged = bytearray(tar(*(members if form != tarfile.USTAR_FORMAT else samples(3)), format=form))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        if data.draw(st.booleans()):
            place = place // 512 * 512 + data.draw(st.sampled_from([0, 124, 125, 135, 136, 148, 156, 157, 257, 345]))
        damaged[min(place, len(damaged) - 1)] = data.draw(st.integers(0, 255))
    for block in range(0, len(damaged), 512) if data.draw(st.booleans()) else ():  # headers that look right again
        head = damaged[block : block + 512]
        if any(head[257:262]):
            damaged[block + 148 : block + 156] = b"%06o\0 " % (sum(head[:148]) + 256 + sum(head[156:]))
    folder = put(tmp_path_factory.getbasetemp() / "fuzz", t_tar=bytes(damaged))
    try:
        source = open_source(folder, split=False)
    except DataError as error:
        assert str(error).isprintable()
    else:
        contents(source.splits["train"])


def test_a_shard_that_changes_afterwards_is_noticed(tmp_path):
    folder = put(tmp_path / "s", t_tar=MANY)
    split = open_source(folder, split=False).splits["train"]
    size, advice = f"{len(MANY):,}", "put the old file back, or start again"
    for data in (MANY[:5000], MANY + bytes(512), b""):
        (folder / "t.tar").write_bytes(data)
        with pytest.raises(DataError) as caught:
            split.read(5)
        line = f"{folder}/t.tar has {len(data):,} bytes now and had {size} when it was indexed; {advice}"
        assert str(caught.value) == line
    assert split.name(5).startswith("t.tar/byte ")
    (folder / "t.tar").unlink()
    with pytest.raises(DataError) as caught:
        split.read(5)
    line = f"{folder}/t.tar cannot be read (no such file or directory); put it back, or allow reading it"
    assert str(caught.value) == line


def test_a_shard_that_may_not_be_read_is_said(tmp_path):
    folder = put(tmp_path / "s", t_tar=MANY)
    code = f"""
import os, nin.data.sources
if os.getuid() == 0:
    os.setgid(65534), os.setuid(65534)
try:
    nin.data.sources.open_source({str(folder)!r})
except nin.errors.DataError as error:
    print(error)
"""
    (folder / "t.tar").chmod(0)
    for parent in [folder, *folder.parents]:
        if parent.stat().st_uid == os.getuid() and parent.is_relative_to("/tmp") and parent != Path("/tmp"):
            parent.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    line = f"{folder}/t.tar cannot be read (permission denied); put it back, or allow reading it\n"
    assert (done.stdout, done.stderr) == (line, "")


def test_the_fingerprint_is_of_the_index(tmp_path):
    files = {"a_tar": tar(*samples(4)), "b_tar": tar(*samples(4, 4))}
    mark = open_source(put(tmp_path / "s", **files)).fingerprint
    shutil.copytree(tmp_path / "s", tmp_path / "elsewhere")
    assert open_source(tmp_path / "elsewhere").fingerprint == mark
    changes = {
        "a label": {"b_tar": tar(*samples(3, 4), ONE, ("0.cls", b"0"))},
        "a place": {"b_tar": tar(("x.txt", b""), *samples(4, 4))},
        "a size": {"b_tar": files["b_tar"] + bytes(512)},
        "a name": {"b_tar": None, "c_tar": files["b_tar"]},
    }
    for number, change in enumerate(changes.values()):
        put(tmp_path / str(number), **{name: data for name, data in {**files, **change}.items() if data})
        assert open_source(tmp_path / str(number)).fingerprint != mark


def test_check_counts_names_and_compares(tmp_path):
    cut = ("9.png", tiny(9)[:30])
    put(tmp_path / "s", train_tar=tar(*samples(5), cut, ("9.cls", b"1")), val_tar=tar(*samples(2, 3)))
    found = check_source(tmp_path / "s")
    assert found.counts == {"train": (3, 3), "validation": (1, 1)} and found.formats == {"PNG": 7}
    assert found.unreadable == (("train.tar/9.png", "truncated PNG"),)
    assert found.shared[0] == (("train", "train.tar/0003.png", "1"), ("validation", "val.tar/0003.png", "1"))


def test_an_oversized_member_is_not_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "LIMITS", Limits(max_bytes=100))
    split = open_source(put(tmp_path / "s", t_tar=tar(("0.png", bytes(5000)), ("0.cls", b"a"))), split=False).splits
    assert len(split["train"].read(0)) == 101


def test_memory_is_a_few_dozen_bytes_a_picture(tmp_path):
    peaks = []
    for count in (500, 2_500):
        folder = put(tmp_path / str(count), t_tar=tar(*samples(count)))
        tracemalloc.start()
        source = open_source(folder, split=False)
        held, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        peaks.append((held, peak, len(source.splits["train"])))
    slopes = [(peaks[1][i] - peaks[0][i]) / 2_000 for i in (0, 1)]
    assert 38 < slopes[0] < 45  # 32 bytes of index, 8 of label
    assert slopes[1] < 150

"""CSV, TSV and JSONL tables: what is understood, and the line number of every mistake."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_corpus import tiny

from nin.data.sources import open_source
from nin.data.tables import open_table
from nin.errors import DataError


@pytest.fixture
def folder(tmp_path):
    """A folder of pictures a/0.png ... a/5.png, and one outside of it."""
    (tmp_path / "data" / "a").mkdir(parents=True)
    for number in range(6):
        (tmp_path / "data" / "a" / f"{number}.png").write_bytes(tiny(number))
    (tmp_path / "out.png").write_bytes(tiny(99))
    return tmp_path / "data"


def table(folder, text, name="labels.csv"):
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return folder / name


def rows(source):
    return {
        (name, str(split.relative(row)), source.classes[label])
        for name, split in source.splits.items()
        for row, label in enumerate(split.labels)
    }


EXPECTED = {("train", "a/0.png", "cat"), ("train", "a/1.png", "dog, big"), ("test", "a/2.png", "cat")}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.csv", 'path,label,split\na/0.png,cat,train\na/1.png,"dog, big",Training\n\na/2.png,cat,test\n'),
        ("l.csv", '\ufeffsplit, Label ,PATH\r\ntrain,cat,a/0.png\r\ntrain,"dog, big",a/1.png\r\ntest,cat,a/2.png\r\n'),
        ("l.csv", "path;label;split\na/0.png;cat;train\na/1.png;dog, big;train\na/2.png;cat;test"),
        (
            "l.TSV",
            "path\tlabel\tsplit\tx\na/0.png\tcat\ttrain\ty\n./a/1.png\tdog, big\ttrain\t\na/../a/2.png\tcat\ttest\t\n",
        ),
        (
            "l.jsonl",
            "\n".join(json.dumps({"path": p, "label": c, "split": s}) for s, p, c in sorted(EXPECTED)) + "\n\n",
        ),
    ],
)
def test_the_same_rows_in_every_form(folder, name, text):
    source = open_source(table(folder, text, name), split=False)
    assert source.kind == "table" and source.classes == ("cat", "dog, big")
    assert rows(source) == EXPECTED
    assert all(path.is_file() for split in source.splits.values() for path in split.paths)


def test_without_a_split_column_everything_is_train_and_gets_a_validation_part(folder):
    text = "path,label\n" + "".join(f"a/{n}.png,{'ab'[n % 2]}\n" for n in range(6))
    source = open_source(table(folder, text))
    assert {name: len(split) for name, split in source.splits.items()} == {"train": 4, "validation": 2}


def test_number_labels_in_json_are_names_in_natural_order(folder):
    text = "\n".join(json.dumps({"path": f"a/{n}.png", "label": label}) for n, label in enumerate([10, 9, 2]))
    assert open_source(table(folder, text, "l.jsonl"), split=False).classes == ("2", "9", "10")


def test_repeated_rows_count_once_and_shared_pictures_are_said(folder):
    text = "path,label,split\na/0.png,a,train\na/0.png,a,train\n./a/0.png,a,train\na/1.png,b,train\na/1.png,b,test\n"
    source = open_source(table(folder, text), split=False)
    assert {name: len(split) for name, split in source.splits.items()} == {"train": 2, "test": 1}
    assert source.notes == ("2 repeated rows counted once", "1 rows name a picture that is in another split too")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "labels.csv line 1: found the columns nothing; expected path,label or path,label,split"),
        ("file,class\na,b\n", "labels.csv line 1: found the columns file, class; expected path,label"),
        ("path,label,label\na,b,c\n", "labels.csv line 1: found the columns path, label, label; expected"),
        ("path,label\n", "has no rows; expected the columns path,label and one row per picture"),
        ("path,label\na/0.png\n", "labels.csv line 2: 1 cells, expected 2"),
        ("path,label\na/0.png,x,y\n", "labels.csv line 2: 3 cells, expected 2"),
        ("path,label\na/0.png,\n", "labels.csv line 2: no label for a/0.png"),
        ("path,label\n,cat\n", "labels.csv line 2: no path"),
        ("path,label\na/0.png,a\n\na/9.png,b\n", "labels.csv line 4: there is no file a/9.png in the table's folder"),
        ("path,label\n../out.png,a\n", "labels.csv line 2: ../out.png is outside of the table's folder"),
        ("path,label\n/etc/passwd,a\n", "labels.csv line 2: /etc/passwd is outside of the table's folder"),
        ("path,label\na/..,a\n", "labels.csv line 2: a/.. is outside of the table's folder"),
        ("path,label\na,a\n", "labels.csv line 2: a is not a file"),
        ("path,label\na/,a\n", "labels.csv line 2: a/ is not a file"),
        ("path,label\na/0.png/x,a\n", "labels.csv line 2: there is no file a/0.png/x"),
        ("path,label\na\0b,a\n", "labels.csv line 2: "),
        ("path,label\n" + "x" * 300 + ",a\n", "labels.csv line 2: there is no file xxx"),
        ("path,label\na/link.png,a\n", "labels.csv line 2: a/link.png is outside of the table's folder"),
        ("path,label\nlinked/out.png,a\n", "labels.csv line 2: linked/out.png is outside of the table's folder"),
        ("path,label\na/pipe.png,a\n", "labels.csv line 2: a/pipe.png is not a file"),
        ("path,label\na/loop.png,a\n", "labels.csv line 2: a/loop.png is not a file"),
        ("path,label,split\na/0.png,a,trian\n", "labels.csv line 2: split 'trian'; expected train, validation or test"),
        ("path,label,split\na/0.png,a,\n", "labels.csv line 2: split ''; expected train, validation or test"),
        (
            "path,label\na/0.png,cat\na/1.png,dog\n./a/0.png,dog\n",
            "labels.csv line 4: ./a/0.png is dog here and cat in line 2; keep one of them",
        ),
        ('path,label\na/0.png,"cat\n', "labels.csv line 2: unexpected end of data"),
        ("path,label\n" + "x" * 200_000 + ",a\n", "labels.csv line 2: field larger than field limit"),
        ("path,label\na/0.png,\x1b[2J\n", r"labels.csv line 2: label '\x1b[2J' is not plain UTF-8 text"),
        (b"path,label\na/0.png,caf\xe9\n", r"labels.csv line 2: label 'caf\udce9' is not plain UTF-8 text"),
        ("path,label\n".encode("utf-16"), "labels.csv line 1: found the columns"),
    ],
)
def test_mistakes_are_named_with_their_line(folder, text, message):
    (folder / "a" / "link.png").symlink_to("../../out.png")
    (folder / "a" / "loop.png").symlink_to("loop.png")
    (folder / "linked").symlink_to("..")
    os.mkfifo(folder / "a" / "pipe.png")
    with pytest.raises(DataError) as caught:
        open_source(table(folder, text), split=False)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not json", "l.jsonl line 2: not JSON; expected"),
        ("[" * 100_000, "l.jsonl line 2: not JSON; expected"),
        ("[]", 'l.jsonl line 2: no text "path"'),
        ('{"path": 3, "label": "a"}', 'l.jsonl line 2: no text "path"'),
        ('{"path": "a/0.png"}', 'l.jsonl line 2: "label" must be text or a whole number'),
        ('{"path": "a/0.png", "label": true}', 'l.jsonl line 2: "label" must be text or a whole number'),
        ('{"path": "a/0.png", "label": 1.5}', 'l.jsonl line 2: "label" must be text or a whole number'),
        ('{"path": "a/0.png", "label": "a", "split": 1}', '"split" text; correct the row'),
        ('{"path": "a/\\ud800.png", "label": "a"}', "l.jsonl line 2: there is no file"),
        ('{"path": "a\\u0000.png", "label": "a"}', "l.jsonl line 2: there is no file"),
    ],
)
def test_mistakes_in_json_lines(folder, line, message):
    with pytest.raises(DataError) as caught:
        open_source(table(folder, f'{{"path": "a/0.png", "label": "a"}}\n{line}\n', "l.jsonl"), split=False)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_names_of_files_that_are_no_text(folder):
    name = b"caf\xe9.png"
    with open(os.fsencode(folder) + b"/" + name, "wb") as stream:
        stream.write(tiny(1))
    source = open_source(table(folder, b"path,label\n" + name + b",a\na/0.png,b\n"), split=False)
    assert source.splits["train"].paths[0].read_bytes() == tiny(1)


def test_links_inside_the_folder_are_fine(folder):
    (folder / "a" / "link.png").symlink_to("0.png")
    (folder / "b").symlink_to("a")
    source = open_source(table(folder, "path,label\na/link.png,a\nb/1.png,b\n"), split=False)
    assert rows(source) == {("train", "a/link.png", "a"), ("train", "a/1.png", "b")}


def test_an_absolute_path_inside_the_folder_is_fine(folder):
    source = open_source(table(folder, f"path,label\n{folder.resolve()}/a/0.png,a\na/1.png,b\n"), split=False)
    assert ("train", "a/0.png", "a") in rows(source)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([".csv", ".tsv", ".jsonl"]), st.binary(max_size=120))
def test_any_bytes_give_a_source_or_one_error(tmp_path_factory, suffix, data):
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    path = folder / f"labels{suffix}"
    path.write_bytes((b"" if suffix == ".jsonl" else b"path,label\n") + data)
    with pytest.raises(DataError) as caught:
        open_table(path)
    assert str(caught.value).isprintable()

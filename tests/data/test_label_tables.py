"""CSV, TSV and JSONL tables: what is understood, and the line number of every mistake."""

import json
import os
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_corpus import tiny

from nin.data.formats.label_tables import open_table
from nin.data.reading import Reading
from nin.data.sources import open_source
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
        (name, str(split.stored.relative(row)), source.classes[label])
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
    assert all(path.is_file() for split in source.splits.values() for path in split.stored.paths)


LONG = "path,label{}\n" + "".join(f"a/{n}.png,{'ab'[n % 2]}{{}}\n" for n in range(6))


def with_column(name, values):
    """A table of six rows with one more column."""
    return LONG.format(f",{name}", *(f",{value}" for value in values))


@pytest.mark.parametrize(
    ("column", "values", "validation", "test"),
    [
        ("is_valid", "False False True False False True", {2, 5}, set()),
        ("isValid", "0 0 1 0 0 1", {2, 5}, set()),
        ("is_test", "no no yes no no Yes", set(), {2, 5}),
        ("is_train", "1 1 0 1 1 0", set(), {2, 5}),
        ("is_training_image", "true TRUE false true true FALSE", set(), {2, 5}),
        ("set", "train train TEST train train Test", set(), {2, 5}),
        ("subset", "training training valid training training dev", {2, 5}, set()),
        ("Partition", "Train Train Val Train Train Holdout", {2}, {5}),
        ("phase", "train train val train train val", {2, 5}, set()),
        ("fold", "train train test train train test", set(), {2, 5}),
        ("Usage", "Training Training PublicTest Training Training PrivateTest", {2}, {5}),
        ("Usage", "Training Training PublicTest Training Training PublicTest", set(), {2, 5}),
        ("stage", "train train eval train train test", {2}, {5}),
        ("mode", "train train test train train test", set(), {2, 5}),
        ("data_type", "training training validation training training validation", {2, 5}, set()),
        ("비고", "train train test train train test", set(), {2, 5}),
        ("구분", "훈련 훈련 검증 훈련 훈련 시험", {2}, {5}),
        ("split", "train_set train_set test_set train_set train_set test_set", set(), {2, 5}),
    ],
)
def test_split_columns_as_people_have_them(folder, column, values, validation, test):
    source = open_source(table(folder, with_column(column, values.split())), split=False)
    found = {
        name: {int(split.stored.paths[i].stem) for i in range(len(split))} for name, split in source.splits.items()
    }
    expected = {"train": {0, 1, 3, 4}, "validation": validation, "test": test}
    assert found == {name: rows for name, rows in expected.items() if rows}
    assert any(column in note for note in source.notes)


@pytest.mark.parametrize(
    ("column", "values", "line"),
    [
        (
            "fold",
            "1 2 3 4 5 5",
            "the column fold holds 1, 2, 3, 4, 5, which may be folds or splits; pass --divide test=5",
        ),
        ("fold", "f1 f2 f1 f2 f10 f2", "the column fold holds f1, f2, f10, which may be folds or splits"),
        ("split", "0 0 1 0 0 2", "the column split holds 0, 1, 2, which may be folds or splits"),
        ("set", "1.0 1.0 2.0 1.0 1.0 3.0", "the column set holds 1.0, 2.0, 3.0, which may be"),
        ("valid", "1 1 1 1 1 0", "valid is set in 5 of 6 rows, which would leave less than half to train on"),
        ("set", "train train test train maybe test", "labels.csv line 6: set 'maybe'; expected train, validation or"),
    ],
)
def test_split_columns_that_are_asked_about(folder, column, values, line):
    path = table(folder, with_column(column, values.split()))
    with pytest.raises(DataError) as caught:
        open_source(path, reading=Reading(offered=True))
    assert line in str(caught.value)
    with pytest.raises(DataError) as caught:
        open_source(path)
    assert "--divide" not in str(caught.value)  # no command without the option names it
    assert len(open_source(path, split=False, reading=Reading("none")).splits["train"]) == 6


def test_divide_names_values_of_the_split_column(folder):
    path = table(folder, with_column("fold", ["1", "2", "3", "4", "5", "5"]))
    source = open_source(path, split=False, reading=Reading("test=5,validation=4"))
    assert {name: len(split) for name, split in source.splits.items()} == {"train": 3, "validation": 1, "test": 2}
    assert "splits by the column fold, as --divide says: 5 is test, 4 is validation, the rest is train" in source.notes
    with pytest.raises(DataError, match="no split column holds 7, which --divide names; there are fold"):
        open_source(path, reading=Reading("test=7"))
    with pytest.raises(DataError, match="fold '2' is in no part that --divide names; add it"):
        open_source(path, reading=Reading("train=1,test=5"))
    spelled = table(folder, with_column("fold", ["1.0", "2.0", "3.0", "4.0", "5.0", "5.0"]))
    assert len(open_source(spelled, split=False, reading=Reading("test=5")).splits["test"]) == 2


def test_columns_that_are_not_used_are_named_and_two_split_columns_are_asked_about(folder):
    text = "id,path,label,stage,width\n" + "".join(f"{n},a/{n}.png,{'ab'[n % 2]},adult,9\n" for n in range(6))
    assert "columns not used: id, stage, width" in open_source(table(folder, text)).notes
    text = "path,label,remark\n" + "".join(f"a/{n}.png,{'ab'[n % 2]},{'sharp' if n else 'test'}\n" for n in range(6))
    assert "columns not used: remark" in open_source(table(folder, text)).notes  # one word of many is no split
    text = "path,label,set,usage\n" + "".join(f"a/{n}.png,{'ab'[n % 2]},train,test\n" for n in range(6))
    with pytest.raises(DataError, match="the columns set, usage could all be the split; call the right one split"):
        open_source(table(folder, text))


PAIR = {("train", "a/0.png", "cat"), ("train", "a/1.png", "dog")}


@pytest.mark.parametrize("head", ["file_name,label", "Filename,Class", "IMAGE,category", "image_path,target",
                                  "filepath,label_name", "img,Class Name", '"File","Label"', " path , label ",
                                  "Image-Path,class_id", "파일명,라벨"])  # fmt: skip
def test_headers_as_people_write_them(folder, head):
    assert rows(open_source(table(folder, f"{head}\na/0.png,cat\na/1.png,dog\n"), split=False)) == PAIR


@pytest.mark.parametrize(
    "data",
    [
        "path,label\na/0.png,cat\na/1.png,dog\n".encode("utf-16"),
        "path,label\r\na/0.png,cat\r\na/1.png,dog\r\n".encode("utf-16-le"),
        "path,label\na/0.png,cat\na/1.png,dog\n".encode("utf-16-be"),
        "path\tlabel\r\na/0.png\tcat\r\na/1.png\tdog\r\n".encode("utf-16"),  # Excel's "Unicode text"
        b'sep=;\r\npath;label\r\na/0.png;cat\r\na/1.png;dog\r\n',
        b'path,label,,\na/0.png,cat,,\na/1.png,dog,,\n',
        b',path,label\n0,a/0.png,cat\n1,a/1.png,dog\n',  # pandas, with its index
        b'path, label\n"a/0.png", "cat"\n a/1.png , dog \n',
        b'path,label\ra/0.png,cat\ra/1.png,dog\r',
        b"path,label\na\\0.png,cat\n.\\a\\1.png,dog\n",  # Windows
        b"path,label\na/0.PNG,cat\nA/1.png,dog\n",
        "path,label\na/0.png ,cat\u200b\na/\u200b1.png,\u00a0dog\u3000\n".encode(),
        b"a/0.png,cat\na/1.png,dog\n",
        b"cat;a/0.png;train\ndog;a/1.png;train\n",
    ],
)  # fmt: skip
def test_forms_of_tables(folder, data):
    assert rows(open_source(table(folder, data), split=False)) == PAIR


def test_a_table_of_decomposed_and_composed_names(folder):
    composed, decomposed = (unicodedata.normalize(form, "고양이") for form in ("NFC", "NFD"))
    (folder / decomposed).mkdir()
    (folder / decomposed / "1.png").write_bytes(tiny(7))
    source = open_source(table(folder, f"path,label\n{composed}/1.png,{decomposed}\na/0.png,dog\n"), split=False)
    assert rows(source) == {("train", f"{decomposed}/1.png", composed), ("train", "a/0.png", "dog")}
    assert "1 file names are spelled in another way than in the table" in source.notes


def test_paths_of_a_windows_machine(folder):
    with pytest.raises(DataError, match=r"it is a path of a Windows machine: write paths from the table's folder on"):
        open_source(table(folder, "path,label\nC:\\data\\0.png,a\na/1.png,b\n"))


def test_links_out_of_the_table_folder_are_followed_when_asked(folder):
    (folder / "away").symlink_to("..")
    path = table(folder, "path,label\naway/out.png,a\na/1.png,b\n")
    with pytest.raises(DataError, match=r"away/out.png is outside of the table's folder; it is a link: pass --follow"):
        open_source(path, reading=Reading(offered=True))
    source = open_source(path, split=False, reading=Reading(follow_links=True))
    assert rows(source) == {("train", "away/out.png", "a"), ("train", "a/1.png", "b")}
    with pytest.raises(DataError, match="is outside of the table's folder; move the picture or the table"):
        open_source(table(folder, "path,label\n../out.png,a\na/1.png,b\n"), reading=Reading(follow_links=True))


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
    assert source.notes == ("2 repeated rows counted once", "1 row names a picture that is in another split too")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "labels.csv line 1: found the columns nothing; expected path,label or path,label,split"),
        ("who,class\na,b\n", "labels.csv line 1: found the columns who, class; expected path,label"),
        ("file,class,target\na,b,b\n", "labels.csv line 1: both class and target could be the label; call the right"),
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
        ("path,label\n".encode("utf-16"), "labels.csv has no rows"),
        ("path,label\n".encode("utf-16")[:-1], "labels.csv is not whole UTF-16 text; save it as CSV (UTF-8)"),
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
        ('{"path": "a/0.png", "label": "a", "split": 1}', "l.jsonl: the column split holds 1, which may be folds or"),
        ('{"path": "a/0.png", "label": "a", "split": "x"}', "l.jsonl line 2: split 'x'; expected train, validation"),
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
    assert source.splits["train"].stored.paths[0].read_bytes() == tiny(1)


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

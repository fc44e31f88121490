"""Very many pictures without Ray: listing, blocks, parts, restarts and refusals, judged by the engine asked directly.

Ray itself, its workers and their deaths: test_batch_on_ray.py.
"""

import json
import os
import random
import shutil
from collections import Counter
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pa = pytest.importorskip("pyarrow")
pytest.importorskip("ray")
import fsspec  # noqa: E402
import pyarrow.fs as pafs  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from nin import extras  # noqa: E402
from nin.bulk import job as batching  # noqa: E402
from nin.bulk import places, worker  # noqa: E402
from nin.bulk.listing import open_listing, unpacked  # noqa: E402
from nin.bulk.places import Anywhere, Bucket, Folder, place_of  # noqa: E402
from nin.bulk.worker import MANIFEST, Worker, part_facts, read_manifest  # noqa: E402
from nin.commands.classifier import load  # noqa: E402
from nin.data import machine  # noqa: E402
from nin.data.images import PictureError  # noqa: E402
from nin.engine import fastest  # noqa: E402
from nin.engine.engine import engine_from_bytes, open_engine, pack_engine  # noqa: E402
from nin.engine.fastest import Choice  # noqa: E402
from nin.errors import (  # noqa: E402
    ArtifactError,
    DataError,
    Interrupted,
    MissingExtra,
    ModelError,
    NinError,
    UsageError,
)
from nin.network.architecture import nin  # noqa: E402
from planted_openvino import plant  # noqa: E402
from small_models import cuts, make_bundle, preprocess  # noqa: E402

CORPUS = Path(__file__).resolve().parents[1] / "data"


@pytest.fixture(scope="module")
def corpus():
    """name -> (bytes, verdict) of the hostile pictures of tests/data."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("picture_corpus", CORPUS / "picture_corpus.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.corpus()


@pytest.fixture(scope="module")
def engine(default_bundle):
    return open_engine(default_bundle.folder, threads=1)


@pytest.fixture
def photos(tmp_path):
    """Twenty-three pictures of many sizes in folders below folders."""
    for number, cut in enumerate(cuts(23)):
        file = tmp_path / "photos" / ("a", "b/c", "10", "9")[number % 4] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(cut).save(file)
    return tmp_path / "photos"


@pytest.fixture
def run(default_bundle, monkeypatch):
    """`nin batch` with one worker in this process in Ray's place; a row may be told to be the last one."""

    def go(source, destination, *, last=None, told=None, model=None, **options):
        planned = {name: options.pop(name) for name in ("block_size", "scores", "runtime", "column") if name in options}
        work = batching.plan(str(model or default_bundle.folder), str(source), str(destination), **planned)
        go.rows = []

        @contextmanager
        def joined(address, workers, threads, most, room):
            yield object(), workers or 1

        def finished_rows(ray, kind, work, model, rows, workers, threads):
            worker = kind(work, lambda: model)
            for row in rows:
                if last is not None and len(go.rows) == last:
                    raise KeyboardInterrupt
                go.rows.append(row["name"])
                (answer,) = worker(pa.Table.from_pylist([row])).to_pylist()
                yield answer

        monkeypatch.setattr(batching, "joined_cluster", joined)
        monkeypatch.setattr(batching, "finished_rows", finished_rows)
        return batching.answer(work, told=told, **options)

    go.rows = []
    return go


def table(destination) -> list[dict]:
    """All rows, as a reader of a folder of Parquet files sees them."""
    return pq.read_table(str(destination)).to_pylist()


def expected(engine, sources) -> dict[str, tuple]:
    """name -> (label, score, scores, error), one picture at a time."""
    found = {}
    for name, source in sources.items():
        try:
            scores = engine.run(engine.preprocess.load(source)[None]).probabilities[0]
            found[name] = (engine.classes[int(np.argmax(scores))], float(scores.max()), scores, None)
        except PictureError as error:
            found[name] = (None, None, None, error.reason)
    return found


def expect_rows(rows, wanted):
    """Every picture once, with the answer that it has when it is asked for alone."""
    assert Counter(row["path"] for row in rows) == Counter(list(wanted))
    for row in rows:
        label, score, scores, error = wanted[row["path"]]
        assert (row["label"], row["error"]) == (label, error)
        if error is None:
            assert row["score"] == pytest.approx(score, abs=1e-5)
            if "scores" in row:
                np.testing.assert_allclose(row["scores"], scores, atol=1e-5)
        else:
            assert row["score"] is None and row.get("scores") is None


def files_below(folder) -> dict[str, Path]:
    return {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}


def test_every_picture_is_answered_as_the_engine_answers(run, engine, photos, corpus, tmp_path):
    (photos / "hostile").mkdir()
    for name, (data, _) in corpus.items():
        (photos / "hostile" / name).write_bytes(data)
    done = run(photos, tmp_path / "out", block_size=16, scores=True)
    rows, wanted = table(tmp_path / "out"), expected(engine, files_below(photos))
    expect_rows(rows, wanted)
    errors = sum(value[3] is not None for value in wanted.values())
    assert (done.pictures, done.errors, done.blocks) == (len(wanted), errors, -(-len(wanted) // 16))
    assert 30 < errors < len(wanted) - 40


def test_a_part_tells_what_made_it(run, engine, photos, tmp_path):
    run(photos, tmp_path / "out")
    (part,) = (tmp_path / "out").glob("part-*.parquet")
    schema = pq.read_schema(part)
    assert [(field.name, str(field.type)) for field in schema] == [
        ("path", "string"),
        ("label", "string"),
        ("score", "float"),
        ("unknown", "bool"),
        ("error", "string"),
    ]
    facts = {key.decode(): value.decode() for key, value in schema.metadata.items()}
    assert json.loads(facts["classes"]) == list(engine.classes)
    assert (facts["model"], facts["model_sha256"], facts["errors"]) == ("small", engine.digest, "0")
    assert float(facts["unknown_below"]) == 0.2
    manifest = read_manifest(Folder(tmp_path / "out"))
    assert (manifest["state"], manifest["pictures"], manifest["parts"]) == ("complete", 23, [part.name])
    assert [row["path"] for row in table(tmp_path / "out")] == [
        *(f"9/{n}.png" for n in range(3, 23, 4)),
        *(f"10/{n}.png" for n in range(2, 23, 4)),
        *(f"a/{n}.png" for n in range(0, 23, 4)),
        *(f"b/c/{n}.png" for n in range(1, 23, 4)),
    ]


def test_unknown_by_probability_and_by_distance(run, photos, tmp_path):
    """As torch answers each picture alone: some by their distance, some by their probability, some not."""
    words, files = (nin(4, 3, width=0.1), preprocess((24, 24))), files_below(photos)
    knows = open_engine(make_bundle(tmp_path / "knows", *words, beyond=1.0).folder)
    distances = np.sort(knows.run(np.stack([knows.preprocess.load(file) for file in files.values()])).distances)
    middle = len(distances) // 2
    far = float(distances[middle - 1 : middle + 1].mean())  # between two pictures: at none does rounding decide
    model = make_bundle(tmp_path / "model", *words, beyond=far).folder
    run(photos, tmp_path / "out", model=model)
    classifier = load(model)
    wanted = {name: list(classifier.predict(file)) for name, file in files.items()}
    assert {row["path"]: row["unknown"] for row in table(tmp_path / "out")} == {
        name: answer.unknown for name, (answer,) in wanted.items()
    }
    reasons = {(answer.unknown, answer.unlike) for (answer,) in wanted.values()}
    assert {(True, True), (False, False)} <= reasons
    (part,) = (tmp_path / "out").glob("part-*.parquet")
    assert float(pq.read_schema(part).metadata[b"unknown_beyond"]) == pytest.approx(far)


def test_odd_names_and_links(run, photos, tmp_path):
    good = (photos / "a" / "0.png").read_bytes()
    odd = photos / "odd"
    odd.mkdir()
    (odd / "new\nline.png").write_bytes(good)
    (odd / "그림.PNG").write_bytes(good)
    Path(os.fsdecode(os.fsencode(odd) + b"/\xff.png")).write_bytes(good)
    (odd / ".hidden.png").write_bytes(good)
    (odd / "Thumbs.db").write_bytes(b"x")
    (odd / "inside.png").symlink_to("그림.PNG")
    (tmp_path / "secret.png").write_bytes(good)
    (odd / "outside.png").symlink_to(tmp_path / "secret.png")
    (odd / "nowhere.png").symlink_to("gone.png")
    (odd / "loop").symlink_to("..")
    os.mkfifo(odd / "pipe.png")
    run(odd, tmp_path / "out")
    rows = {row["path"]: row["error"] for row in table(tmp_path / "out")}
    assert rows == {
        "new\nline.png": None,
        "그림.PNG": None,
        "\\udcff.png": None,
        "inside.png": None,
        "outside.png": "a link that leads out of the folder",
        "nowhere.png": "no such file",
        "pipe.png": "a pipe, socket or device, not a file",
    }


@pytest.mark.parametrize("kind", ["bytes", "image", "path"])
def test_parquet_in(kind, run, engine, photos, tmp_path):
    files = files_below(photos)
    names = [*files, next(iter(files))]  # one of them twice: answered twice
    data = [files[name].read_bytes() for name in names]
    columns = {
        "bytes": {"bytes": [*data, b"junk", None], "path": [*names, "junk", "none"]},
        "image": {"image": [*({"bytes": b, "path": None} for b in data), {"bytes": b"junk", "path": "junk"}, None]},
        "path": {"path": [*names[:-1], str(files[names[-1]]), "missing.png", None]},
    }[kind]
    pq.write_table(pa.table(columns), photos / "list.parquet", row_group_size=7)
    done = run(photos / "list.parquet", tmp_path / "out", block_size=10)
    rows = table(tmp_path / "out")
    wanted = list(expected(engine, files).values())
    wanted = [*wanted, wanted[0]]
    assert [(row["label"], row["error"]) for row in rows[:-2]] == [(label, error) for label, *_, error in wanted]
    assert (done.pictures, done.errors, done.blocks) == (26, 2, 3)
    paths = [row["path"] for row in rows]
    if kind == "bytes":
        assert paths == [*names, "junk", "none"]
        assert rows[-1]["error"] == "neither bytes nor a path in this row"
    elif kind == "image":
        assert paths == [*(f"list.parquet#{n}" for n in range(24)), "junk", "list.parquet#25"]
    else:
        assert paths == [*columns["path"][:-1], ""]
        assert [row["error"] for row in rows[-2:]] == ["no such file", "no path in this row"]


def typed(kind, data):
    """The pictures as other writers type them: polars views, pandas dictionaries, Hugging Face {bytes, path}."""
    if kind == "struct of views":
        fields = [pa.array(data, pa.binary_view()), pa.array([None] * len(data), pa.string_view())]
        return pa.StructArray.from_arrays(fields, ["bytes", "path"])
    kinds = {"binary": pa.binary(), "large": pa.large_binary(), "view": pa.binary_view()}
    return pa.array(data, pa.binary()).dictionary_encode() if kind == "dictionary" else pa.array(data, kinds[kind])


@pytest.mark.parametrize("kind", ["binary", "large", "view", "dictionary", "struct of views"])
@pytest.mark.parametrize("column", ["image", "img", "picture", "pixel_values", "무엇"])
def test_pictures_of_every_type_and_usual_name_in_parquet(column, kind, run, engine, photos, tmp_path):
    files = files_below(photos)
    data = [file.read_bytes() for file in files.values()]
    rows = pa.table({"label": list(range(len(data))), column: typed(kind, data), "file_name": list(files)})
    pq.write_table(rows, tmp_path / "t.parquet")
    run(tmp_path / "t.parquet", tmp_path / "out")
    expect_rows(table(tmp_path / "out"), expected(engine, files))
    (note,) = open_listing(str(tmp_path / "t.parquet")).notes or ("",)
    assert note == ("" if column == "image" else f"pictures are read from the column {column}")


def test_rows_of_hugging_face_that_hold_paths_only(run, engine, photos, tmp_path):
    """{bytes: null, path}: what `datasets` writes where pictures are not embedded; bytes go first."""
    files = files_below(photos)
    names = list(files)
    (tmp_path / "set" / "data").mkdir(parents=True)
    (tmp_path / "set" / "data" / "near").symlink_to(photos)  # beside the table; links to folders are not looked into
    (tmp_path / "set" / "far").symlink_to(photos)  # from the source on
    cells = [{"bytes": None, "path": f"near/{name}"} for name in names]
    cells += [{"bytes": None, "path": "far\\" + name.replace("/", "\\")} for name in names]
    cells += [{"bytes": None, "path": str(files[name])} for name in names]
    cells += [{"bytes": files[name].read_bytes(), "path": "elsewhere.png"} for name in names]
    bad = [{"bytes": None, "path": "no.png"}, {"bytes": None, "path": None}, None, {"bytes": b"", "path": "empty.png"}]
    pq.write_table(pa.table({"image": [*cells, *bad]}), tmp_path / "set" / "data" / "t.parquet")
    done = run(tmp_path / "set", tmp_path / "out")
    rows = table(tmp_path / "out")
    wanted = [(label, error) for label, *_, error in expected(engine, files).values()]
    assert [(row["label"], row["error"]) for row in rows[: len(cells)]] == 4 * wanted
    assert [row["path"] for row in rows[: len(cells)]] == [cell["path"] for cell in cells]
    assert [row["error"] for row in rows[len(cells) : -1]] == [
        "no such file",
        *["neither bytes nor a path in this row"] * 2,
    ]
    assert rows[-1]["label"] is None and "empty" in rows[-1]["error"]
    assert (done.pictures, done.errors) == (len(cells) + 4, 4)


def test_a_table_of_paths_in_a_folder_below_is_read_from_its_own_folder(run, engine, photos, tmp_path):
    files = files_below(photos)
    (tmp_path / "lists" / "below").mkdir(parents=True)
    (tmp_path / "lists" / "below" / "pictures").symlink_to(photos)
    paths = [f"pictures/{name}" for name in files]
    pq.write_table(
        pa.table({"file_name": pa.array(paths, pa.string_view())}), tmp_path / "lists" / "below" / "t.parquet"
    )
    run(tmp_path / "lists", tmp_path / "out")
    expect_rows(table(tmp_path / "out"), {f"pictures/{name}": row for name, row in expected(engine, files).items()})


def test_of_several_columns_one_is_named(run, engine, photos, tmp_path):
    files = files_below(photos)
    data = [file.read_bytes() for file in files.values()]
    rows = {"before": [b"x"] * len(data), "after": data, "number": [1] * len(data), "path": list(files)}
    pq.write_table(pa.table(rows), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"has the columns before, after, number, path; .* or name it with --column"):
        run(tmp_path / "t.parquet", tmp_path / "out")
    for wrong, why in (("number", "no picture or path"), ("middle", "not there")):
        with pytest.raises(DataError, match=rf"'{wrong}' is {why}; --column can be one of before, after, number, path"):
            run(tmp_path / "t.parquet", tmp_path / "out", column=wrong)
    run(tmp_path / "t.parquet", tmp_path / "out", column="after")
    expect_rows(table(tmp_path / "out"), expected(engine, files))
    with pytest.raises(UsageError, match=r"--column is for Parquet files, and .*photos holds pictures; leave it out"):
        run(photos, tmp_path / "other", column="after")


def test_whoever_reads_the_whole_folder_finds_answers_alone(run, photos, tmp_path):
    """Readers that take every file of a folder (polars, Hugging Face's `parquet`) need one kind and one schema."""
    names = sorted(files_below(photos))
    for other in ("README.md", ".gitattributes", "_SUCCESS"):
        (photos / other).write_text("x")
    run(photos, tmp_path / "out", block_size=8, scores=True)
    filled = [file for file in (tmp_path / "out").iterdir() if file.stat().st_size]
    assert {file.suffix for file in filled} == {".parquet"}
    tables = [pq.read_table(file) for file in filled]
    assert len({each.schema.remove_metadata().to_string() for each in tables}) == 1
    whole = pa.concat_tables([each.replace_schema_metadata() for each in tables])
    assert sorted(whole["path"].to_pylist()) == names


def test_blocks_of_tables_cover_every_row_once(tmp_path):
    draw = random.Random(0)
    for trial in range(30):
        folder = tmp_path / str(trial)
        folder.mkdir()
        wanted = []
        for name in ("a.parquet", "b.pq"):
            rows, group = draw.randrange(0, 90), draw.randrange(1, 60)
            pq.write_table(pa.table({"bytes": pa.array([b"x"] * rows, pa.binary())}), folder / name, group)
            wanted += [(name, row) for row in range(rows)]
        if not wanted:
            continue
        size = draw.randrange(1, 40)
        found, counts = [], []
        for block in open_listing(str(folder), size).blocks:
            counts.append(block.pictures)
            for name, group, start, stop in unpacked(block.inputs):
                before = sum(pq.read_metadata(folder / name).row_group(n).num_rows for n in range(group))
                found += [(name, before + row) for row in range(start, stop)]
        assert found == wanted
        assert sum(counts) == len(wanted) and all(count >= size for count in counts[:-1])


def test_listing_is_stable_and_notices_changes(photos):
    first = open_listing(str(photos), 5)
    assert open_listing(str(photos), 5).fingerprint == first.fingerprint
    assert [len(unpacked(block.inputs)) for block in first.blocks] == [5, 5, 5, 5, 3]
    file = photos / "a" / "0.png"
    status = file.stat()
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    changed = open_listing(str(photos), 5)
    assert changed.fingerprint != first.fingerprint
    assert sum(a.digest != b.digest for a, b in zip(first.blocks, changed.blocks, strict=True)) == 1


def test_a_restart_does_what_is_left_and_no_more(run, engine, photos, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run(photos, out, block_size=4, last=2)
    assert read_manifest(Folder(out))["state"] == "unfinished"
    first = {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in out.glob("part-*")}
    assert len(first) == 2
    (out / ".nin-0123456789abcdef.tmp").write_bytes(b"half")
    done = run(photos, out, block_size=4)
    assert (done.skipped, done.blocks, done.pictures) == (2, 6, 23)
    assert len(run.rows) == 4
    assert first.items() <= {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in out.glob("part-*")}.items()
    expect_rows(table(out), expected(engine, files_below(photos)))
    assert not list(out.glob(".nin-*"))
    again = run(photos, out, block_size=4)
    assert (again.skipped, again.pictures, again.processes, run.rows) == (6, 23, 0, [])


def test_a_part_that_is_damaged_or_anothers_is_done_again(run, engine, photos, tmp_path):
    out = tmp_path / "out"
    run(photos, out, block_size=4)
    parts = sorted(out.glob("part-*"))
    whole = [part.read_bytes() for part in parts]
    parts[0].write_bytes(whole[0][:-20])
    parts[1].write_bytes(whole[2])
    parts[2].write_bytes(b"")
    parts[3].unlink()
    assert [part_facts(Folder(out), part.name) for part in parts] == [None] * 4 + [(4, 0), (3, 0)]
    done = run(photos, out, block_size=4)
    assert (done.skipped, len(run.rows)) == (2, 4)
    assert [part.read_bytes() for part in parts] == whole  # the same bytes: a retry of Ray's doubles nothing


def test_stopping_keeps_what_is_finished(run, photos, tmp_path):
    seen = []
    with pytest.raises(Interrupted, match=r"stopped; 2 of 6 parts are finished and stay: the same command goes on"):
        run(photos, tmp_path / "out", block_size=4, told=lambda done, total: seen.append((done, total)) or done > 4)
    assert seen == [(4, 23), (8, 23)]
    assert run(photos, tmp_path / "out", block_size=4).skipped == 2


def test_overwriting_removes_what_is_ours(run, default_bundle, photos, tmp_path):
    out = tmp_path / "out"
    run(photos, out, block_size=4)
    done = run(photos, out, block_size=10, overwrite=True)
    assert (done.skipped, len(list(out.glob("part-*"))), len(table(out))) == (0, 3, 23)
    (out / "mine.parquet").write_bytes(b"")
    with pytest.raises(UsageError, match=r"out holds mine.parquet, which nin batch did not write"):
        run(photos, out, block_size=4, overwrite=True)
    assert len(list(out.glob("part-*"))) == 3


def refusals(tmp_path, photos):
    """(source, destination, options, what is said)"""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine")
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("x")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "numbers").mkdir()
    pq.write_table(pa.table({"n": [1]}), tmp_path / "numbers" / "n.parquet")
    (tmp_path / "none").mkdir()
    pq.write_table(pa.table({"path": pa.array([], pa.string())}), tmp_path / "none" / "n.parquet")
    (tmp_path / "mixed").mkdir()
    pq.write_table(pa.table({"path": ["a"]}), tmp_path / "mixed" / "a.parquet")
    pq.write_table(pa.table({"bytes": [b"a"]}), tmp_path / "mixed" / "b.parquet")
    new = tmp_path / "new"
    return [
        (photos, tmp_path / "full", UsageError, r"full holds note.txt, which nin batch did not write; choose an empty"),
        (photos, tmp_path / "file", ArtifactError, r"file cannot be used \(not a directory\); choose another folder"),
        (tmp_path / "gone", new, DataError, r"gone does not exist; name a folder of pictures"),
        (tmp_path / "file", new, DataError, r"file is not a folder; name a folder of pictures"),
        (tmp_path / "gone.parquet", new, DataError, r"gone.parquet does not exist"),
        (tmp_path / "empty", new, DataError, r"empty holds no pictures; expected JPEG"),
        (tmp_path / "texts", new, DataError, r"texts holds no pictures; expected JPEG"),
        (tmp_path / "bad", new, DataError, r"a.parquet is no whole Parquet file \("),
        (tmp_path / "numbers", new, DataError, r"n.parquet has the columns n; expected bytes or image"),
        (tmp_path / "none", new, DataError, r"the Parquet files have no rows"),
        (tmp_path / "mixed", new, DataError, r"a.parquet and b.parquet have different columns"),
        (tmp_path / "none", tmp_path / "none" / "out", (UsageError, DataError), r"no rows|lies in"),
        ("nope://bucket/x", new, UsageError, r"nope://bucket/x is no address that can be used"),
        (photos, "nope://k:pass@bucket/x", UsageError, r"nope://\*\*\*@bucket/x is no address that can be used"),
    ]


def test_refusals_are_one_line_and_change_nothing(run, photos, tmp_path):
    cases = refusals(tmp_path, photos)
    before = sorted(tmp_path.rglob("*"))
    for source, destination, kind, said in cases:
        with pytest.raises(kind, match=said) as refused:
            run(source, destination)
        assert "\n" not in str(refused.value) and "pass" not in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_another_work_is_refused(run, photos, tmp_path):
    out, smaller = tmp_path / "out", tmp_path / "smaller"
    run(photos, out, block_size=4)
    other = make_bundle(tmp_path / "other", nin(4, width=0.2), preprocess((24, 24)), temperature=1.4)
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    smaller.mkdir()
    (smaller / "0.png").write_bytes((photos / "a" / "0.png").read_bytes())
    for options, said in (
        ({"model": other.folder, "block_size": 4}, r"out was begun with another model, small; choose another"),
        ({"block_size": 5}, r"out was begun with --block-size 4; choose"),
        ({"block_size": 4, "scores": True}, r"out was begun without --scores; choose"),
        ({"block_size": 4, "runtime": "openvino"}, r"out was begun with --runtime onnxruntime; choose"),
        ({"block_size": 4, "source": smaller}, r"begun for 23 pictures of .*photos, as they were then; choose"),
    ):
        with pytest.raises(UsageError, match=said):
            run(options.pop("source", photos), out, **options)
    manifest = out / MANIFEST
    manifest.write_bytes(manifest.read_bytes().replace(b"complete", b"COMPLETE"))
    for overwrite in (False, True):
        with pytest.raises(ArtifactError, match=r"_manifest.parquet is damaged"):
            run(photos, out, block_size=4, overwrite=overwrite)
    assert {p.name for p in out.iterdir()} == set(before)


def test_one_process_at_a_time_in_a_folder(run, photos, tmp_path):
    with Folder(tmp_path / "out").claimed(), pytest.raises(ArtifactError, match=r"out is in use by process \d+"):
        run(photos, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_runtime_gives_the_same_answers(run, engine, photos, tmp_path, monkeypatch):
    asked = []
    real = worker.engine_from_bytes
    monkeypatch.setattr(worker, "engine_from_bytes", lambda *a, **k: asked.append(k["runtime"]) or real(*a, **k))
    run(photos, tmp_path / "out", runtime="openvino")
    assert asked == ["openvino"]
    for row in table(tmp_path / "out"):
        label, score, _, _ = expected(engine, {row["path"]: photos / row["path"]})[row["path"]]
        assert (row["label"], row["score"]) == (label, pytest.approx(score, abs=1e-5))


@pytest.fixture
def trials(monkeypatch, tmp_path):
    """A trial finds a planted OpenVINO `times` times as fast; the threads and pictures of each are in `begun`."""
    monkeypatch.setattr(machine.platformdirs, "user_cache_dir", lambda name: str(tmp_path / "cache" / name))
    plant(tmp_path / "planted", monkeypatch, "alike")

    def tried(packed, other, threads, batch):
        tried.begun.append((threads, batch))
        return {"times": tried.times}, True

    tried.begun, tried.times = [], 2.0
    monkeypatch.setattr(fastest, "_trial", tried)
    return tried


def test_the_faster_runtime_is_taken_and_recorded_and_a_begun_work_keeps_its_own(
    run, photos, tmp_path, trials, monkeypatch
):
    """Answers differ in their rounding, so parts of one work have one runtime, whatever is faster meanwhile."""
    out = tmp_path / "out"
    asked = []
    real = worker.engine_from_bytes
    monkeypatch.setattr(worker, "engine_from_bytes", lambda *a, **k: asked.append(k["runtime"]) or real(*a, **k))
    with pytest.raises(KeyboardInterrupt):
        run(photos, out, block_size=4, runtime="auto", last=2)
    assert (trials.begun, read_manifest(Folder(out))["runtime"]) == ([(1, worker.BATCH)], "openvino")
    shutil.rmtree(tmp_path / "cache")
    trials.times = 0.5  # on the machine where it goes on
    done = run(photos, out, block_size=4, runtime="auto")
    assert (done.pictures, done.skipped, done.runtime, len(trials.begun)) == (23, 2, "openvino", 1)
    assert read_manifest(Folder(out))["state"] == "complete" and asked == ["openvino", "openvino"]
    with pytest.raises(UsageError, match="out was begun with --runtime openvino; choose another destination"):
        run(photos, out, block_size=4, runtime="onnxruntime")
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"^a batch with --runtime openvino needs openvino, which is not installed"):
        run(photos, out, block_size=4, runtime="auto")


def test_a_work_that_begins_again_or_on_a_cluster_takes_what_is_right_there(default_bundle, photos, tmp_path, trials):
    words = str(default_bundle.folder), str(photos), str(tmp_path / "out")

    def chosen(**more) -> str:
        return batching.plan(*words, runtime="auto", **more).choice.in_words()

    assert chosen(threads=2) == "openvino (2.0 times onnxruntime here, measured)"
    assert trials.begun == [(2, worker.BATCH)]
    assert batching.plan(*words, runtime="auto", address="auto").choice == Choice("onnxruntime")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / MANIFEST).write_bytes(worker.manifest_file({"runtime": "openvino", "scores": False}))
    trials.times = 0.5
    assert batching.plan(*words, runtime="auto").runtime == "openvino" and len(trials.begun) == 1
    assert batching.plan(*words, runtime="auto", address="auto").runtime == "openvino"
    assert chosen(overwrite=True) == "onnxruntime (openvino 0.50 times as fast here, measured)"
    for strange in ({"runtime": "tensorrt", "scores": False}, {"scores": False}):
        (tmp_path / "out" / MANIFEST).write_bytes(worker.manifest_file(strange))
        assert batching.plan(*words, runtime="auto").runtime == "onnxruntime"
    (tmp_path / "out" / MANIFEST).write_bytes(b"damaged")
    assert batching.plan(*words, runtime="auto").runtime == "onnxruntime"  # who is asked to answer refuses it


def test_workers_that_see_another_destination_or_program_say_so(run, default_bundle, photos, tmp_path):
    work = batching.plan(str(default_bundle.folder), str(photos), str(tmp_path / "out"))
    row = {"number": 0, "name": "part", "inputs": work.listing.blocks[0].inputs}
    (answer,) = Worker(work.work, work.model)(pa.Table.from_pylist([row])).to_pylist()
    assert answer["failed"].startswith("a worker does not find at ") and answer["failed"].endswith("the same name")
    older = batching.replace(work.work, version="0.0.1")
    (answer,) = Worker(older, work.model)(pa.Table.from_pylist([row])).to_pylist()
    assert "the command nin 0.0.1; install the same" in answer["failed"]
    assert not (tmp_path / "out").exists()


def test_a_full_disk_ends_the_work_in_one_line(run, photos, tmp_path, monkeypatch):
    def full(self, name, data):
        if name.startswith("part-00002"):
            raise ArtifactError("out/part cannot be written (No space left on device); free some space")
        real(self, name, data)

    real = Folder.write
    monkeypatch.setattr(Folder, "write", full)
    with pytest.raises(NinError, match=r"^out/part cannot be written \(No space left"):
        run(photos, tmp_path / "out", block_size=4)
    monkeypatch.undo()


def test_file_addresses_are_read_and_written_as_buckets(run, engine, photos, tmp_path):
    done = run(photos.as_uri(), (tmp_path / "in the bucket").as_uri(), block_size=8)
    assert (done.pictures, done.blocks) == (23, 3)
    expect_rows(table(tmp_path / "in the bucket"), expected(engine, files_below(photos)))
    assert run(photos.as_uri(), (tmp_path / "in the bucket").as_uri(), block_size=8).skipped == 3
    (tmp_path / "in the bucket" / "part-00000-strange.parquet").write_bytes(b"")
    with pytest.raises(UsageError, match=r"part-00000-strange.parquet, which nin batch did not write"):
        run(photos.as_uri(), (tmp_path / "in the bucket").as_uri(), block_size=8)


@pytest.fixture
def memory(monkeypatch):
    """memory://bucket/prefix: fsspec's store of objects, by pyarrow; nothing lies on a disk."""
    store = fsspec.filesystem("memory")
    store.store.clear()
    filesystem = pafs.PyFileSystem(pafs.FSSpecHandler(store))
    real = places._filesystem
    take = "memory://"
    monkeypatch.setattr(
        places,
        "_filesystem",
        lambda text: (filesystem, "/" + text.removeprefix(take)) if text.startswith(take) else real(text),
    )
    yield store
    store.store.clear()


def test_a_bucket_with_pictures_and_tables_of_addresses(run, engine, photos, tmp_path, memory):
    files = files_below(photos)
    for name, file in files.items():
        memory.pipe(f"/bucket/in/{name}", file.read_bytes())
    memory.pipe("/bucket/in/.hidden/x.png", b"")
    run("memory://bucket/in", "memory://bucket/out", block_size=8)
    parts = [name for name in memory.ls("/bucket/out", detail=False) if name.endswith(".parquet")]
    rows = [row for name in sorted(parts) for row in pq.read_table(pa.BufferReader(memory.cat(name))).to_pylist()]
    expect_rows(rows, expected(engine, files))
    assert not [name for name in memory.ls("/bucket/out", detail=False) if ".nin-" in name]
    pq.write_table(pa.table({"path": [f"memory://bucket/in/{name}" for name in files]}), tmp_path / "t.parquet")
    run(tmp_path / "t.parquet", tmp_path / "out")
    assert {row["label"] for row in table(tmp_path / "out")} <= set(engine.classes)


class Failing:
    """A file system that fails so many times before it answers."""

    type_name = "s3"

    def __init__(self, times, error):
        self.left, self.error = times, error

    def open_input_file(self, path):
        self.left -= 1
        if self.left >= 0:
            raise self.error
        return pa.BufferReader(b"picture")

    def get_file_info(self, path):
        return pafs.FileInfo(path, pafs.FileType.File, size=7)


def test_a_bucket_is_asked_again_before_pictures_are_given_up(monkeypatch):
    monkeypatch.setattr(places, "PAUSE", 0.0)
    busy = OSError("AWS Error SLOW_DOWN")
    assert Bucket(Failing(2, busy), "b", "s3://b").picture("x.png") == b"picture"
    with pytest.raises(DataError, match=r"s3://b/x.png cannot be read \(AWS Error SLOW_DOWN\)"):
        Bucket(Failing(3, busy), "b", "s3://b").picture("x.png")
    for error, reason in (
        (OSError("AWS Error ACCESS_DENIED during GetObject"), "permission denied"),
        (FileNotFoundError("x"), "no such file"),
    ):
        with pytest.raises(PictureError, match=reason):
            Bucket(Failing(9, error), "b", "s3://b").picture("x.png")


def test_a_write_to_a_bucket_that_fails_leaves_nothing(tmp_path, monkeypatch):
    class Torn:
        """A stream that takes some bytes and then no more."""

        def __init__(self, path):
            self.file = Path(path).open("wb")  # noqa: SIM115  closed as a stream is

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            self.file.write(data[:3])
            self.file.flush()
            raise OSError("connection lost")

    class Wire:
        type_name = "s3"
        delete_file = staticmethod(os.remove)
        open_output_stream = staticmethod(Torn)

    with pytest.raises(ArtifactError, match=r"s3://b cannot be written \(connection lost\)"):
        Bucket(Wire(), str(tmp_path), "s3://b").write("part", b"answers")
    assert list(tmp_path.iterdir()) == []


def test_names_in_tables(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    pictures = Anywhere(Folder(tmp_path))
    assert pictures.picture("a.png") == tmp_path / "a.png"
    assert pictures.picture(str(tmp_path / "a.png")) == tmp_path / "a.png"
    assert pictures.picture((tmp_path / "a.png").as_uri()) == tmp_path / "a.png"
    (tmp_path / "two words").mkdir()
    (tmp_path / "two words" / "그림.png").write_bytes(b"x")
    assert pictures.picture((tmp_path / "two words" / "그림.png").as_uri()) == tmp_path / "two words" / "그림.png"
    assert pictures.picture("two words\\그림.png") == tmp_path / "two words" / "그림.png"
    (tmp_path / "two words\\그림.png").write_bytes(b"a name like any other on this system")
    assert pictures.picture("two words\\그림.png") == tmp_path / "two words\\그림.png"
    assert pictures.picture("two words\0그림.png") == tmp_path / "two words" / "그림.png"
    assert pictures.picture("two words\0a.png") == tmp_path / "a.png"
    for address in ("http://127.0.0.1:1/a.png", "C:\\photos\\a.png"):
        with (
            pytest.raises(PictureError, match=r"an address that is not read here") if "//" in address else nullcontext()
        ):
            assert not Path(pictures.picture(address)).exists()
    with pytest.raises(PictureError, match="no path"):
        pictures.picture("")
    assert place_of("here").address == str(Path.cwd() / "here") and place_of("here").text == "here"
    assert isinstance(place_of(str(tmp_path)), Folder) and isinstance(place_of(tmp_path.as_uri()), Bucket)


@pytest.mark.parametrize("normalisation", ["standard", "gcn-zca", "lcn"])
def test_an_engine_that_was_packed_is_the_same(normalisation, tmp_path):
    bundle = make_bundle(tmp_path / "m", nin(4, width=0.1), preprocess((16, 16), 3, normalisation, "pad"))
    ours, theirs = open_engine(bundle.folder), engine_from_bytes(pack_engine(bundle.folder), threads=1)
    assert (theirs.digest, theirs.name, theirs.classes) == (ours.digest, ours.name, ours.classes)
    assert (theirs.calibration, theirs.preprocess.to_dict()) == (ours.calibration, ours.preprocess.to_dict())
    images = np.stack([bundle.preprocess.resize(cut) for cut in cuts(3)])
    np.testing.assert_array_equal(theirs.run(images).maps, ours.run(images).maps)
    with pytest.raises(ModelError, match=r"the model is damaged|no ONNX file"):
        engine_from_bytes(pack_engine(bundle.folder)[:-1])


def test_order_of_parts_is_order_of_pictures(run, photos, tmp_path):
    run(photos, tmp_path / "out", block_size=3)
    numbers = [int(part.name[5:10]) for part in sorted((tmp_path / "out").glob("part-*"))]
    assert all(second == first + 1 for first, second in pairwise(numbers))

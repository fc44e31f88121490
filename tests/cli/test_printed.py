"""Tables for people: aligned in terminal cells, at most 80 of them, with nothing in a name that moves the cursor."""

import unicodedata
from types import SimpleNamespace

import numpy as np
import pytest

from nin.cli.printed import (
    FolderCount,
    anatomy_lines,
    clip,
    evaluation_lines,
    prediction_line,
    reproduced_lines,
    table,
    worst_classes,
)
from nin.cli.progress import duration, epoch_line, glance, sparkline
from nin.cli.screen import Screen, safe, screen_for
from nin.paper.tables import PARTS
from nin.training.evaluation import evaluate_probabilities


def cells(text: str) -> int:
    """Terminal cells by Unicode's East Asian width, independent of rich."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def test_columns_are_aligned_in_cells():
    lines = table(("class", "pictures", "F1"), [("고양이", "1,234", "0.9"), ("dog", "7", "0.25")])
    assert lines == [
        "class   pictures    F1",
        "고양이     1,234   0.9",
        "dog            7  0.25",
    ]
    assert len({cells(line) for line in lines}) == 1


def test_a_name_is_cut_to_its_cells_and_cannot_move_the_cursor():
    assert clip("고" * 40) == "고" * 15 + "…"
    assert cells(clip("가나다" * 20, 11)) <= 11
    assert clip("red\x1b[31m\nname") == r"red\x1b[31m\nname"
    assert safe("abc\u202etxt") == r"abc\u202etxt"


@pytest.fixture
def measured():
    """Four pictures; by hand: 고양이 2 of 2 right, dog 1 of 2 right, one dog taken for 고양이."""
    p = np.array([[0.9, 0.1, 0], [0.8, 0.2, 0], [0.7, 0.3, 0], [0.2, 0.8, 0]])
    evaluation = evaluate_probabilities(p, [0, 0, 1, 1], ("고양이", "dog", "x" * 60))
    return SimpleNamespace(evaluation=evaluation, split="test", notes=())


def test_the_evaluation_table(measured):
    lines = list(evaluation_lines(measured))
    assert lines[0] == "test accuracy 0.750 (95 % interval 0.301 to 0.954) on 4 pictures"
    assert lines[1].startswith("balanced accuracy 0.750  loss ")
    assert lines[3:] == [
        "class                             pictures  precision  recall     F1",
        "고양이                                   2      0.667   1.000  0.800",
        "dog                                      2      1.000   0.500  0.667",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…         0      0.000   0.000  0.000",
        "",
        "commonest mistakes",
        "  1 x dog taken for 고양이",
    ]
    assert max(map(cells, lines)) <= 80


def test_the_weakest_classes_are_those_measured(measured):
    assert worst_classes(measured.evaluation) == "dog 0.500, 고양이 1.000"


def test_a_prediction_line_says_unknown_and_what_was_near():
    known = SimpleNamespace(
        file="a\n.png", unknown=False, unlike=False, scores=(("고양이", 0.75), ("dog", 0.25)), ms=12.4
    )
    assert prediction_line(known, 1) == r"a\n.png: 고양이 0.750 (12 ms)"
    halves = (("고양이", 0.5), ("dog", 0.5))
    unsure = SimpleNamespace(file="b.png", unknown=True, unlike=False, scores=halves, ms=1.0)
    assert prediction_line(unsure, 2) == "b.png: unknown (nearest: 고양이 0.500, dog 0.500) (1 ms)"
    unlike = SimpleNamespace(file="b.png", unknown=True, unlike=True, scores=halves, ms=1.0)
    assert prediction_line(unlike, 1) == "b.png: unknown (unlike the training pictures; nearest: 고양이 0.500) (1 ms)"


@pytest.mark.parametrize("name", ["nin", "nin-author-cifar10", "nin-author-imagenet", "conv-fc", "vgg16", "googlenet"])
def test_the_summary_fits_80_columns_and_adds_up(name):
    from nin.commands.summary import summary

    found = summary(name)
    lines = list(anatomy_lines(found))
    assert max(map(len, lines)) <= 80
    start = next(i for i, line in enumerate(lines) if line.startswith("layer"))
    assert lines[start].endswith("receptive") and lines[start + 2].split() == ["stride"]
    rows = [line.split() for line in lines[start + 3 : lines.index("", start)]]
    columns = [[float(row[place].replace(",", "")) for row in rows] for place in (-4, -3, -2)]
    assert sum(columns[0]) == found.parameters
    half = 0.005 * len(rows)  # what rounding to two decimals may add up to
    assert sum(columns[1]) == pytest.approx(found.macs / 1e6, abs=half)
    assert sum(columns[2]) == pytest.approx(found.activation_bytes / 2**20, abs=half)
    assert len({line.split("  ")[0] for line in lines[start + 3 : lines.index("", start)]}) == len(rows)  # names differ


def test_the_summary_says_what_fully_connected_layers_hold():
    from nin.commands.summary import summary

    lines = list(anatomy_lines(summary("lenet5")))
    assert lines[0] == "lenet5 for pictures of 1x32x32"
    assert any(line.split() == ["c5", "fc", "120x1x1", "48,120", "0.05", "0.00", "32/4"] for line in lines)
    assert "fully connected layers hold 95.8% of the parameters and do 14.1% of the work" in lines
    assert not any(line.startswith("head") for line in lines)
    lines = list(anatomy_lines(summary("googlenet")))
    assert "6,379,728 parameters more that only training uses" in lines
    assert "1x1 layers hold 32.4% of the parameters and do 23.3% of the work" in lines


def test_durations():
    shown = [duration(s) for s in (0, 7.4, 59.6, 750, 3723, float("inf"), float("nan"))]
    assert shown == ["0:00", "0:07", "1:00", "12:30", "1:02:03", "?", "?"]


def test_an_epoch_s_line_fits_80_columns():
    epoch = SimpleNamespace(
        epoch=100, train_loss=1.2345, train_accuracy=0.5, val_accuracy=0.25, images_per_second=12345
    )
    line = epoch_line(epoch, 100, 36_000)
    assert line == "epoch 100/100  loss 1.234  accuracy 0.500  val 0.250  12,345 img/s  ETA 10:00:00"
    assert len(line) <= 80


def test_switches_may_stand_anywhere_before_a_double_dash():
    screen, words = screen_for(["train", "-q", "photos", "--debug", "--", "-v"])
    assert screen == Screen(quiet=True, debug=True)
    assert words == ["train", "photos", "--", "-v"]


def test_a_table_of_the_paper_shows_its_rows_in_full_within_eighty_columns():
    run = {"paper": 8.81, "error": 10.5, "spread": 0.25, "n": 3, "dead starts": 0, "minutes": 120.0}
    result = {
        "title": "Table 1: CIFAR-10",
        "protocol": {"name": "full", "ours": False},
        "strict": False,
        "rows": [{"title": "NIN + Dropout + data augmentation", **run}],
        "others": [list(other) for other in PARTS["table1"].others],
        "scores": {"accuracy": 89.4, "strongest_map": 75.78, "pointing": 80.04, "mosaics": 1000},
        "verdict": "reproduced",
    }
    lines = list(reproduced_lines(result))
    assert max(len(line) for line in lines) <= 80 and not any("…" in line for line in lines)
    assert "NIN + Dropout + data augmentation               8.81  10.50  0.25  3     0  120" in lines
    assert "DropConnect + 12 networks + data augmentation   9.32" in lines
    assert "the map of the true class is the strongest in 75.8 % of the test pictures" in lines
    assert "a class's map peaks in its quarter of 1,000 mosaics in 80.0 % (chance: 25 %)" in lines


def test_no_table_is_wider_than_the_screen(monkeypatch):
    """Names give way, numbers never; wide letters count as two."""
    rows = [("고양이" * 10, "x" * 30, "1,234,567"), ("dog", "y", "7")]
    for width in (40, 60, 80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        lines = table(("name", "what", "number\nof pictures"), rows, left=2)
        assert max(map(cells, lines)) <= width and lines[2].endswith("  1,234,567")
        assert len({cells(line) for line in lines[1:]}) == 1
    monkeypatch.setenv("COLUMNS", "20")  # 40 is the least that is planned for
    assert max(map(cells, table(("name", "what", "number"), rows, left=2))) <= 40


def test_a_run_at_a_glance():
    epochs = [SimpleNamespace(epoch=n, train_loss=4 - n, val_accuracy=v) for n, v in enumerate((0.1, 0.9, 0.5), 1)]
    assert list(glance(epochs)) == ["loss       █▅▁  3.000 to 1.000", "validation ▁█▅  best 0.900 in epoch 2"]
    assert list(glance(epochs[:2])) == []
    assert sparkline([1.0, float("nan"), 2.0]) == "▁ █" and sparkline([3.0, 3.0]) == "▁▁"
    long = sparkline([float(n) for n in range(1000)])
    assert len(long) == 40 and long[0] == "▁" and long[-1] == "█" and list(long) == sorted(long)


def test_a_folder_ends_with_counts_and_reasons():
    def answer(label, unknown=False, error=None):
        return SimpleNamespace(file=f"{label or 'bad'}.png", label=label, unknown=unknown, error=error)

    answers = [answer("고양이")] * 3 + [answer("dog"), answer("dog", True)] + [answer(None, error="truncated")] * 2
    counted = FolderCount()
    for each in answers:
        counted.add(each)
    assert list(counted.lines()) == [
        "answer   pictures  share",
        "고양이          3  60.0%",
        "dog             1  20.0%",
        "unknown         1  20.0%",
        "2 not read: truncated (the first: bad.png)",
    ]

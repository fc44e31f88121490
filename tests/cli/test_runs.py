"""Real runs of `nin train` in a pipe: one line an epoch, the end, Ctrl-C, SIGTERM, going on afterwards."""

import re
import signal

import pytest
from nin_program import ASKED, LINE, QUICK


def test_a_run_in_a_pipe(nin, photos):
    outcome = nin("train", "photos", "--epochs", "3", "--out", "runs/first", *QUICK)
    assert (outcome.code, outcome.out) == (0, "runs/first/model\n")
    lines = outcome.err.splitlines()
    assert "\x1b" not in outcome.err
    assert "\r" not in outcome.err
    assert [LINE.fullmatch(line).groups() for line in lines if line.startswith("epoch")] == [
        (str(e), "3") for e in (1, 2, 3)
    ]
    assert any(line.startswith("warning: only 3 pictures were held out") for line in lines)
    end = next(i for i, line in enumerate(lines) if line.startswith("validation accuracy"))
    assert re.fullmatch(r"validation accuracy [01]\.\d{3} \(95 % interval .+ to .+\) on 3 pictures", lines[end])
    assert lines[end + 1].startswith("weakest classes (recall): ")
    assert lines[end + 2] == "everything is in runs/first; open report.html there first"
    assert lines[end + 3] == "next:"
    assert lines[end + 4].startswith("  nin predict runs/first")
    assert "  nin explore runs/first" in lines[end + 5 :]
    assert (nin.folder / "runs/first/report.html").is_file()
    quiet = nin("train", "--resume", "runs/first", "-q")  # a finished run is measured again
    assert (quiet.code, quiet.out) == (0, "runs/first/model\n")
    assert all(line.startswith("warning: ") for line in quiet.err.splitlines())


def begun(nin, epochs):
    """A run whose first epoch is over."""
    program = nin.start("train", "photos", "--epochs", str(epochs), *QUICK)
    said = ""
    while not said.rpartition("\n")[0].rpartition("\n")[2].startswith("epoch"):
        line = program.stderr.readline().decode()
        assert line, f"the run ended early: {said}"
        said += line
    return program


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_a_run_that_can_go_on(number, code, nin, photos):
    program = begun(nin, 60)
    program.send_signal(number)
    out, err = program.communicate(timeout=3000)
    lines = [line for line in err.decode().splitlines() if not line.startswith("epoch")]
    assert lines[0] == ASKED
    stopped = re.fullmatch(
        r"nin: stopped in epoch (\d+) of 60; continue with: nin train --resume runs/photos", lines[1]
    )
    assert (program.returncode, out, len(lines)) == (code, b"", 2)
    assert not [name for name in nin.left() if name.endswith(".tmp")]
    if number == signal.SIGINT:
        outcome = nin("train", "--resume", "runs/photos")
        first, *_, last = [int(LINE.fullmatch(x)[1]) for x in outcome.err.splitlines() if x.startswith("epoch")]
        assert (outcome.code, first, last) == (0, int(stopped[1]), 60)

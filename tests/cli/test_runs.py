"""Real runs of `nin train`: lines in a pipe, a bar on a terminal, Ctrl-C, SIGTERM, going on afterwards."""

import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

QUICK = ("--width", "0.05", "--device", "cpu", "--precision", "float32", "--threads", "1")
LINE = re.compile(
    r"epoch +(\d+)/(\d+)  loss \d\.\d{3}  accuracy [01]\.\d{3}  val [01]\.\d{3}  [\d,]+ img/s  ETA [\d:]+"
)
ASKED = "stopping after this step; Ctrl-C again to stop at once"


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
    assert lines[end + 4].startswith("  nin predict runs/first/model photos/")
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


def on_a_terminal(nin, *words, until, then, **variables):
    """Run in a terminal of 80 columns; type `then` once `until` has been shown; returns exit code and the screen."""
    master, slave = pty.openpty()
    program = subprocess.Popen(
        nin.command(*words), cwd=nin.folder, env=nin.environment(**variables), stdin=slave, stdout=slave, stderr=slave,
        start_new_session=True, preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
    )  # fmt: skip
    os.close(slave)
    shown, typed, give_up = b"", False, time.monotonic() + 300
    while time.monotonic() < give_up:
        if not select.select([master], [], [], 1)[0]:
            continue
        try:
            piece = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        shown += piece
        if not typed and until in shown:
            os.write(master, then)
            typed = True
        if not piece:
            break
    os.close(master)
    return program.wait(timeout=300), shown.decode()


def test_a_terminal_shows_a_bar_and_ctrl_c_stops_it(nin, photos):
    code, screen = on_a_terminal(
        nin, "train", "photos", "--epochs", "400", *QUICK, until=b"  2/400  loss", then=b"\x03"
    )
    assert code == 130
    assert "\x1b[2K" in screen and "━" in screen
    assert re.search(r"ETA \d+:\d\d, run \d+:\d\d", screen)
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", screen)
    assert ASKED in plain
    assert LINE.search(plain)
    assert re.search(r"nin: stopped in epoch \d+ of 400; continue with: nin train --resume runs/photos", plain)


@pytest.mark.parametrize("variables", [{"CI": "true"}, {"TERM": "dumb"}])
def test_no_bar_where_nobody_looks(variables, nin, photos):
    code, screen = on_a_terminal(
        nin, "train", "photos", "--epochs", "400", *QUICK, until=b"  2/400  loss", then=b"\x03", **variables
    )
    assert code == 130
    assert "━" not in screen and "\x1b[2K" not in screen
    assert LINE.search(screen)

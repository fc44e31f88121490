"""Real runs of `nin train` in a terminal of its own: a moving bar, a typed Ctrl-C, and no bar where nobody looks."""

import os
import pty
import re
import select
import subprocess
import time

import pytest
from nin_program import ASKED, LINE, QUICK


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

"""Ctrl-C and SIGTERM within one process: the first asks, the second ends, the handlers of before come back."""

import os
import signal

import pytest

from journeys import PLACES
from nin.cli import main
from nin.cli.progress import ASKED, Lines, Stop, StoppedAtOnce, Terminated
from nin.cli.screen import Screen
from nin.errors import Interrupted


@pytest.fixture(autouse=True)
def handlers():
    """No test leaves a handler behind, and SIGINT works as it does in a program started by a person."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_first_asks_and_the_second_ends(capfd):
    with pytest.raises(KeyboardInterrupt), Stop() as stop:
        assert not Lines(Screen(), stop).should_stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert Lines(Screen(), stop).should_stop()
        assert capfd.readouterr().err == ASKED.decode()
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.getsignal(signal.SIGTERM) is signal.default_int_handler


def test_sigterm_has_its_own_exit_codes():
    with pytest.raises(Terminated, match="saved") as first, Stop():
        os.kill(os.getpid(), signal.SIGTERM)
        raise Interrupted("saved")
    assert first.value.exit_code == 143
    with pytest.raises(StoppedAtOnce) as second, Stop():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
    assert second.value.exit_code == 143


def test_a_program_that_must_not_hear_ctrl_c_does_not():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup leaves it
    with Stop() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.number == 0


def test_reading_pictures_stops_at_the_next_report():
    with Stop() as stop:
        lines = Lines(Screen(quiet=True), stop)
        lines.loading(1, 10)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted, match="nothing was changed"):
            lines.loading(2, 10)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KeyboardInterrupt(), 130, "nin: stopped"),
        (StoppedAtOnce(signal.SIGTERM), 143, "nin: stopped at once"),
        (ValueError("a\nb"), 1, r"nin: unexpected ValueError: a\nb; run again with --debug to see where"),
        (MemoryError(), 1, "nin: there is not enough memory; close other programs"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
            1,
            "nin: there is not enough memory; close other programs",
        ),
        (
            ModuleNotFoundError("No module named 'resvg_py'", name="resvg_py.resvg_py"),
            2,
            'nin: nin doctor needs resvg_py, which is not installed: pip install "network-in-network[train]"',
        ),
        (
            ModuleNotFoundError("No module named 'own'", name="own"),
            1,
            "nin: unexpected ModuleNotFoundError: No module named 'own'; run again with --debug to see where",
        ),
    ],
)
def test_whatever_happens_is_one_line_and_a_code(error, code, line, monkeypatch, capsys):
    def broken():
        raise error

    monkeypatch.setattr("nin.commands.doctor.doctor", broken)
    monkeypatch.setattr("warnings.simplefilter", lambda action: None)
    assert main(["doctor"]) == code
    assert capsys.readouterr() == ("", line + "\n")


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["train", "photos"], "choose a smaller --size or --batch-size, or close other programs"),
        (["train", "--resume", "run"], "close other programs"),
        (["predict", "model", "a.png"], "close other programs"),
        (["serve", "model"], "choose a smaller --max-batch, or close other programs"),
    ],
)
def test_without_memory_only_options_of_the_command_are_advised(words, advice, monkeypatch, capsys):
    def full(*_, **__):
        raise MemoryError

    for name in ("train", "resume", "predict", "serve"):
        monkeypatch.setattr(PLACES[name], full)
    assert main(words) == 1
    assert capsys.readouterr().err == f"nin: there is not enough memory; {advice}\n"

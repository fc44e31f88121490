"""Hardware is chosen by measurement, refused in one line where it is missing, and recorded with what decides bits."""

import os

import pytest
import torch

from nin.errors import UsageError
from nin.training import hardware


def test_the_faster_precision_is_taken(monkeypatch):
    rates = {torch.float32: 1.0, torch.bfloat16: 1.0}
    monkeypatch.setattr(hardware, "matrix_rates", lambda *types: [rates[dtype] for dtype in types])
    assert hardware.choose("cpu", threads=1).precision == "float32"
    rates[torch.bfloat16] = hardware.WORTH_BF16 * 1.01
    assert hardware.choose("cpu", threads=1).precision == "bfloat16"


def test_a_burst_of_another_process_does_not_decide(monkeypatch):
    clock, calls = [0.0], [0]

    def product(left: torch.Tensor, right: torch.Tensor) -> None:
        calls[0] += 1
        busy = 10 if calls[0] <= 8 else 1  # the first products all meet a neighbour
        clock[0] += busy * (0.001 if left.dtype == torch.bfloat16 else 0.002)

    monkeypatch.setattr(hardware.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(hardware.torch, "mm", product)
    single, half = hardware.matrix_rates(torch.float32, torch.bfloat16, size=10)
    assert (single, half) == pytest.approx((5e5, 1e6))


def test_a_type_without_hardware_support_is_tried_once(monkeypatch):
    clock, calls = [0.0], [0]

    def product(left: torch.Tensor, right: torch.Tensor) -> None:
        calls[0] += 1
        clock[0] += 0.7 if left.dtype == torch.bfloat16 else 0.01

    monkeypatch.setattr(hardware.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(hardware.torch, "mm", product)
    assert hardware.choose("cpu", threads=1).precision == "float32"
    assert calls == [2]


def test_matrix_rates_are_rates():
    for rate in hardware.matrix_rates(torch.float32, torch.bfloat16, size=256, repeats=3):
        assert 1e7 < rate < 1e14


def test_threads_are_those_asked_for_and_never_more_than_cores_by_default():
    assert hardware.choose("cpu", threads=1, precision="float32").threads == 1
    assert torch.get_num_threads() == 1
    assert 1 <= hardware.choose("cpu", precision="float32").threads <= len(os.sched_getaffinity(0))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match=r"^device 'cuda' is not usable on this machine; use --device cpu$"):
        hardware.choose("cuda")


def test_unknown_precisions_are_refused():
    with pytest.raises(UsageError, match=r"^precision 'float16' is unknown; use auto, float32 or bfloat16$"):
        hardware.choose("cpu", precision="float16")


def test_the_record_holds_all_that_decides_bits():
    machine = hardware.choose("cpu", threads=1, precision="float32")
    recorded = hardware.numerics(machine)
    assert recorded["threads"] == 1 and recorded["torch"] == torch.__version__ and recorded["cpu"]
    other = hardware.numerics(hardware.Hardware("cpu", 2, "float32"))
    assert [key for key in recorded if recorded[key] != other[key]] == ["threads"]

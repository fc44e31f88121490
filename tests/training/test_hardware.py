"""Hardware is chosen by measurement, refused in one line where it is missing, and recorded with what decides bits."""

import os

import pytest
import torch

from nin.data import machine
from nin.errors import UsageError
from nin.training import hardware


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch, tmp_path):
    monkeypatch.setattr(machine.platformdirs, "user_cache_dir", lambda name: str(tmp_path / "cache" / name))


@pytest.fixture
def rates(monkeypatch):
    """What the next measurement finds; "measured" counts them."""
    found = {torch.float32: 1.0, torch.bfloat16: 1.0, "measured": 0}

    def measure(*types):
        found["measured"] += 1
        return [found[dtype] for dtype in types]

    monkeypatch.setattr(hardware, "matrix_rates", measure)
    return found


@pytest.mark.parametrize(("gain", "precision"), [(0.99, "float32"), (1.01, "bfloat16")])
def test_the_faster_precision_is_taken(rates, gain, precision):
    rates[torch.bfloat16] = hardware.WORTH_BF16 * gain
    assert hardware.choose("cpu", threads=1).precision == precision


def test_the_precision_is_remembered_for_this_processor_and_version(rates, monkeypatch):
    assert hardware.choose("cpu", threads=1).precision == "float32"
    rates[torch.bfloat16] = 2.0  # the same machine at another moment
    assert hardware.choose("cpu", threads=1).precision == "float32" and rates["measured"] == 1
    assert hardware.choose("cpu", threads=1, precision="bfloat16").precision == "bfloat16"
    monkeypatch.setattr(hardware, "cpu_name", lambda: "another processor that sees the same home folder")
    assert hardware.choose("cpu", threads=1).precision == "bfloat16" and rates["measured"] == 2
    monkeypatch.setattr(hardware, "__version__", "9")
    assert hardware.choose("cpu", threads=1).precision == "bfloat16" and rates["measured"] == 3


@pytest.mark.parametrize(
    "left", [b"", b"{", b"[]", b"3", b'{"precision": "float8"}', b'{"precision": []}', b"\xff", None]
)
def test_what_is_not_a_memory_is_measured_again_and_mended(rates, tmp_path, left):
    hardware.choose("cpu", threads=1)
    (kept,) = (tmp_path / "cache" / "nin").iterdir()
    kept.unlink() if left is None else kept.write_bytes(left)
    rates[torch.bfloat16] = 2.0
    assert hardware.choose("cpu", threads=1).precision == "bfloat16"
    rates[torch.bfloat16] = 1.0
    assert hardware.choose("cpu", threads=1).precision == "bfloat16" and rates["measured"] == 2


def test_without_a_usable_cache_folder_it_is_measured_each_time(rates, monkeypatch, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    for _ in range(2):
        assert hardware.choose("cpu", threads=1).precision == "float32"
    monkeypatch.setattr(machine.platformdirs, "user_cache_dir", lambda name: f"~/.cache/{name}")  # HOME of nobody
    monkeypatch.chdir(tmp_path)
    hardware.choose("cpu", threads=1)
    assert rates["measured"] == 3 and [p.name for p in tmp_path.iterdir()] == ["cache"]


def test_a_burst_on_the_same_core_does_not_decide(monkeypatch):
    clock, calls = [0.0], [0]

    def product(left: torch.Tensor, right: torch.Tensor) -> None:
        calls[0] += 1
        busy = 10 if calls[0] <= 8 else 1  # the first products all share their core's caches
        clock[0] += busy * (0.001 if left.dtype == torch.bfloat16 else 0.002)

    monkeypatch.setattr(hardware.time, "thread_time", lambda: clock[0])
    monkeypatch.setattr(hardware.torch, "mm", product)
    single, half = hardware.matrix_rates(torch.float32, torch.bfloat16, size=10)
    assert (single, half) == pytest.approx((5e5, 1e6))


def test_a_type_without_hardware_support_is_tried_once(monkeypatch):
    clock, calls = [0.0], [0]

    def product(left: torch.Tensor, right: torch.Tensor) -> None:
        calls[0] += 1
        clock[0] += 0.7 if left.dtype == torch.bfloat16 else 0.01

    monkeypatch.setattr(hardware.time, "thread_time", lambda: clock[0])
    monkeypatch.setattr(hardware.torch, "mm", product)
    assert hardware.choose("cpu", threads=1).precision == "float32"
    assert calls == [2]


def test_matrix_rates_are_rates():
    for rate in hardware.matrix_rates(torch.float32, torch.bfloat16, size=256, repeats=3):
        assert 1e7 < rate < 1e14


def test_threads_are_those_asked_for_and_never_more_than_cores_by_default():
    one = hardware.choose("cpu", threads=1, precision="float32")
    assert one.threads == 1
    with hardware.applied(one):
        assert torch.get_num_threads() == 1
    assert 1 <= hardware.choose("cpu", precision="float32").threads <= len(os.sched_getaffinity(0))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match=r"(?m)^device 'cuda' is not usable on this machine; use --device cpu$"):
        hardware.choose("cuda")


def test_unknown_precisions_are_refused():
    with pytest.raises(UsageError, match=r"^precision 'float16' is unknown; use auto, float32 or bfloat16$"):
        hardware.choose("cpu", precision="float16")


def test_the_record_holds_all_that_decides_bits():
    chosen = hardware.choose("cpu", threads=1, precision="float32")
    recorded = hardware.numerics(chosen)
    assert recorded["threads"] == 1 and recorded["torch"] == torch.__version__ and recorded["cpu"]
    other = hardware.numerics(hardware.Hardware("cpu", 2, "float32"))
    assert [key for key in recorded if recorded[key] != other[key]] == ["threads"]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ONEDNN_MAX_CPU_ISA", "AVX2", "ONEDNN_MAX_CPU_ISA"),
        ("DNNL_DEFAULT_FPMATH_MODE", "BF16", "ONEDNN_DEFAULT_FPMATH_MODE"),
        ("MKL_CBWR", "COMPATIBLE", "MKL_CBWR"),
        ("ATEN_CPU_CAPABILITY", "default", "ATEN_CPU_CAPABILITY"),
    ],
)
def test_what_environment_variables_choose_is_part_of_the_numerics(name, value, told, monkeypatch):
    for each in hardware.CHOOSING:
        monkeypatch.delenv(each, raising=False)
        monkeypatch.delenv(each.replace("ONEDNN", "DNNL"), raising=False)
    machine = hardware.Hardware("cpu", 1, "float32")
    before = hardware.numerics(machine)
    assert hardware.changes(before, hardware.numerics(machine)) == []
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("MKL_VERBOSE", "1")  # chooses no arithmetic
    now = hardware.numerics(machine)
    assert hardware.changes(before, now) == hardware.changes(now, before) == [told]
    assert hardware.environment(machine)["variables"] == {told: value}
    monkeypatch.setenv(name, "")  # as good as not set
    assert hardware.changes(before, hardware.numerics(machine)) == []
    earlier = {key: found for key, found in before.items() if key not in ("variables", "matmul_precision")}
    assert hardware.changes(earlier, now) == []  # an earlier version did not write them down


def test_what_a_program_told_torch_of_its_products_is_part_of_the_numerics():
    machine = hardware.Hardware("cpu", 1, "float32")
    before = hardware.numerics(machine)
    usual = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert hardware.changes(before, hardware.numerics(machine)) == ["matmul_precision"]
    finally:
        torch.set_float32_matmul_precision(usual)

"""What a process may use: planted control groups of both generations, and real ones where they can be made here."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from nin.data import machine

GIB = 2**30


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """planted(membership, {file: text}) makes control groups; 8 cores may be run on; memory is the machine's own."""

    def plant(membership: str, files: dict[str, str]) -> None:
        monkeypatch.setattr(machine, "_GROUPS", tmp_path)
        monkeypatch.setattr(machine, "_MEMBERSHIP", tmp_path / "membership")
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)), raising=False)
        (tmp_path / "membership").write_text(membership)
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)

    return plant


def stat(active: int, inactive: int, prefix: str = "") -> str:
    return f"cache 1\n{prefix}active_file {active}\n{prefix}inactive_file {inactive}\n"


V1_MEMBERSHIP = "9:name=systemd:/\n4:memory:/box/own\n2:cpuacct,cpu:/box/own\n1:cpuset:/\n"


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "20000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "9900000 100000\n"}, 8),
        ("0::/system.slice/nin.service\n", {"system.slice/nin.service/cpu.max": "300000 100000\n"}, 3),
        ("0::/system.slice/nin.service\n", {"system.slice/cpu.max": "400000 100000\n"}, 4),
        ("0::/../outside\n", {"cpu.max": "100000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "nonsense\n"}, 8),
        ("0::/\n", {"cpu.max": "100000 0\n"}, 8),
        ("0::/\n", {}, 8),
        ("nonsense\n\n", {"cpu.max": "100000 100000\n"}, 1),
        (V1_MEMBERSHIP, {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        (V1_MEMBERSHIP, {"cpu/box/cpu.cfs_quota_us": "250000\n", "cpu/box/cpu.cfs_period_us": "100000\n"}, 3),
        (V1_MEMBERSHIP, {"memory/box/cpu.cfs_quota_us": "100000\n", "memory/box/cpu.cfs_period_us": "100000\n"}, 8),
    ],
)
def test_cores_are_those_that_the_quota_of_any_group_above_pays_for(membership, files, cores, planted):
    planted(membership, files)
    assert machine.usable_cores() == cores


@pytest.mark.parametrize(
    ("membership", "files", "free"),
    [
        ("0::/a/b\n", {"a/memory.max": f"{GIB}", "a/memory.current": "1000", "a/memory.stat": stat(0, 0)}, GIB - 1000),
        ("0::/\n", {"memory.max": f"{GIB}", "memory.current": f"{GIB}", "memory.stat": stat(30, 12)}, 42),
        ("0::/\n", {"memory.max": "1000", "memory.current": "2000", "memory.stat": stat(0, 0)}, 0),
        ("0::/\n", {"memory.max": "max", "memory.current": "5", "memory.stat": stat(0, 0)}, None),
        ("0::/\n", {"memory.max": "1000"}, None),
        (
            V1_MEMBERSHIP,
            {
                "memory/box/own/memory.limit_in_bytes": "9223372036854771712",
                "memory/box/own/memory.usage_in_bytes": "5",
                "memory/box/own/memory.stat": stat(0, 0, "total_"),
                "memory/box/memory.limit_in_bytes": f"{GIB}",
                "memory/box/memory.usage_in_bytes": f"{GIB // 2}",
                "memory/box/memory.stat": stat(100, 200) + stat(1, 2, "total_"),
            },
            GIB // 2 + 3,
        ),
    ],
)
def test_memory_is_what_the_tightest_group_has_left_and_cached_files_are_no_use(membership, files, free, planted):
    planted("", {})
    without = machine.available_memory()
    planted(membership, files)
    with_groups = machine.available_memory()
    assert with_groups == free if free is not None else abs(with_groups - without) < without / 2


def test_memory_is_plausible():
    assert 0 < machine.available_memory() <= psutil.virtual_memory().total


@pytest.fixture
def group(tmp_path):
    """group(controller, {file: text}) makes a real control group of the first generation, or skips."""
    with ExitStack() as stack:

        def make(controller: str, limits: dict[str, str]) -> Path:
            folder = Path("/sys/fs/cgroup") / controller / f"nin-test-{os.getpid()}"
            try:
                folder.mkdir()
                stack.callback(folder.rmdir)
                for name, text in limits.items():
                    (folder / name).write_text(text)
            except OSError as error:
                pytest.skip(f"no control group can be made here: {error}")
            return folder

        yield make


def inside(folder: Path, code: str) -> str:
    """What a Python process in that group prints."""
    join = f"open({str(folder / 'cgroup.procs')!r}, 'w').write('0')\nfrom nin.data import machine\n"
    done = subprocess.run([sys.executable, "-c", join + code], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def test_a_real_quota_counts(group):
    assert inside(group("cpu", {"cpu.cfs_quota_us": "50000"}), "print(machine.usable_cores())").strip() == "1"


def test_a_real_limit_of_memory_counts_and_files_take_nothing_away(group, tmp_path):
    code = f"""
before = machine.available_memory()
with open({str(tmp_path / "large")!r}, "wb") as file:
    for _ in range(200):
        file.write(bytes(2**20))
kept = bytearray(b"x" * (100 * 2**20))
print(before, machine.available_memory())
"""
    folder = group("memory", {"memory.limit_in_bytes": str(400 * 2**20)})
    before, after = map(int, inside(folder, code).split())
    assert 300 * 2**20 < before <= 400 * 2**20
    assert 80 * 2**20 < before - after < 120 * 2**20


INTEL = (
    "processor\t: 0\nmodel name\t: Intel(R) Xeon(R)  8480+\nflags\t\t: fpu avx512_vnni amx_int8\nvmx flags\t: vnmi\n"
)
ARM = "processor\t: 0\nFeatures\t: fp asimd i8mm\nCPU part\t: 0xd40\n"


@pytest.mark.parametrize(
    ("text", "name", "features"),
    [
        (INTEL + INTEL.replace("8480+", "other"), "Intel(R) Xeon(R)  8480+", {"fpu", "avx512_vnni", "amx_int8"}),
        (ARM, "of the platform", {"fp", "asimd", "i8mm"}),
        ("", "of the platform", set()),
        (None, "of the platform", set()),
    ],
)
def test_the_processor_is_read_as_the_system_tells_it(text, name, features, tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_PROCESSOR", tmp_path / "cpuinfo")
    monkeypatch.setattr(machine.platform, "processor", lambda: "of the platform")
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    assert (machine.cpu_name(), machine.cpu_features()) == (name, features)

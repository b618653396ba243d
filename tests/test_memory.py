"""Freed memory is kept for the next large block; what there is, and what was held."""

import os
import platform
import subprocess
import sys

import pytest

from normwise import memory
from normwise.memory import (
    available_memory,
    keep_freed_memory,
    peak_memory,
    return_freed_memory,
)

GLIBC = platform.libc_ver()[0] == "glibc"
BLOCKS = """
import resource
import numpy as np
from normwise.memory import keep_freed_memory
if {asked}:
    assert keep_freed_memory()
def blocks():
    for _ in range(20):
        np.ones(8_000_000).sum()
blocks()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
blocks()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(asked: bool) -> int:
    """Page faults of twenty blocks of 64 MB, one after the other."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    code = BLOCKS.format(asked=asked)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=clean
    )
    return int(done.stdout)


@pytest.mark.skipif(not GLIBC, reason="only glibc can be asked")
def test_a_freed_block_is_used_again_without_new_faults():
    unasked = faults(asked=False)
    if unasked < 100:
        pytest.skip("something else keeps this process's memory already")
    assert faults(asked=True) < unasked / 10


def test_elsewhere_nothing_is_asked(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()


GAPS = """
import re
import numpy as np
from normwise.memory import keep_freed_memory, return_freed_memory
assert keep_freed_memory()
def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1])
blocks = [np.ones(100_000) for _ in range(200)]
del blocks[::2]
before = resident()
assert return_freed_memory()
print(before - resident())
"""


@pytest.mark.skipif(not GLIBC, reason="only glibc can be asked")
def test_what_is_free_between_used_blocks_is_given_back():
    done = subprocess.run([sys.executable, "-c", GAPS], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 50_000  # kB, of the 80 MB that were freed


def test_elsewhere_nothing_is_given_back(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not return_freed_memory()


@pytest.fixture
def system(monkeypatch, tmp_path):
    """Writes files of a system that has none yet."""
    monkeypatch.setattr(memory, "SYSTEM", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "MEMBERSHIP", tmp_path / "self")
    monkeypatch.setattr(memory, "GROUPS", tmp_path / "groups")

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")

    return write


def test_what_can_be_given_up_is_available(system):
    """Pages of files are no use of memory, and a container has what its own limit leaves."""
    assert available_memory() == 2**32
    system("meminfo", "MemTotal: 8000 kB\nMemFree: 1000 kB\nMemAvailable: 5000 kB")
    assert available_memory() == 5000 * 1024
    system("groups/memory.current", "3000000")
    system("groups/memory.stat", "anon 1000000\nfile 2000000\ninactive_file 1500000")
    system("groups/memory.max", "4000000")
    assert available_memory() == 4_000_000 - 3_000_000 + 1_500_000
    system("groups/memory.max", "max")
    assert available_memory() == 5000 * 1024


V2 = "memory.max", "memory.current", "inactive_file"
V1 = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"


def group(system, place, limit, used=0, cached=0):
    version = V1 if place.startswith("memory") else V2
    for name, value in zip((*version[:2], "memory.stat"), (limit, used, None), strict=True):
        told = f"anon 7\n{version[2]} {cached}" if value is None else value
        system(f"groups/{place}/{name}", told)


def test_the_limit_of_a_job_holds(system):
    """That of its own group, of those around it, or of a container that sees no others."""
    system("meminfo", "MemAvailable: 900000 kB")
    system("self", "0::/user.slice/job.scope")
    group(system, "user.slice/job.scope", 10**8, 10**7, 10**6)
    group(system, "user.slice", "max", 10**7)
    assert available_memory() == 10**8 - 10**7 + 10**6
    group(system, "user.slice", 10**8, 9 * 10**7)
    assert available_memory() == 10**7
    group(system, "user.slice", 10**8, 2 * 10**8)
    assert available_memory() == 0
    system("self", "0::/other:with/colons\nno line of the list")  # whose folder isn't there
    assert available_memory() == 900_000 * 1024
    group(system, ".", 5 * 10**7)
    assert available_memory() == 5 * 10**7
    system("self", "0::/../user.slice")  # beside the group that can be seen
    assert available_memory() == 5 * 10**7


def test_the_limit_of_a_job_holds_with_the_first_version(system):
    system("self", "5:cpu,cpuacct:/slurm\n4:hugetlb,memory:/slurm/job\n1:name=systemd:/\n0::/")
    none = 2**63 - 4096
    for place in ("memory/slurm/job", "memory/slurm", "memory"):
        group(system, place, none, 10**7)
    assert available_memory() == 2**32
    group(system, "memory/slurm", 10**8, 10**7, 10**6)
    assert available_memory() == 10**8 - 10**7 + 10**6
    group(system, "memory/slurm/job", 3 * 10**7, 10**7)
    assert available_memory() == 2 * 10**7
    system("groups/memory/slurm/job/memory.stat", "damaged")
    system("groups/memory/slurm/job/memory.usage_in_bytes", "")
    assert available_memory() == 3 * 10**7
    # In a container the system may name a group that only its host sees.
    system("self", "4:memory:/docker/abc")
    assert available_memory() == 2**32
    group(system, "memory", 10**7, 10**6)
    assert available_memory() == 9 * 10**6


PEAK = """
from normwise.memory import peak_memory
block = b"x" * 2**26
del block
print(peak_memory())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems say it otherwise")
def test_a_process_has_held_what_it_held_itself_not_what_its_parent_did():
    held = b"x" * 2**28
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    assert 2**26 < int(done.stdout) < len(held)


def test_the_most_that_was_held_where_the_system_says_it_otherwise(monkeypatch, tmp_path):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(memory, "OWN", tmp_path / "status")
    unit = 1 if sys.platform == "darwin" else 1024
    assert peak_memory() == resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    (tmp_path / "status").write_text("Name:\tpython\nVmHWM:\t    5000 kB\nVmRSS:\t 10 kB\n")
    assert peak_memory() == 5000 * 1024
    monkeypatch.setitem(sys.modules, "resource", None)
    (tmp_path / "status").write_text("Name:\tpython\n")
    assert peak_memory() is None

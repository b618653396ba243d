"""Freed memory is kept for the next large block."""

import os
import platform
import subprocess
import sys

import pytest

from normwise.memory import keep_freed_memory, return_freed_memory

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

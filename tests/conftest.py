"""Settings that every test shares: backend, threads, memory, log level, hypothesis profiles."""

import gc
import os
from contextlib import nullcontext
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "2")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "2")
os.environ.setdefault("OMP_NUM_THREADS", "2")

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, settings

from normwise.memory import keep_freed_memory
from normwise.syntax_trees import guard_syntax_trees

keep_freed_memory()
guard_syntax_trees()

settings.register_profile(
    "local", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("ci", settings.get_profile("local"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


TESTS = Path(__file__).parent
UNCOUNTED = (
    "comparison", "data", "distributed", "rasters", "reliability", "report", "training",
    "test_docs.py",
    "norms/test_round_trip.py", "surgery/test_random_graphs.py", "workflows/test_check_data.py",
    "workflows/test_compare.py", "workflows/test_configure", "workflows/test_cross_validation.py",
    "workflows/test_demo.py", "workflows/test_missing_pixels.py", "workflows/test_moved_runs.py",
)  # fmt: skip
"""Tests in which no lines are counted: those of packages whose coverage nobody asks for, and those
that try what others have run already in many ways. tools/check_coverage.py says what is held."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Lines are counted where it matters alone, for Python takes twice as long then and longer."""
    counting = Coverage.current()
    if counting is None or not str(item.path.relative_to(TESTS)).startswith(UNCOUNTED):
        return (yield)
    counting.stop()
    try:
        return (yield)
    finally:
        counting.start()


def pytest_collection_finish() -> None:
    """What was imported stays: no collection of garbage looks through it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module")
def no_pictures():
    """Runs draw no pictures and write no page, which is a good part of what a tiny one takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("normwise.training.finishing.draw_run", lambda *_: None)
        patch.setattr("normwise.training.run.reported", lambda *_: nullcontext())
        yield

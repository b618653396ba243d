"""Settings that every test shares: backend, threads, memory, log level, hypothesis profiles."""

import gc
import os
from collections import Counter
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

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
    "networks/test_encoders.py::test_pretrained", "norms/test_round_trip.py",
    "rules/test_applications.py", "surgery/test_applications.py",
    "surgery/test_fold.py::test_applications", "surgery/test_random_graphs.py", "test_docs.py",
    "workflows/test_check_data.py", "workflows/test_compare.py", "workflows/test_configure",
    "workflows/test_cross_validation.py", "workflows/test_demo.py",
    "workflows/test_missing_pixels.py", "workflows/test_moved_runs.py",
)  # fmt: skip
"""Tests in which no lines are counted, for Python takes twice as long then and longer: those of
packages whose coverage nobody asks for, and those that try what others have run already in many
ways. tools/check_coverage.py says what is held."""
HELD = ("graph", "inference", "keras_format", "networks", "norms", "rules", "surgery")
"""Packages whose coverage is held."""
LONG = (
    "norms/test_round_trip.py", "workflows/test_compare.py", "test_docs.py",
    "workflows/test_check_data.py", "workflows/test_cross_validation.py",
    "training/test_deep_supervision.py", "surgery/test_random_graphs.py",
    "training/test_batch_renorm.py", "training/test_rate_finder.py", "distributed/test_ray.py",
    "workflows/test_demo.py", "surgery/test_applications.py", "training/test_killed_run.py",
    "workflows/test_missing_pixels.py", "training/test_distribution.py",
)  # fmt: skip
"""Files of few tests that take long."""


def name_of(item: pytest.Item) -> str:
    """Like `norms/test_plan.py::test_canonical_texts_stay`, also where pytest began elsewhere."""
    return f"{item.path.relative_to(TESTS).as_posix()}::{item.name}"


def is_counted(name: str) -> bool:
    """Whether lines are counted in a test."""
    return not name.startswith(UNCOUNTED)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Lines are counted where it matters alone."""
    counting = Coverage.current()
    if counting is None or is_counted(name_of(item)):
        return (yield)
    counting.stop()
    try:
        return (yield)
    finally:
        counting.start()


def pytest_collection(session: pytest.Session) -> None:
    """Most of what tests import is Keras with its backend, whose lines nobody counts."""
    counting = Coverage.current()
    if counting is not None and hasattr(session.config, "workerinput"):
        counting.stop()
        import_module("keras")
        counting.start()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Several processes take the long files first, lest one is left with such a file at the end."""
    if hasattr(config, "workerinput"):
        files = Counter(item.path for item in items)
        ranks = {TESTS / name: rank for rank, name in enumerate(LONG)}
        items.sort(key=lambda item: (ranks.get(item.path, len(LONG)), -files[item.path]))


def pytest_collection_finish() -> None:
    """What was imported stays: no collection of garbage looks through it again.

    Where lines are counted all that is held is imported by now, else those of a module that a test
    without counting is the first to import would be missed.
    """
    for name in HELD if Coverage.current() is not None else ():
        package = import_module(f"normwise.{name}")
        for found in walk_packages(package.__path__, f"{package.__name__}."):
            import_module(found.name)
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module")
def no_pictures():
    """Runs draw no pictures and write no page, which is a good part of what a tiny one takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("normwise.training.finishing.draw_run", lambda *_: None)
        patch.setattr("normwise.training.run.reported", lambda *_: nullcontext())
        yield


@pytest.fixture
def forbid(monkeypatch):
    """Takes all permissions of folders away, also from root, to whom nothing is denied."""
    closed: set[Path] = set()

    def denied(real, inside_only):
        def tried(path, *rest, **more):
            places = set(Path(path).parents) if isinstance(path, (str, Path)) else set()
            if not inside_only:
                places |= {Path(path)}
            if closed & places:
                raise PermissionError(13, "Permission denied", str(path))
            return real(path, *rest, **more)

        return tried

    monkeypatch.setattr(os, "stat", denied(os.stat, True))
    monkeypatch.setattr(os, "listdir", denied(os.listdir, False))
    return closed.add

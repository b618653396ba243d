"""Settings that every test shares: backend, threads, memory, log level, hypothesis profiles."""

import gc
import os
from contextlib import nullcontext

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "2")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "2")
os.environ.setdefault("OMP_NUM_THREADS", "2")

import pytest
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

"""A Ray cluster of two workers for tests that need one, and what its workers are at."""

import contextlib
import logging
import os
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[1]
TWO_WORKERS = 4
"""Processors as Ray counts them: tests compute with two threads."""


@pytest.fixture(scope="module")
def ray_cluster():
    """This process is connected to two workers; tests without Ray are skipped."""
    from normwise.distributed.ray_connection import installed

    pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Else workers get nearly nothing of a machine that is busy with other tests.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - the name is Ray's
    kept = os.environ.get("PYTHONPATH")
    # Workers find what tests ask for.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    ray = installed()
    ray.init("local", num_cpus=TWO_WORKERS, include_dashboard=False, log_to_driver=False,
             logging_level=logging.ERROR)  # fmt: skip
    yield ray
    ray.shutdown()
    os.environ.pop("PYTHONPATH")
    if kept is not None:
        os.environ["PYTHONPATH"] = kept


def workers_at_work():
    """How many workers are doing a task."""
    count = 0
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            dead = child.status() == psutil.STATUS_ZOMBIE
            count += not dead and child.name().startswith("ray::carried")
    return count

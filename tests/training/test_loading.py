"""Batches prepared by threads come in order; errors arrive, and threads end."""

import threading
import time

import numpy as np
import pytest

from normwise.training.loading import loaded

from .stand_in import Batches


class Uneven(Batches):
    """Later steps are ready first."""

    def __getitem__(self, step):
        time.sleep(0.02 if step % 2 == 0 else 0)
        return np.array([step]), np.array([0]), np.array([0])


def test_batches_come_in_order_and_prepared():
    found = [x[0] for x, _, _ in loaded(Uneven(7), 7, 3, lambda b: (b[0] * 10, b[1], b[2]))]
    assert found == [0, 10, 20, 30, 40, 50, 60]


@pytest.mark.parametrize(("steps", "workers"), [(1, 1), (3, 8), (10, 2)])
def test_any_number_of_steps(steps, workers):
    found = [x[0] for x, _, _ in loaded(Uneven(4), steps, workers, lambda batch: batch)]
    assert found == [step % 4 for step in range(steps)]


def test_an_error_of_a_thread_arrives():
    def fail(batch):
        raise ValueError("broken file")

    with pytest.raises(ValueError, match="broken file"):
        list(loaded(Batches(), 4, 2, fail))


def test_threads_end_with_the_generator():
    ready = loaded(Uneven(100), 100, 2, lambda batch: batch)
    next(ready)
    ready.close()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not any(t.name.startswith("normwise-batches") for t in threading.enumerate()):
            return
        time.sleep(0.02)
    raise AssertionError("threads are still there")

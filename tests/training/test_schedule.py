"""Learning rates over a run: restarts, one cycle, constant, and the shortest runs."""

import numpy as np
import pytest

from normwise.errors import RecipeError
from normwise.training.schedule import learning_rate_schedule
from normwise.training.training_settings import TrainingSettings

pytestmark = pytest.mark.backends


def rates(total, **settings):
    schedule = learning_rate_schedule(TrainingSettings(**settings), total)
    return np.array([float(schedule(step)) for step in range(total)])


def test_restarts_are_half_cosines_from_the_full_rate():
    found = rates(90, learning_rate=0.1, warmup=0.1, schedule="cosine-restarts", cycles=3)
    np.testing.assert_allclose(found[:9], 0.1 * np.arange(1, 10) / 10, rtol=1e-5, atol=0)
    half = 0.05 * (1 + np.cos(np.pi * np.arange(27) / 27))
    np.testing.assert_allclose(found[9:], np.tile(half, 3), rtol=1e-4, atol=1e-7)
    assert found[35] < 0.01
    assert found[36] > 0.099


def test_one_cycle_is_the_cosine():
    one = rates(50, schedule="cosine-restarts", cycles=1)
    np.testing.assert_allclose(one, rates(50), rtol=1e-3, atol=1e-9)
    assert not np.allclose(one, rates(50, schedule="cosine-restarts", cycles=2), rtol=1e-3)


def test_constant_stays_after_its_warm_up():
    found = rates(20, learning_rate=0.1, warmup=0.2, schedule="constant")
    np.testing.assert_allclose(found[:4], [0.02, 0.04, 0.06, 0.08], rtol=1e-5, atol=0)
    np.testing.assert_allclose(found[4:], 0.1, rtol=1e-6, atol=0)


@pytest.mark.parametrize("schedule", ["cosine", "cosine-restarts", "constant"])
@pytest.mark.parametrize("total", [1, 2, 3])
def test_the_shortest_runs_have_a_rate(schedule, total):
    assert rates(total, learning_rate=0.1, warmup=0.9, schedule=schedule)[0] > 0


def test_a_rate_that_is_not_found_yet_is_said():
    with pytest.raises(RecipeError, match="--find-rate"):
        rates(5, learning_rate="auto")

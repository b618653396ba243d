"""How far two runs of a model are apart."""

import numpy as np
import pytest

from normwise.inference.agreement import deviation

WANTED = np.array([[-1.0, 3.0], [0.0, 1.0]])


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (WANTED, 0.0),
        (WANTED + 0.4 * (WANTED == 3), 0.1),
        (WANTED[:1], np.inf),
        (np.where(WANTED == 3, np.nan, WANTED), np.inf),
        (np.where(WANTED == 3, np.inf, WANTED), np.inf),
    ],
)
def test_differences_are_shares_of_the_range(found, expected):
    assert deviation([WANTED], [found]) == pytest.approx(expected, rel=1e-12)


def test_outputs_that_hardly_vary_are_measured_by_their_size():
    flat = np.array([1000.0, 1000.0 + 1e-4])
    assert deviation([flat], [flat + 1e-3]) == pytest.approx(1e-4, rel=1e-3)
    assert deviation([np.zeros(2)], [np.array([0.0, 0.5])]) == 0.5


def test_the_worst_output_counts_and_none_may_lack():
    assert deviation([WANTED, WANTED], [WANTED, WANTED + 1]) == 0.25
    assert deviation([WANTED, WANTED], [WANTED]) == np.inf
    both = np.where(WANTED == 3, np.nan, WANTED)
    assert deviation([both], [both]) == 0
    nothing = np.full(3, np.nan)
    assert deviation([nothing], [nothing]) == 0

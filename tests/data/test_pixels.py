"""Which pixels hold no measurement."""

import numpy as np
import pytest

from normwise.data.pixels import marks_of, missing_in


@pytest.mark.parametrize(
    ("pixels", "nodata", "missing"),
    [
        (np.array([0, -9999], np.int16), -9999, [False, True]),
        (np.array([0, 1], np.uint8), -9999, None),
        (np.array([0, 1], np.uint8), 0.5, None),
        (np.array([0, 1], np.uint8), np.nan, None),
        (np.array([0, 1], np.int16), None, None),
        (np.array([0, 1], np.int16), 7, None),
        (np.array([0, np.nan], np.float32), None, [False, True]),
        (np.array([0, np.nan], np.float32), np.nan, [False, True]),
        (np.array([0, np.nan, 5], np.float64), 5, [False, True, True]),
        # As headers write the lowest float32.
        (np.array([0, np.finfo("f4").min], np.float32), -3.40282346600000016e38, [False, True]),
        (np.array([0, np.inf], np.float32), np.inf, [False, True]),
        (np.array([0, 5, 7], np.int16), (5, 7.0, 0.5), [False, True, True]),
        (np.array([0, np.nan, 7], np.float32), (7.0,), [False, True, True]),
        (np.array([0, 1], np.uint8), (), None),
    ],
)
def test_missing(pixels, nodata, missing) -> None:
    found = missing_in(pixels, nodata)
    assert (None if found is None else found.tolist()) == missing


def test_booleans_have_marks_too() -> None:
    pixels = np.array([True, False])
    assert missing_in(pixels, 255) is None
    np.testing.assert_array_equal(missing_in(pixels, 0.0), [False, True])


def test_every_mark_that_anybody_tells_counts_once() -> None:
    assert marks_of(None, 5, np.nan, 5.0, -1) == (5.0, -1.0)
    assert marks_of(None) == marks_of() == ()

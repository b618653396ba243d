"""Which pixels hold no measurement."""

import numpy as np
import pytest

from normwise.data.pixels import infinite_in, marks_of, missing_in


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
        # The logarithm of an empty border.
        (np.array([0, -np.inf, np.inf], np.float32), None, [False, True, True]),
        (np.array([0, -np.inf, 5], np.float16), 5, [False, True, True]),
        # A network would get infinity, for it takes float32.
        (np.array([3e38, 1e39, -1e39, np.nan, 7]), 7, [False, True, True, True, True]),
        (np.array([3e38, -np.finfo("f4").max]), None, None),
        (np.array([60_000], np.float16), None, None),
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


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_infinite_values_are_found_but_for_those_that_are_marked(dtype) -> None:
    pixels = np.array([0, np.nan, np.inf, -np.inf, 5], dtype)
    np.testing.assert_array_equal(infinite_in(pixels), [False, False, True, True, False])
    np.testing.assert_array_equal(
        infinite_in(pixels, (-np.inf, 5.0)), [False, False, True, False, False]
    )
    assert infinite_in(pixels, (-np.inf, np.inf)) is None
    assert infinite_in(pixels[:2]) is None


def test_what_float32_cannot_hold_is_infinite() -> None:
    pixels = np.array([1e39, -1e300, 3e38])
    np.testing.assert_array_equal(infinite_in(pixels), [True, True, False])
    np.testing.assert_array_equal(infinite_in(pixels, (-1e300,)), [True, False, False])
    assert infinite_in(np.array([2**31 - 1], np.int32)) is None


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_one_pixel_that_is_no_number_is_found_among_the_largest(dtype, odd):
    """Sums overflow, and infinities of both signs cancel to NaN; neither hides or invents any."""
    pixels = np.full((64, 65), np.finfo(dtype).max / 2 if dtype != np.float64 else 1e38, dtype)
    assert missing_in(pixels, None) is None and infinite_in(pixels) is None
    pixels[3, 4] = odd
    expected = np.zeros(pixels.shape, bool)
    expected[3, 4] = True
    np.testing.assert_array_equal(missing_in(pixels, None), expected)
    pixels[5, 6] = -odd
    expected[5, 6] = True
    np.testing.assert_array_equal(missing_in(pixels, None), expected)
    if np.isnan(odd):
        assert infinite_in(pixels) is None
    else:
        np.testing.assert_array_equal(infinite_in(pixels), expected)

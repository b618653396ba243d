"""Amounts of memory and time, as people write them."""

import pytest

from normwise.errors import NormwiseError, RecipeError
from normwise.workflows.amounts import bytes_of, seconds_of


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GB", 4 * 10**9), ("1.5 GiB", 3 * 2**29), ("800M", 8 * 10**8), (1234, 1234), (None, None)],
)
def test_memory(text, size):
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["0", "-1GB", "much", "", "4 GBit"])
def test_what_is_no_memory_is_refused(text):
    with pytest.raises(NormwiseError, match="expected an amount such as 4GB"):
        bytes_of(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("10min", 600), ("90s", 90), ("1.5 h", 5400), ("30", 30), (12.5, 12.5)]
)
def test_times(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["0min", "-3s", "soon", "", "5 days"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(RecipeError, match="expected a time above 0"):
        seconds_of(text)

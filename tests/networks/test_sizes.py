"""Checks of input shapes and numbers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normwise.errors import NetworkError
from normwise.networks.sizes import (
    check_choice,
    check_input,
    check_positive,
    per_level,
    widths_of,
)


@given(st.integers(-50, 600), st.sampled_from([1, 2, 8, 64]))
def test_exactly_the_multiples_fit_and_the_message_names_two(size: int, stride: int) -> None:
    if size > 0 and size % stride == 0:
        check_input("net", (size, size, 1), stride)
        return
    with pytest.raises(NetworkError) as caught:
        check_input("net", (size, stride, 1), stride)
    assert "use " in str(caught.value) and f"height {size}" in str(caught.value)
    named = str(caught.value).partition("use ")[2].partition(", or None")[0].split(" or ")
    for fits in map(int, named):
        check_input("net", (fits, fits, 1), stride)


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "3", None])
def test_numbers_that_are_none(value: Any) -> None:
    with pytest.raises(NetworkError, match=r"net: width is .*whole number above 0"):
        check_positive("net", width=value)


def test_choices() -> None:
    check_choice("net", "how", "a", ("a", "b"))
    with pytest.raises(NetworkError, match="net: how is 'c'; expected one of 'a', 'b'"):
        check_choice("net", "how", "c", ("a", "b"))


def test_widths_are_doubled_or_given() -> None:
    assert widths_of("net", 4, 3) == (4, 8, 16, 32)
    assert widths_of("net", [4, 6, 6], 2) == (4, 6, 6)
    for filters in ([4, 6], [4, 0, 6], "468", 2.0):
        with pytest.raises(NetworkError, match=r"net: filters is .* or 3 of them: one for each"):
            widths_of("net", filters, 2)  # type: ignore[arg-type]
    with pytest.raises(NetworkError, match="net: filters is -1"):
        widths_of("net", -1, 2)
    assert per_level("net", "blocks", 2, 3) == (2, 2, 2)


def test_shapes_of_another_rank_are_refused() -> None:
    check_input("net", (8, None, 16, 1), 8)
    with pytest.raises(NetworkError, match=r"slices 12 isn't divisible .* use 8 or 16"):
        check_input("net", (12, 8, 8, 1), 8)
    for shape in ((8, 1), (8, 8, 8, 8, 1), 8, "881", (8, 8, None), (8, 8, 8, 0)):
        with pytest.raises(NetworkError, match="or \\(slices, height, width, channels\\)"):
            check_input("net", shape, 8)  # type: ignore[arg-type]
    with pytest.raises(NetworkError, match="expected \\(height, width, channels\\) with"):
        check_input("net", (8, 8, 8, 1), 8, ranks=(2,))

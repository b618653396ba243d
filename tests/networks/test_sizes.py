"""Checks of input shapes and numbers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normwise.errors import NetworkError
from normwise.networks.sizes import check_choice, check_input, check_positive


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

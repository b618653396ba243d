"""Numbers as files hold them."""

import math

import pytest

from normwise.rules.context.numbers import LARGEST, number, share_below


@pytest.mark.parametrize("value", [True, None, "0.9", (0.9,), LARGEST, -LARGEST, 10**400, math.inf])
def test_what_is_no_number_that_anybody_meant(value):
    assert number(value) is None


@pytest.mark.parametrize("value", [0, 0.9, -3, LARGEST - 1])
def test_a_setting_is_a_number(value):
    assert number(value) == value


@pytest.mark.parametrize(("limit", "share"), [(1.0, 0.0), (1.5, 0.25), (9.0, 1.0)])
def test_the_share_below_a_limit(limit, share):
    assert share_below([1.0, 2.0, 3.0, 4.0], limit) == share

"""Axes, channels and parameters."""

import pytest

from normwise.rules.sketches import Sketch
from tests.rules.context.chains import at, chain


def test_sizes_of_what_a_norm_reads():
    context = chain()
    norm = at(context, "norm")
    assert context.axes_of(norm) == (3,) and context.channels_read(norm) == 8


@pytest.mark.parametrize("axis", [4, -5, None, "x"])
def test_an_axis_that_is_none_is_unknown(axis):
    net = Sketch()
    context = net.context(net.norm(net.conv(8, net.input(16, 16, 3)), axis=axis, name="norm"))
    assert context.axes_of(at(context, "norm")) is None


def test_parameters_of_layers_and_of_the_model():
    context = chain()
    assert context.parameters["conv"] == 3 * 9 * 8 + 8 and context.parameters["norm"] == 4 * 8
    assert context.total_parameters == 3 * 9 * 8 + 8 + 4 * 8
    net = Sketch()
    unknown = net.context(net.add("Mine", net.conv(8, net.input(16, 16, 3))))
    assert unknown.total_parameters is None


def test_numbers_that_nobody_meant_are_unknown():
    net = Sketch()
    context = net.context(net.conv(10**4000, net.input(16, 16, 3), name="conv"))
    assert context.parameters["conv"] is None
    assert context.channels_made(at(context, "conv")) is None

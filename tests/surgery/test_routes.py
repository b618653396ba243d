"""Ways from a norm to the layers that take it over: long ones, and such that meet again."""

import numpy as np
import pytest

from normwise.rules.sketches import Sketch
from normwise.surgery.passing import Affine
from normwise.surgery.routes import back, forward

CHANNELS = 3
LONG = 1500
"""More than Python's stack has room for."""


class Standing:
    """A graph in which every linear layer takes a fold."""

    def __init__(self, graph):
        self.graph, self.gone, self.alone, self.asked = graph, set(), {}, 0

    def problem(self, index):
        self.asked += 1
        assert index >= 0

    def channels(self, index, made):
        node = self.graph.nodes[index]
        return node.shape[-1] if made else self.graph.spec(node.inputs[0]).shape[-1]


def affine(channels=CHANNELS):
    return Affine(3, 4, np.arange(1.0, channels + 1), np.arange(channels) / 10)


def named(graph, route):
    return [graph.nodes[part.index].name for part in route.parts]


def test_ways_that_meet_again_are_followed_once():
    net = Sketch()
    x = net.norm(net.conv(CHANNELS, net.input(4, 4, 2)), name="norm")
    for _ in range(12):
        x = net.add("Concatenate", x, net.add("Dropout", x))
    graph = net.graph(net.conv(1, x, size=1, name="head"))
    standing = Standing(graph)
    route = forward(standing, graph.index["norm"], affine())
    assert named(graph, route) == ["head"] and standing.asked == 1
    (part,) = route.parts
    # All copies of the channels, each with the map of the one that it is.
    np.testing.assert_array_equal(part.affine.scale, np.tile(affine().scale, 2**12))
    np.testing.assert_array_equal(part.affine.shift, np.tile(affine().shift, 2**12))


def test_a_way_that_bypasses_the_norm_stays_as_it_is():
    net = Sketch()
    raw = net.conv(CHANNELS, net.input(4, 4, 2))
    x = net.norm(raw, name="norm")
    x = net.add("Concatenate", net.add("Concatenate", x, raw), net.add("Dropout", x), raw)
    graph = net.graph(net.conv(1, x, size=1))
    (part,) = forward(Standing(graph), graph.index["norm"], affine()).parts
    ones, zeros = np.ones(CHANNELS), np.zeros(CHANNELS)
    scale, shift = affine().scale, affine().shift
    np.testing.assert_array_equal(part.affine.scale, np.concatenate([scale, ones, scale, ones]))
    np.testing.assert_array_equal(part.affine.shift, np.concatenate([shift, zeros, shift, zeros]))


@pytest.mark.parametrize("layer", ["Dropout", "UpSampling2D"])
def test_a_long_way_forward(layer):
    net = Sketch()
    x = net.norm(net.conv(CHANNELS, net.input(4, 4, 2)), name="norm")
    for _ in range(LONG):
        x = net.add(layer, x, **({"size": (1, 1)} if layer != "Dropout" else {}))
    graph = net.graph(net.conv(1, x, size=1, name="head"))
    assert named(graph, forward(Standing(graph), graph.index["norm"], affine())) == ["head"]


def test_a_long_way_back():
    """A sum of many linear layers, of which the first takes the shift and all take the scale."""
    net = Sketch()
    start = net.input(4, 4, 2)
    x = net.conv(CHANNELS, start)
    for _ in range(LONG):
        x = net.add("Add", x, net.conv(CHANNELS, start))
    graph = net.graph(net.norm(x, name="norm"))
    route = back(Standing(graph), graph.index["norm"], affine())
    assert len(route.parts) == LONG + 1
    shifted = [part for part in route.parts if part.affine.shift.any()]
    assert named(graph, route)[0] == "conv2d" and shifted == [route.parts[0]]

"""The cost of planning and editing grows with the number of calls, not with its square.

What is counted are the calls of Python functions, which are the same in every run.
"""

import sys

import pytest

from normwise.graph.editing import Draft
from normwise.graph.graph import Tensor
from normwise.norms.inference import infer_plan
from normwise.rules.sketches import Sketch
from normwise.surgery.depth import levels_of
from normwise.surgery.levels import Levels
from normwise.surgery.rewrite import Change
from normwise.surgery.work import EditSettings
from tests.surgery.on_paper import fold, place

SMALL, LARGE = 30, 90
"""Numbers of blocks."""

LINEAR = 1.25
"""How much more a block may cost in the large network; the square would be `LARGE / SMALL`."""


def chain(net, x, blocks):
    for _ in range(blocks):
        x = net.relu(net.norm(net.conv(4, x)))
    return [net.conv(1, x)]


def residual(net, x, blocks):
    x = net.conv(4, x)
    for _ in range(blocks):
        y = net.norm(net.conv(4, net.relu(net.norm(net.conv(4, x)))))
        x = net.relu(net.add("Add", x, y))
    return [net.conv(1, x)]


def linear_bottlenecks(net, x, blocks):
    """The way from each block to the next activation leads over all adds behind it."""
    x = net.conv(4, x)
    for _ in range(blocks):
        x = net.add("Add", x, net.norm(net.conv(4, net.relu(net.conv(4, x)))))
    return [net.conv(1, net.relu(x))]


def hourglasses(net, x, blocks):
    for _ in range(blocks // 3):
        skip = x = net.relu(net.norm(net.conv(4, x)))
        x = net.conv(4, net.add("MaxPooling2D", x), activation="relu")
        x = net.add("Concatenate", net.add("UpSampling2D", x), skip)
    return [net.conv(1, x)]


def partly_normalized(net, x, blocks):
    """No plan describes these norms."""
    for _ in range(blocks):
        x = net.relu(net.conv(4, net.relu(net.norm(net.conv(4, x)))))
    return [net.conv(1, x)]


def fused(net, x, blocks):
    """Norms are folded forward."""
    for _ in range(blocks):
        x = net.norm(net.conv(4, x, activation="relu"))
    return [net.conv(1, x, size=1)]


def fan(net, x, blocks):
    """One tensor that all read, and one layer that reads all."""
    ends = [net.relu(net.norm(net.conv(4, x))) for _ in range(blocks)]
    return [net.conv(1, net.add("Concatenate", *ends))]


def many_outputs(net, x, blocks):
    ends = []
    for _ in range(blocks):
        x = net.relu(net.conv(4, x))
        ends.append(net.conv(1, x, activation="sigmoid"))
    return ends


def often_nested(net, x, blocks):
    """One model that is called in each block."""
    part = Sketch("part")
    y = part.relu(part.norm(part.conv(4, part.input(8, 8, 4))))
    x = net.nest(part.graph(y), x, name="part")
    for _ in range(blocks - 1):
        x = net.again("part", x)
    return [net.conv(1, x)]


NETWORKS = (
    chain, residual, linear_bottlenecks, hourglasses, partly_normalized, fused, fan, many_outputs,
)  # fmt: skip


def place_more(graph):
    place(graph, "batch@pre-activation+post-activation", EditSettings(keep=False))


def place_others(graph):
    place(graph, "batch(epsilon=0.5)@pre-activation", EditSettings())


def place_fewer(graph):
    place(graph, "none", EditSettings(drop_bias=True))


def put_behind_all(graph):
    draft = Draft(graph)
    for index in range(len(graph.nodes)):
        tensor = Tensor(index)
        draft.insert(tensor, draft.readers(tensor), f"new{index}", "Identity", {})
    draft.freeze()


def order_norms(graph):
    norms = [n.layer for n in graph.nodes if n.class_name == "BatchNormalization"]
    levels_of(graph, norms, {name: name for name in norms})


def calls(action, network, blocks, of=None):
    """How many Python functions an action calls on a network; `of` counts one of them alone."""
    net = Sketch()
    graph = net.graph(*network(net, net.input(8, 8, 4), blocks))
    count = 0

    def seen(frame, event, argument):
        nonlocal count
        count += event == "call" and of in {None, frame.f_code}

    sys.setprofile(seen)
    try:
        action(graph)
    finally:
        sys.setprofile(None)
    return count


def growth(action, network, of=None):
    """How much more a block costs in the large network."""
    small, large = (calls(action, network, blocks, of) for blocks in (SMALL, LARGE))
    return large / small * SMALL / LARGE


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.__name__)
@pytest.mark.parametrize(
    "action", [place_more, place_fewer, infer_plan, fold, order_norms, put_behind_all]
)
def test_the_cost_is_linear(action, network):
    assert growth(action, network) < LINEAR


@pytest.mark.parametrize("action", [place_others, place_fewer])
def test_whether_a_model_trains_is_asked_once_for_each_of_its_calls(action):
    assert growth(action, often_nested, Levels._trains.__code__) < LINEAR


def test_activations_that_are_parted_are_told_once_each():
    assert growth(place_more, fused, Change.__hash__.__code__) < LINEAR


def test_a_square_is_seen():
    def same(a, b):
        return a is b

    def all_pairs(graph):
        [same(a, b) for a in graph.nodes for b in graph.nodes]

    assert growth(all_pairs, chain) > 2

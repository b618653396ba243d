"""A check looks at every call a bounded number of times, however the network is wired.

Function calls are counted, not seconds: twice the network may take twice as many.
"""

import sys

import pytest

from normwise.rules import BY_NAME, Context, Training, check
from normwise.rules.sketches import Sketch

TRAINING = Training(4, 9, 2, optimizer={"weight_decay": 0.01}, replicas=2, accumulation=2)
"""With which every rule looks at every norm."""


def residual(net, x, depth):
    for _ in range(depth):
        y = net.conv(8, net.relu(net.norm(x)))
        x = net.add("Add", x, net.add("Dropout", y))
    return x


def dense_block(net, x, depth):
    """Concatenations one into the other; each is read by a norm and by the next."""
    for _ in range(depth):
        x = net.add("Concatenate", x, net.conv(2, net.relu(net.norm(x))))
    return x


def fan_of_identities(net, x, depth):
    """One tensor, read through as many identities, and all of them read again."""
    fan = [net.add("Identity", x) for _ in range(depth)]
    convs = [net.conv(2, y, use_bias=False, activation="relu") for y in fan]
    return net.norm(net.add("Concatenate", *convs))


def fan_at_the_end_of_a_chain(net, x, depth):
    """Many layers at the end of a long chain that every rule sees through."""
    for _ in range(depth):
        x = net.add("Dropout", x)
    convs = [net.norm(net.conv(2, x, activation="selu")) for _ in range(depth)]
    return net.add("Concatenate", *convs)


def long_skips(net, x, depth):
    """Skips that all end in one concatenation, from before the norms."""
    taps = []
    for _ in range(depth):
        taps.append(net.conv(4, x))
        x = net.relu(net.norm(taps[-1]))
    return net.conv(4, net.add("Concatenate", x, *taps))


def linear_layers(net, x, depth):
    for _ in range(depth):
        x = net.add("Dropout", net.norm(net.conv(4, x)))
    return x


def tokens(net, x, depth):
    """Nothing says which axis the channels are."""
    x = net.add("Reshape", x, target_shape=(64, 8))
    for _ in range(depth):
        y = net.dense(8, net.dense(32, net.add("LayerNormalization", x), activation="gelu"))
        x = net.add("Add", x, y)
    return x


def long_level(net, x, depth):
    """A long way at one resolution between two coarser ones."""
    x = net.add("UpSampling2D", net.add("MaxPooling2D", x))
    for _ in range(depth):
        x = net.relu(net.norm(net.conv(4, x)))
    return net.add("UpSampling2D", net.add("MaxPooling2D", x))


def reshapes(net, x, depth):
    x = net.add("Flatten", x)
    for _ in range(depth):
        x = net.add("Reshape", x, target_shape=(512,))
    return net.norm(x)


def many_outputs(net, x, depth):
    ends = []
    for _ in range(depth):
        x = net.relu(net.norm(net.conv(4, x)))
        ends.append(net.conv(1, x))
    return ends


def outputs_of_a_chain(net, x, depth):
    """Many outputs at the end of a long chain that passes them on."""
    x = net.norm(net.conv(4, x, activation="relu"))
    for _ in range(depth):
        x = net.add("Dropout", x)
    return [x] * depth


def skips_of_a_chain(net, x, depth):
    """Many merges that read the end of a long chain beside the way down."""
    down = net.relu(net.norm(net.conv(4, net.add("MaxPooling2D", x))))
    beside = x
    for _ in range(depth):
        beside = net.relu(net.norm(beside))
    up = net.add("UpSampling2D", down)
    for _ in range(depth):
        up = net.add("Concatenate", net.conv(2, up), beside)
    return up


def masks_in_diamonds(net, x, depth):
    """A gate whose ways double at each step, as only a damaged file has them."""
    gate = net.conv(8, x, activation="sigmoid")
    for _ in range(depth):
        gate = net.add("Dropout", net.add("Dropout", gate), net.add("Identity", gate))
    return net.add("Multiply", x, gate)


def masks_on_a_chain(net, x, depth):
    """Many gates that are multiplied after the same long way."""
    gate = net.conv(8, x, activation="sigmoid")
    for _ in range(depth):
        gate = net.add("UpSampling2D", net.add("Dropout", gate), size=1)
    for _ in range(depth):
        x = net.norm(net.add("Multiply", net.conv(8, x), gate))
    return x


def tower(net, x, depth):
    """A nested model, called four times."""
    inner = Sketch("tower")
    model = inner.graph(residual(inner, inner.input(8, 8, 8), depth // 4))
    x = net.nest(model, x, name="tower")
    for _ in range(3):
        x = net.again("tower", x)
    return x


def norms_at_the_end_of_a_chain(net, x, depth):
    """Many norms, each between two activations, that read one relu through a long chain."""
    x = net.relu(x)
    for _ in range(depth):
        x = net.add("Dropout", x)
    return net.add("Concatenate", *(net.relu(net.norm(x)) for _ in range(depth)))


def raw_skips_of_a_chain(net, x, depth):
    """Many concatenations that read a raw tensor at the end of a long way, beside its norm."""
    way = net.conv(8, x)
    deep = net.norm(way)
    for _ in range(depth):
        way = net.relu(way)
    for _ in range(depth):
        deep = net.conv(4, net.add("Concatenate", net.conv(4, deep), way))
    return deep


def joins_of_raw_tensors(net, x, depth):
    """Many concatenations that each read as many raw tensors, beside whose norms they stand."""
    taps = [net.conv(4, x) for _ in range(depth)]
    norms = [net.norm(tap) for tap in taps]
    joins = [net.add("Concatenate", *taps) for _ in range(depth)]
    return net.conv(1, net.add("Concatenate", *joins, *norms))


def images_in_and_out(net, x, depth):
    """Many inputs, and as many outputs that are coarser."""
    ends = [net.conv(1, x, strides=(2, 2))]
    for _ in range(depth):
        y = net.conv(8, net.input(8, 8, 3), strides=(2, 2))
        ends.append(net.conv(1, net.add("GroupNormalization", y, groups=4)))
    return ends


def drawn(build, depth):
    net = Sketch()
    x = build(net, net.conv(8, net.input(8, 8, 8)), depth)
    ends = x if isinstance(x, list) else [net.dense(1, x)]
    return net.graph(*ends)


def lines(build, rule, depth):
    """Lines that run while a rule looks at a network of a depth: loops that call nothing count."""
    graph = drawn(build, depth)
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        count += event == "line"
        return trace

    sys.settrace(trace)
    try:
        check(Context(graph, training=TRAINING, written=True), (BY_NAME[rule],))
    finally:
        sys.settrace(None)
    return count


def looks(build, depth):
    """Function calls while a network of a depth is checked."""
    graph = drawn(build, depth)
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        count += event == "call"

    sys.setprofile(trace)
    try:
        check(Context(graph, training=TRAINING, written=True))
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "build",
    [
        residual,
        dense_block,
        fan_of_identities,
        fan_at_the_end_of_a_chain,
        long_skips,
        linear_layers,
        tokens,
        long_level,
        reshapes,
        many_outputs,
        outputs_of_a_chain,
        skips_of_a_chain,
        masks_in_diamonds,
        masks_on_a_chain,
        tower,
    ],
)
def test_twice_the_network_takes_twice_the_looks(build):
    half, whole = looks(build, 100), looks(build, 200)
    assert whole < 2.1 * half


@pytest.mark.parametrize(
    ("build", "rule"),
    [
        (norms_at_the_end_of_a_chain, "double-activation"),
        (raw_skips_of_a_chain, "unnormalized-skip"),
        (long_skips, "unnormalized-skip"),
        (images_in_and_out, "tile-dependent-norm"),
    ],
)
def test_twice_the_network_takes_twice_the_lines(build, rule):
    half, whole = lines(build, rule, 100), lines(build, rule, 200)
    assert whole < 2.1 * half


def test_what_is_said_of_a_concatenation_is_said_once():
    """Four times the tensors to read take four times the lines, and make twice the findings."""
    rule = BY_NAME["unnormalized-skip"]
    few, many = (list(rule.check(Context(drawn(joins_of_raw_tensors, n)))) for n in (20, 40))
    assert (len(few), len(many)) == (20, 40) and len(few[0].layers) == 21
    assert "and 15 more from before" in few[0].message
    half, whole = (lines(joins_of_raw_tensors, rule.name, n) for n in (20, 40))
    assert whole < 4.2 * half


def test_a_quadratic_search_would_be_noticed():
    def search(depth):
        return [sum(1 for j in range(i)) for i in range(depth)]

    def count(depth):
        calls = 0

        def trace(frame, event, argument):
            nonlocal calls
            calls += event == "call"

        sys.setprofile(trace)
        try:
            search(depth)
        finally:
            sys.setprofile(None)
        return calls

    assert count(200) > 3 * count(100)

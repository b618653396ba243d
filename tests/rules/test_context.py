"""What rules may look at."""

from dataclasses import replace

import pytest

from normwise.graph.catalogue import Role
from normwise.graph.graph import Tensor
from normwise.rules import Context, Training
from normwise.rules.context import OUTPUT
from normwise.rules.sketch import Sketch


def chain():
    net = Sketch()
    x = net.conv(8, net.input(16, 16, 3, name="in"), name="conv")
    x = net.add("Dropout", net.add("Identity", x, name="same"), name="drop")
    x = net.norm(x, name="norm")
    return net.context(net.add("Activation", x, name="linear"))


def at(context, name):
    return context.graph.index[name]


def test_identities_are_skipped_and_dropout_where_asked():
    context = chain()
    norm, conv, drop = (at(context, n) for n in ("norm", "conv", "drop"))
    assert context.read(norm) == drop and context.read(norm, dropout=True) == conv
    assert context.read(drop) == conv and context.only_reader(conv) == drop
    assert context.users[conv] == (norm,)
    assert context.readers[norm] == (OUTPUT,) and context.only_reader(norm) is None
    assert context.readers[at(context, "same")] == ()
    assert context.read(at(context, "in")) is None


def test_a_dropout_of_rate_0_is_an_identity():
    net = Sketch()
    x = net.add("Dropout", net.conv(8, net.input(16, 16, 3), name="conv"), rate=0)
    context = net.context(net.norm(x, name="norm"))
    assert context.read(at(context, "norm")) == at(context, "conv")


def test_a_class_of_the_user_is_no_class_of_keras():
    context = chain()
    nodes = [replace(n, module="mine") if n.name == "norm" else n for n in context.nodes]
    other = Context(replace(context.graph, nodes=tuple(nodes)))
    assert other.roles[at(other, "norm")] is Role.OTHER and not other.norms
    assert context.roles[at(context, "norm")] is Role.NORM and len(context.batch_norms) == 1


def test_sizes_of_what_a_norm_reads():
    context = chain()
    norm = at(context, "norm")
    assert context.axes_of(norm) == (3,) and context.channels_read(norm) == 8
    assert context.spatial_read(norm) == (16, 16)
    assert context.spatial_read(at(context, "in")) is None


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


def channel_axis(context, name):
    found = context.axes[at(context, name)]
    return None if found is None else (found.axis, found.behind)


def test_the_channel_axis_is_told_from_before_and_from_behind():
    net = Sketch()
    x = net.relu(net.input(3, 16, 16, name="in"), name="first")
    x = net.conv(8, x, data_format="channels_first", name="conv")
    x = net.add("Multiply", net.norm(x, name="norm"), name="scaled")
    moved = net.add("Permute", x, dims=(2, 3, 1), name="moved")
    apart = net.add("Permute", x, dims=(3, 2, 1), name="apart")
    pooled = net.add("GlobalAveragePooling2D", apart, data_format="channels_last", name="pool")
    context = net.context(net.conv(1, net.relu(moved, name="last")), pooled)
    assert channel_axis(context, "in") == channel_axis(context, "first") == (1, True)
    assert channel_axis(context, "conv") == channel_axis(context, "scaled") == (1, False)
    assert channel_axis(context, "moved") == channel_axis(context, "last") == (3, True)
    assert channel_axis(context, "apart") == (3, True)
    assert channel_axis(context, "pool") == (1, False)


def test_readers_that_disagree_tell_nothing():
    net = Sketch()
    x = net.input(16, 16, 16, name="in")
    first = net.conv(8, x, data_format="channels_first")
    context = net.context(first, net.conv(8, x))
    assert channel_axis(context, "in") is None
    net = Sketch()
    mixed = net.add(
        "Add",
        net.conv(16, net.input(16, 16, 16)),
        net.conv(16, net.input(16, 16, 16), data_format="channels_first"),
        name="mixed",
    )
    assert channel_axis(net.context(mixed), "mixed") is None


def test_nothing_tells_the_channels_of_tokens_and_reshapes():
    net = Sketch()
    x = net.add("Reshape", net.input(64), target_shape=(8, 8), name="tokens")
    context = net.context(net.add("LayerNormalization", x, name="norm"))
    assert channel_axis(context, "norm") is None


def test_ways_to_a_norm_and_to_a_linear_layer():
    net = Sketch()
    x = net.conv(8, net.input(16, 16, 3), name="one")
    y = net.conv(8, net.relu(net.norm(x)), name="two")
    z = net.add("Add", x, y, name="sum")
    context = net.context(net.conv(1, net.add("Mine", z)))
    ways = [(context.reaches_norm[at(context, n)], context.reaches_linear[at(context, n)])
            for n in ("one", "two", "sum")]  # fmt: skip
    assert ways == [(True, False), (False, False), (False, False)]


def test_the_calls_of_a_training():
    assert Training(32, 1000, 3).total_steps == 96
    assert Training(32, 1000, 3, steps=10).total_steps == 10
    assert Training(32, 1000).total_steps is None
    assert Training(32, replicas=4).samples_per_statistic == 8
    assert Training().samples_per_statistic is None


def test_a_sketch_calls_a_layer_again():
    net = Sketch()
    a = net.conv(4, net.input(8, 8, 3), name="conv")
    again = net.again("conv", net.input(8, 8, 3))
    graph = net.graph(a, again)
    assert [n.name for n in graph.nodes if n.layer == "conv"] == ["conv", "conv:1"]
    assert graph.output_tensors == (Tensor(1), Tensor(3))

"""Which axis holds the channels."""

from normwise.graph.graph import Graph, Node, Tensor, TensorSpec, freeze
from normwise.rules.context import Context
from normwise.rules.sketches import Sketch
from tests.rules.context.chains import at


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


def test_channels_first_series_have_their_channels_behind_time():
    settings = freeze({"data_format": "channels_first", "return_sequences": True})
    nodes = (
        Node("in", "in", "InputLayer", outputs=(TensorSpec((None, 10, 3, 32, 32)),)),
        Node("series", "series", "ConvLSTM2D", "keras.layers", settings, (Tensor(0),),
             outputs=(TensorSpec((None, 10, 8, 32, 32)),)),
        Node("last", "last", "ConvLSTM2D", "keras.layers", settings, (Tensor(1),),
             outputs=(TensorSpec((None, 8, 32, 32)),)),
    )  # fmt: skip
    context = Context(Graph("m", "Functional", nodes, Tensor(0), Tensor(2)))
    assert channel_axis(context, "in") == (2, True)
    assert channel_axis(context, "series") == (2, False)
    assert channel_axis(context, "last") == (1, False)

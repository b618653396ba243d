"""Which axis of a tensor holds its channels: what the nearest layer that names one says."""

from normwise.graph.channels import (
    channel_axis,
    channels_of,
    output_channel_axis,
    spatial_shape,
)
from normwise.graph.graph import Graph, Node, Tensor, TensorSpec, freeze
from normwise.rules.sketches import Sketch


def nodes(graph):
    return {node.layer: index for index, node in enumerate(graph.nodes)}


def test_the_nearest_layer_before_tells():
    net = Sketch()
    far = net.relu(net.relu(net.conv(4, net.input(4, 4, 4), data_format="channels_first")))
    near = net.conv(4, net.input(4, 4, 4))
    graph = net.graph(
        net.add("Add", far, near, name="mixed"), net.relu(far, name="far"), net.relu(near)
    )
    own = nodes(graph)
    assert channel_axis(graph, own["mixed"]) == output_channel_axis(graph, own["mixed"]) == -1
    assert channel_axis(graph, own["far"]) == output_channel_axis(graph, own["far"]) == 1


def test_of_an_input_the_nearest_layer_behind_tells():
    net = Sketch()
    x = net.input(5, 8, 6, name="image")
    far = net.conv(4, net.relu(net.relu(x)))
    graph = net.graph(far, net.conv(4, x, data_format="channels_first"))
    image = nodes(graph)["image"]
    assert output_channel_axis(graph, image) == 1
    assert channels_of(graph, image) == 5
    assert spatial_shape(graph, image) == (8, 6)


def test_between_an_input_and_the_first_layer_that_tells_it_tells_too():
    net = Sketch()
    x = net.norm(net.relu(net.input(5, 8, 6)), axis=1, name="norm")
    graph = net.graph(net.conv(4, x, data_format="channels_first"))
    norm = nodes(graph)["norm"]
    assert channel_axis(graph, norm) == output_channel_axis(graph, norm) == 1
    assert channels_of(graph, norm) == 5


def test_what_is_said_behind_a_permutation_is_of_other_axes():
    net = Sketch()
    x = net.norm(net.input(8, 6, 5, name="image"), name="norm")
    x = net.relu(net.add("Permute", x, dims=(3, 1, 2)), name="moved")
    graph = net.graph(net.conv(4, x, data_format="channels_first"))
    own = nodes(graph)
    assert output_channel_axis(graph, own["image"]) == channel_axis(graph, own["norm"]) == -1
    assert channels_of(graph, own["norm"]) == 5


def test_where_nothing_is_said_channels_are_last():
    net = Sketch()
    graph = net.graph(net.relu(net.input(5, 8, 6, name="image"), name="relu"))
    own = nodes(graph)
    assert output_channel_axis(graph, own["image"]) == channel_axis(graph, own["relu"]) == -1
    assert channels_of(graph, own["relu"]) == 6
    assert spatial_shape(graph, own["relu"]) == (5, 8)


def test_channels_first_series_have_their_channels_behind_time():
    settings = freeze({"data_format": "channels_first"})
    nodes = (
        Node("in", "in", "InputLayer", outputs=(TensorSpec((None, 10, 3, 32, 32)),)),
        Node("series", "series", "ConvLSTM2D", "keras.layers", settings, (Tensor(0),),
             outputs=(TensorSpec((None, 10, 8, 32, 32)),)),
        Node("norm", "norm", "BatchNormalization", "keras.layers", freeze({}), (Tensor(1),),
             outputs=(TensorSpec((None, 10, 8, 32, 32)),)),
        Node("last", "last", "ConvLSTM2D", "keras.layers", settings, (Tensor(2),),
             outputs=(TensorSpec((None, 6, 32, 32)),)),
    )  # fmt: skip
    graph = Graph("m", "Functional", nodes, Tensor(0), Tensor(3))
    assert output_channel_axis(graph, 0) == 2
    assert [channels_of(graph, index) for index in range(4)] == [3, 8, 8, 6]
    assert channel_axis(graph, 2) == 2


def test_a_dense_layer_has_its_channels_last():
    net = Sketch()
    settings = {"filters": 16, "kernel_size": (3,), "padding": "same"}
    x = net.add("Conv1D", net.input(8, 32), name="a", data_format="channels_first", **settings)
    x = net.dense(24, net.add("Permute", x, dims=(2, 1)), activation="relu", name="mix")
    graph = net.graph(net.relu(x, name="end"))
    own = nodes(graph)
    assert output_channel_axis(graph, own["a"]) == 1
    assert output_channel_axis(graph, own["mix"]) == channel_axis(graph, own["end"]) == -1
    assert channels_of(graph, own["mix"]) == 24


def test_what_is_behind_a_permutation_tells_its_axis():
    net = Sketch()
    x = net.conv(4, net.input(3, 8, 6), data_format="channels_first")
    x = net.relu(net.add("Permute", x, dims=(2, 3, 1), name="last"), name="between")
    x = net.norm(net.add("Permute", x, dims=(3, 1, 2), name="first"), axis=1, name="norm")
    graph = net.graph(net.conv(4, x, data_format="channels_first"))
    own = nodes(graph)
    assert output_channel_axis(graph, own["last"]) == channel_axis(graph, own["between"]) == -1
    assert output_channel_axis(graph, own["first"]) == channel_axis(graph, own["norm"]) == 1
    assert channels_of(graph, own["norm"]) == 4


def test_a_dense_layer_of_two_axes_says_nothing_of_what_is_made_of_them():
    net = Sketch()
    x = net.conv(4, net.input(3, 8, 6), data_format="channels_first")
    gate = net.dense(4, net.add("GlobalAveragePooling2D", x, data_format="channels_first"))
    gate = net.add("Reshape", gate, target_shape=(4, 1, 1))
    graph = net.graph(net.add("Multiply", net.relu(net.relu(net.relu(x))), gate, name="scaled"))
    assert output_channel_axis(graph, nodes(graph)["scaled"]) == 1

"""One role for everything of the same effect, and the names of activations."""

import keras
import pytest

from normwise.graph.catalogue import (
    LINEAR,
    NORM_CLASSES,
    Role,
    activation_name,
    activation_of,
    data_format,
    has_bias,
    makes_last_axis,
    own_channel_axis,
    role_of,
)
from normwise.graph.graph import Node, freeze
from normwise.keras_format import read_graph
from tests.zoo import built, conv, image

layers, ops = keras.layers, keras.ops


def node_of(layer: keras.layers.Layer, channels: int = 4) -> Node:
    inputs = image(channels)
    return read_graph(keras.Model(inputs, layer(inputs))).nodes[1]


def op_of(function: object) -> Node:
    inputs = image(4)
    return read_graph(keras.Model(inputs, function(inputs))).nodes[1]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (lambda: node_of(layers.ReLU()), "relu"),
        (lambda: node_of(layers.Activation("relu")), "relu"),
        (lambda: op_of(ops.relu), "relu"),
        (lambda: node_of(layers.PReLU()), "prelu"),
        (lambda: node_of(layers.LeakyReLU()), "leaky_relu"),
        (lambda: op_of(ops.leaky_relu), "leaky_relu"),
        (lambda: node_of(layers.ELU()), "elu"),
        (lambda: op_of(ops.silu), "silu"),
        (lambda: op_of(ops.gelu), "gelu"),
        (lambda: op_of(ops.sigmoid), "sigmoid"),
        (lambda: op_of(ops.tanh), "tanh"),
        (lambda: node_of(layers.Softmax()), "softmax"),
        (lambda: node_of(layers.Activation("swish")), "silu"),
    ],
)
def test_activations_by_any_name(made: object, name: str) -> None:
    node = made()  # type: ignore[operator]
    assert role_of(node) is Role.ACTIVATION and activation_of(node) == name


def test_a_linear_activation_changes_nothing() -> None:
    node = node_of(layers.Activation("linear"))
    assert role_of(node) is Role.PASS and activation_of(node) is None


def test_fused_activations() -> None:
    assert activation_of(node_of(conv(activation="relu"))) == "relu"
    assert activation_of(node_of(conv(activation=layers.LeakyReLU()))) == "leaky_relu"
    assert activation_of(node_of(conv())) is None
    assert activation_of(node_of(conv(activation="linear"))) is None
    assert activation_of(node_of(layers.Dropout(0.1))) is None


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, None),
        ("relu", "relu"),
        ({"class_name": "function", "config": "relu6"}, "relu6"),
        ({"class_name": "Activation", "config": {"activation": "tanh"}}, "tanh"),
        ({"class_name": "PReLU", "config": {}}, "prelu"),
        (3, "3"),
    ],
)
def test_serialized_activations(value: object, name: str | None) -> None:
    assert activation_name(freeze(value)) == name


@pytest.mark.parametrize(
    ("layer", "role"),
    [
        (layers.Dropout(0.2), Role.PASS),
        (layers.Identity(), Role.PASS),
        (layers.MaxPooling2D(), Role.POOL),
        (layers.GlobalMaxPooling2D(), Role.GLOBAL_POOL),
        (layers.UpSampling2D(), Role.RESAMPLE),
        (layers.ZeroPadding2D(), Role.BORDER),
        (layers.Cropping2D(), Role.BORDER),
        (layers.Flatten(), Role.SHAPE),
        (layers.Dense(2), Role.LINEAR),
        (layers.EinsumDense("bhwc,cd->bhwd", (None, None, 3)), Role.LINEAR),
        (layers.DepthwiseConv2D(3), Role.LINEAR),
        (layers.Rescaling(2.0), Role.OTHER),
    ],
)
def test_roles_of_layers(layer: keras.layers.Layer, role: Role) -> None:
    assert role_of(node_of(layer)) is role


def test_every_normalization_of_keras_is_known() -> None:
    known = {name for name in dir(layers) if name.endswith("Normalization")}
    assert known <= NORM_CLASSES | {"SpectralNormalization"}


def test_every_convolution_of_keras_is_known() -> None:
    known = {n for n in dir(layers) if "Conv" in n and "LSTM" not in n and "lution" not in n}
    assert known <= LINEAR


def test_a_merge_joins_tensors() -> None:
    graph = read_graph(built("operations"))
    roles = {node.name: role_of(node) for node in graph.nodes}
    assert roles["multiply"] is Role.OTHER  # by a constant
    assert roles["add"] is Role.MERGE and roles["concatenate"] is Role.MERGE
    assert roles["mean"] is Role.GLOBAL_POOL


def test_a_nested_model_is_no_layer() -> None:
    graph = read_graph(built("nested_twice"))
    assert role_of(graph.node("block")) is Role.OTHER


def test_every_node_has_a_role() -> None:
    for name in ("operations", "several_outputs", "three_dimensions", "custom_without_config"):
        assert all(isinstance(role_of(node), Role) for node in read_graph(built(name)).nodes)


def test_biases() -> None:
    assert has_bias(node_of(conv())) and not has_bias(node_of(conv(use_bias=False)))
    assert has_bias(node_of(layers.EinsumDense("bhwc,cd->bhwd", (None, None, 3), bias_axes="d")))
    assert not has_bias(node_of(layers.EinsumDense("bhwc,cd->bhwd", (None, None, 3))))
    assert not has_bias(node_of(layers.ReLU()))


def test_data_formats() -> None:
    nodes = read_graph(built("channels_first")).nodes
    assert {data_format(n) for n in nodes if n.class_name == "Conv2D"} == {"channels_first"}
    assert data_format(node_of(layers.ReLU())) == "channels_last"


@pytest.mark.parametrize(
    ("layer", "last"),
    [
        (layers.Dense(3), True),
        (layers.EinsumDense("bhwc,cd->bhwd", (None, None, 3)), True),
        (layers.EinsumDense("bhwc,hd->bdwc", (3, None, 4)), False),
        (conv(3), False),
    ],
)
def test_what_is_made_on_the_last_axis(layer: keras.layers.Layer, last: bool) -> None:
    node = node_of(layer)
    assert makes_last_axis(node) == last
    assert own_channel_axis(node, 4) == (-1 if last or node.class_name == "Conv2D" else None)


def test_of_two_axes_a_dense_layer_says_nothing() -> None:
    assert own_channel_axis(node_of(layers.Dense(3)), 2) is None

"""Shapes of known layers, inferred from settings alone, are those that Keras computes."""

from dataclasses import replace
from typing import Any

import keras
import pytest

from normwise.graph.graph import Graph, Node, Tensor, TensorSpec, freeze
from normwise.graph.shapes import join_shape, pair, split_shape, with_shapes
from normwise.keras_format import read_graph
from tests.zoo import ZOO, built, conv

layers, ops = keras.layers, keras.ops

# Nothing but Keras' own code knows what these make.
UNKNOWN = frozenset(
    """keyword_tensors operations slices several_outputs split_op lambda_layer
    custom_without_config time_distributed""".split()  # noqa: SIM905 - a list of words
)


def forgotten(graph: Graph) -> Graph:
    """The graph without any shape or dtype but those of its inputs."""
    nodes = tuple(
        node
        if node.class_name == "InputLayer"
        else replace(
            node,
            outputs=(TensorSpec(),) * len(node.outputs),
            model=None if node.model is None else forgotten(node.model),
        )
        for node in graph.nodes
    )
    return replace(graph, nodes=nodes)


@pytest.mark.parametrize("name", sorted(set(ZOO) - UNKNOWN))
def test_shapes_and_dtypes_come_back_after_they_were_forgotten(name: str) -> None:
    graph = read_graph(built(name))
    blank = forgotten(graph)
    assert any(n.shape is None for n in blank.nodes) or len(graph.nodes) == 1
    for found, node in zip(with_shapes(blank).nodes, graph.nodes, strict=True):
        assert found.outputs == node.outputs, node.name


@pytest.mark.parametrize("name", sorted(UNKNOWN))
def test_an_unknown_shape_is_none_and_never_wrong(name: str) -> None:
    graph = read_graph(built(name))
    for found, node in zip(with_shapes(forgotten(graph)).nodes, graph.nodes, strict=True):
        for spec, true in zip(found.outputs, node.outputs, strict=False):
            assert spec.shape is None or compatible(spec.shape, true.shape), node.name


def compatible(found: tuple[int | None, ...], true: tuple[int | None, ...] | None) -> bool:
    """Whether every dimension that is told is right."""
    if true is None or len(found) != len(true):
        return False
    return all(a is None or a == b for a, b in zip(found, true, strict=True))


def convolutions() -> list[Any]:
    made: list[Any] = []
    for padding in ("same", "valid"):
        for size, strides, dilation in (
            (3, 1, 1),
            (2, 2, 1),
            (3, 2, 1),
            (5, 3, 1),
            (3, 1, 2),
            (1, 2, 1),
        ):
            made.append(layers.Conv2D(2, size, strides, padding, dilation_rate=dilation))
            made.append(layers.MaxPooling2D(size, strides, padding))
            if dilation == 1:
                made.append(layers.Conv2DTranspose(2, size, strides, padding))
                made.append(layers.DepthwiseConv2D(size, strides, padding))
    # With a dilation Keras' own answer depends on the backend; with an output padding it does not.
    made += [
        layers.Conv2DTranspose(2, size, strides, padding, output_padding=extra)
        for size, strides, extra in ((3, 2, 1), (3, 2, 0), (4, 2, 1), (2, 2, 0), (5, 3, 2))
        for padding in ("same", "valid")
    ]
    return made


@pytest.mark.parametrize("size", [16, 15, 13])
def test_windows_on_even_and_odd_sizes(size: int) -> None:
    for layer in convolutions():
        inputs = keras.Input((size, size + 1, 2))
        model = keras.Model(inputs, layer(inputs))
        found = with_shapes(forgotten(read_graph(model))).nodes[-1].shape
        assert found == tuple(model.outputs[0].shape), layer.get_config()


def test_free_sizes_stay_free() -> None:
    model = built("free_size")
    graph = with_shapes(forgotten(read_graph(model)))
    assert graph.nodes[-1].shape == (None, None, None, 1)


def test_what_is_told_wins_over_what_is_inferred() -> None:
    graph = read_graph(built("residual_post"))
    odd = replace(graph.nodes[1], outputs=(TensorSpec((None, 99, None, 4), "float16"),))
    again = with_shapes(replace(graph, nodes=(graph.nodes[0], odd)))
    assert again.nodes[1].outputs == (TensorSpec((None, 99, 16, 4), "float16"),)


@pytest.mark.parametrize(
    ("class_name", "config"),
    [
        ("Conv2D", {}),
        ("Conv2D", {"kernel_size": "3", "filters": 2}),
        ("Conv2D", {"kernel_size": 3, "filters": 2, "strides": 0}),
        ("Conv2D", {"kernel_size": 3, "filters": float("inf")}),
        ("Reshape", {"target_shape": (-1, 0)}),
        ("Permute", {"dims": (7,)}),
        ("Concatenate", {"axis": "x"}),
        ("UpSampling2D", {"size": (1, 2, 3)}),
        ("Resizing", {"height": None, "width": 3}),
        ("Mean", {"axis": None}),
        ("Nothing", {}),
    ],
)
def test_settings_that_make_no_sense_give_an_unknown_shape(
    class_name: str, config: dict[str, Any]
) -> None:
    entry = Node("x", "x", "InputLayer", outputs=(TensorSpec((None, 8, 8, 2)),))
    node = Node("y", "y", class_name, config=freeze(config), args=(Tensor(0),))
    graph = Graph("m", "Functional", (entry, node), Tensor(0), Tensor(1))
    assert with_shapes(graph).nodes[1].shape is None


def test_a_nested_model_takes_the_shape_of_its_call() -> None:
    graph = read_graph(built("nested_twice"))
    shapes = [n.shape for n in with_shapes(forgotten(graph)).nodes if n.layer == "block"]
    assert shapes == [(None, 16, 16, 4), (None, 8, 8, 4)]


def test_dtypes_follow_the_policy() -> None:
    graph = read_graph(built("frozen_and_mixed"))
    assert [n.outputs[0].dtype for n in graph.nodes] == [
        "float32",
        "bfloat16",
        "bfloat16",
        "float32",
    ]


def test_pairs() -> None:
    assert pair(3, 2) == (3, 3) and pair((1, 2), 2) == (1, 2)
    with pytest.raises(ValueError, match="expected 2 numbers"):
        pair((1, 2, 3), 2)


def test_splitting_and_joining_are_inverse() -> None:
    for data_format in ("channels_first", "channels_last"):
        node = Node("n", "n", "Conv2D", config=freeze({"data_format": data_format}))
        assert join_shape(node, *split_shape(node, (None, 3, 4, 5))) == (None, 3, 4, 5)
    assert conv(2).data_format in {"channels_last", "channels_first"}

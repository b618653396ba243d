"""Shapes of known layers, inferred from settings alone, are those that Keras computes."""

from dataclasses import replace
from typing import Any

import keras
import pytest

from normwise.graph.graph import Graph, Node, Tensor, TensorSpec, freeze
from normwise.graph.shapes import with_shapes
from normwise.keras_format import read_graph
from tests.graph.forgotten import forgotten
from tests.zoo import ZOO, built

layers, ops = keras.layers, keras.ops

# Nothing but Keras' own code knows what these make.
UNKNOWN = frozenset(
    """keyword_tensors operations slices several_outputs split_op lambda_layer
    custom_without_config time_distributed sequential_augmented sequential_of_tokens
    sequential_of_steps""".split()  # noqa: SIM905 - a list of words
)


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

"""Nested models opened: names, sharing, wiring and shapes."""

import keras
import numpy as np
import pytest

from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph
from normwise.graph.parameters import total_parameters
from normwise.keras_format import read_graph
from tests.zoo import ZOO, block, built, conv, image


def flat(name: str) -> Graph:
    return flatten(read_graph(built(name)))


@pytest.mark.parametrize("name", sorted(ZOO))
def test_nothing_nested_is_left_and_names_are_unique(name: str) -> None:
    graph = flat(name)
    assert all(node.model is None for node in graph.nodes)
    assert len({node.name for node in graph.nodes}) == len(graph.nodes)
    assert flatten(graph) is graph
    for index, node in enumerate(graph.nodes):
        assert all(tensor.node < index for tensor in node.inputs)


@pytest.mark.parametrize("name", sorted(ZOO))
def test_shapes_at_the_ends_are_the_live_ones(name: str) -> None:
    graph, model = flat(name), built(name)
    for tensors, live in (
        (graph.output_tensors, model.outputs),
        (graph.input_tensors, model.inputs),
    ):
        assert [graph.spec(t).shape for t in tensors] == [tuple(t.shape) for t in live]
        assert [graph.spec(t).dtype for t in tensors] == [t.dtype for t in live]


def test_names_tell_the_path_and_layers_stay_shared() -> None:
    graph = flat("nested_twice")
    assert [node.name for node in graph.nodes] == [
        "input_layer",
        "stem",
        "block/conv",
        "block/norm",
        "block/relu",
        "pool",
        "block:1/conv",
        "block:1/norm",
        "block:1/relu",
        "head",
    ]
    assert graph.node("block:1/conv").layer == "block/conv"
    assert graph.node("block:1/conv").call == 1
    assert graph.calls["block/norm"] == (3, 7)
    assert graph.node("block/conv").shape == (None, 16, 16, 4)
    assert graph.node("block:1/conv").shape == (None, 8, 8, 4)


def test_models_within_models() -> None:
    names = [node.name for node in flat("nested_in_nested").nodes]
    assert "outer/inner/conv" in names and "outer/first/norm" in names


def test_inputs_and_outputs_of_nested_models_are_matched_as_keras_does() -> None:
    graph = flat("nested_several_outputs")
    assert [graph.nodes[t.node].name for t in graph.node("inner/joined").inputs] == [
        "second",
        "first",
    ]
    joined = next(node for node in graph.nodes if node.name.startswith("concatenate"))
    assert [graph.nodes[t.node].name for t in joined.inputs] == ["inner/right", "inner/left"]
    assert joined.shape == (None, 16, 16, 9)


def test_dictionaries_are_matched_by_their_keys() -> None:
    graph = flat("nested_dictionaries")
    read = [graph.nodes[t.node].name for t in graph.node("inner/joined").inputs]
    assert read == ["image_b", "image_c", "image_a"]
    ends = [graph.nodes[t.node].name for t in graph.node("end").inputs]
    assert ends == ["inner/mask", "inner/height"]
    model = built("nested_dictionaries")
    assert graph.node("inner/mask").shape == (None, 16, 16, 7)
    assert [tuple(x.shape)[-1] for x in model.inputs] == [
        graph.spec(t).shape[-1] for t in graph.input_tensors
    ]


def test_a_flat_view_computes_what_the_model_computes() -> None:
    """The opened graph, executed call by call with the model's layers, gives its output."""
    inputs = image(4)
    shared = block()
    model = keras.Model(inputs, conv(1, name="head")(shared(shared(inputs))))
    given = np.random.default_rng(0).normal(size=(2, 16, 16, 4)).astype("float32")
    graph = flatten(read_graph(model))
    found = {f"block/{layer.name}": layer for layer in shared.layers}
    found |= {layer.name: layer for layer in model.layers}
    values: list[object] = []
    for node in graph.nodes:
        read = [values[t.node] for t in node.inputs]
        values.append(given if not read else found[node.layer](read[0]))
    result = keras.ops.convert_to_numpy(values[graph.output_tensors[0].node])
    np.testing.assert_allclose(result, model.predict_on_batch(given), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", sorted(ZOO))
def test_weights_are_counted_once(name: str) -> None:
    graph = read_graph(built(name))
    assert total_parameters(flatten(graph)) == total_parameters(graph)

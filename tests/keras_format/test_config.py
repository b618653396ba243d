"""Configurations with faults: each is a `ModelReadError` that says what is wrong."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normwise.errors import ModelReadError
from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph, Tensor
from normwise.graph.parameters import total_parameters
from normwise.keras_format import read_graph
from normwise.keras_format.config import MAX_CALLS, MAX_NESTING, graph_from_config, shape_of
from normwise.norms import infer_plan
from tests.keras_format.configurations import call, entry, layer, model, nest, tensor
from tests.zoo import built

FIXTURES = Path(__file__).parent / "fixtures"


GOOD = model(entry(), layer("y", call(tensor("x"))))


def refused(config: Any, *words: str) -> None:
    with pytest.raises(ModelReadError) as caught:
        graph_from_config(config, "some/file.json")
    for word in ("some/file.json", *words):
        assert word in str(caught.value)


def test_a_small_configuration_is_read() -> None:
    graph = graph_from_config(GOOD, "f")
    assert [n.name for n in graph.nodes] == ["x", "y"]
    assert graph.outputs == Tensor(1) and graph.nodes[1].shape == (None, 8, 8, 2)


def test_a_layer_that_is_not_there() -> None:
    refused(model(entry(), layer("y", call(tensor("gone")))), "'y'", "'gone'", "isn't in the model")


def test_a_call_that_is_not_there() -> None:
    refused(model(entry(), layer("y", call(tensor("x", 3)))), "'y'", "call 3", "'x'")
    refused(model(entry(), layer("y", call(tensor("x", -1)))), "'y'", "call -1")


def test_an_output_that_is_not_there() -> None:
    refused(model(entry(), layer("y", call(tensor("x", 0, 1)))), "output 1", "'x'")
    refused(model(entry(), layer("y", call(tensor("x", 0, -1)))), "output -1")
    refused(model(entry(), layer("y", call(tensor("x", 0, 10**9)))), "output 1000000000")
    refused(model(entry(), layer("y", call(tensor("x"))), ends=("y", 0, 10**9)), "1000000000")
    inner = {**model(entry(), layer("y", call(tensor("x")))), "name": "inner"}
    inner["inbound_nodes"] = [call(tensor("x"))]
    refused(model(entry(), inner, layer("y", call(tensor("inner", 0, 2)))), "output 2", "'inner'")


def test_model_outputs_that_are_not_there() -> None:
    refused(model(entry(), layer("y", call(tensor("x"))), ends=("y", 1, 0)), "'y'", "call number 1")
    refused(model(entry(), layer("y", call(tensor("x"))), ends=("z", 0, 0)), "'z'")


def test_loops() -> None:
    refused(model(entry(), layer("y", call(tensor("y")))), "loop", "'y'")
    ring = [layer("a", call(tensor("b"))), layer("b", call(tensor("a")))]
    refused(model(entry(), *ring, layer("y", call(tensor("b")))), "loop")


def test_duplicated_names() -> None:
    twice = [layer("y", call(tensor("x"))), layer("y", call(tensor("x")))]
    refused(model(entry(), *twice), "two layers are named 'y'")


def test_layers_that_are_none() -> None:
    refused(model(entry(), 3), "expected a layer", "int")
    refused(model(entry(), {"config": {"name": "y"}}), "expected a layer")
    refused(model(entry(), {"class_name": "ReLU", "config": {}}), "'ReLU'", "no name")
    refused(model(entry(), {"class_name": "ReLU", "name": 7}), "'ReLU'", "no name")


def test_calls_that_are_none() -> None:
    refused(model(entry(), {**layer("y"), "inbound_nodes": 3}), "'y'", "expected a list")
    refused(model(entry(), layer("y", 3)), "'y'", "`args` and `kwargs`")
    refused(model(entry(), layer("y", {"args": 3})), "malformed")
    without_history = {"class_name": "__keras_tensor__", "config": {}}
    refused(model(entry(), layer("y", call(without_history))), "without a history")


def test_what_is_no_functional_model() -> None:
    refused(
        {"class_name": "Mine", "config": {"units": 3}}, "'Mine'", "keras.Model(inputs, outputs)"
    )
    refused({"a": 1}, "`class_name`", "the keys a")
    refused([], "list")
    refused(None, "NoneType")


def test_models_nested_too_deep() -> None:
    assert isinstance(graph_from_config(nest(5), "f"), Graph)
    refused(nest(MAX_NESTING + 2), "nested", str(MAX_NESTING))


def test_models_that_double_at_each_level() -> None:
    # 20 kB of configuration that mean 2**40 calls.
    assert len(json.dumps(nest(40, calls=2))) < 60_000
    refused(nest(40, calls=2), f"more than {MAX_CALLS}")


def test_shapes_are_shapes_or_nothing() -> None:
    assert shape_of([None, 3, 4]) == (None, 3, 4)
    assert shape_of("abc") is None and shape_of([1.5]) is None
    assert shape_of([True]) is None and shape_of(None) is None


def test_implied_inputs_take_a_free_name() -> None:
    config = {"name": "s", "layers": [layer("input"), layer("b")], "build_input_shape": [None, 3]}
    graph = graph_from_config({"class_name": "Sequential", "config": config}, "f")
    assert [n.name for n in graph.nodes] == ["input_", "input", "b"]
    assert graph.nodes[-1].shape == (None, 3)


# Anything at all. ----------------------------------------------------------------------------


def configurations() -> list[Any]:
    """Serialized models of Keras 3 and Keras 2 to mutate."""
    names = ("nested_twice", "operations", "slices", "sequential_in_functional")
    names += ("dict_in_and_out", "nested_several_outputs", "channels_first", "residual_post")
    modern = [json.loads(built(name).to_json()) for name in names]
    legacy = [json.loads(p.read_text()) for p in sorted(FIXTURES.glob("*.json"))]
    return modern + [config for config in legacy if "class_name" in config]


@pytest.fixture(scope="module")
def originals() -> list[Any]:
    return configurations()


def places(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    keys = (
        part.keys() if isinstance(part, dict) else range(len(part) if isinstance(part, list) else 0)
    )
    for key in list(keys):
        yield (*path, key)
        yield from places(part[key], (*path, key))


WRONG = [None, True, 0, -1, 7, 10**9, -3.5, 1e300, float("nan"), float("inf"), "", "x", "conv"]
WRONG += ["channels_first", [], {}, [None], [[]], ["a", 0, 0], [[["x", 0, 0]]]]
WRONG += [{"class_name": "Conv2D"}, {"class_name": "__keras_tensor__"}, {"class_name": "__tuple__"}]
WRONG += [{"class_name": "__tuple__", "config": None}, {"config": {"layers": []}}]
WRONG += [{"class_name": "__keras_tensor__", "config": {"keras_history": ["a", "b", "c"]}}]

Change = Callable[[dict[Any, Any] | list[Any], Any], None]


def delete(holder: Any, key: Any) -> None:
    del holder[key]


def putting(value: Any) -> Change:
    return lambda holder, key: holder.__setitem__(key, copy.deepcopy(value))


CHANGES = st.one_of(st.just(delete), st.sampled_from(WRONG).map(putting))


@settings(max_examples=400)
@given(st.integers(0, 50), st.lists(st.tuples(st.integers(0, 10**6), CHANGES), max_size=3))
def test_a_mutated_configuration_is_a_graph_or_a_read_error(
    originals: list[Any],
    tmp_path_factory: pytest.TempPathFactory,
    which: int,
    changes: list[tuple[int, Change]],
) -> None:
    config = copy.deepcopy(originals[which % len(originals)])
    for number, change in changes:
        known = list(places(config))
        path = known[number % len(known)] if known else None
        if path:
            holder = config
            for key in path[:-1]:
                holder = holder[key]
            change(holder, path[-1])
    path = tmp_path_factory.getbasetemp() / "mutated.json"
    path.write_text(json.dumps(config))
    try:
        graph = read_graph(path)
    except ModelReadError as error:
        assert "mutated.json" in str(error)
        return
    flat = flatten(graph)
    total_parameters(flat)
    assert all(t.node < i for i, node in enumerate(flat.nodes) for t in node.inputs)
    str(infer_plan(graph))

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
from normwise.graph.graph import Tensor
from normwise.graph.parameters import total_parameters
from normwise.keras_format import read_graph
from normwise.keras_format.config import graph_from_config
from normwise.norms import infer_plan
from normwise.workflows.check import check
from tests.keras_format.configurations import call, entry, layer, model, refused, tensor
from tests.zoo import built

FIXTURES = Path(__file__).parent / "fixtures"

GOOD = model(entry(), layer("y", call(tensor("x"))))


def test_a_small_configuration_is_read() -> None:
    graph = graph_from_config(GOOD, "f")
    assert [n.name for n in graph.nodes] == ["x", "y"]
    assert graph.outputs == Tensor(1) and graph.nodes[1].shape == (None, 8, 8, 2)


@pytest.mark.parametrize("value", [{"a": 1}, ["a"], 3])
def test_a_module_that_is_no_text(value: Any) -> None:
    streams = [{**layer(name, call(tensor("x"))), "module": value} for name in "ab"]
    shared = layer("n", call(tensor("a")), call(tensor("b")), class_name="BatchNormalization")
    ends = layer("y", call([tensor("n"), tensor("n", 1)]), class_name="Concatenate")
    graph = graph_from_config(model(entry(), *streams, shared, ends), "f")
    assert {type(node.module) for node in graph.nodes} == {str, type(None)}
    check(graph)  # the rule on shared batch norms looks up what layers are


def test_duplicated_names() -> None:
    twice = [layer("y", call(tensor("x"))), layer("y", call(tensor("x")))]
    refused(model(entry(), *twice), "two layers are named 'y'")


def test_what_is_no_functional_model() -> None:
    refused(
        {"class_name": "Mine", "config": {"units": 3}}, "'Mine'", "keras.Model(inputs, outputs)"
    )
    refused({"a": 1}, "`class_name`", "the keys a")
    refused([], "list")
    refused(None, "NoneType")


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


@settings(max_examples=200)
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

"""The frozen graph: nothing in it can be changed, and its look-ups agree with its nodes."""

from collections.abc import Mapping
from dataclasses import FrozenInstanceError
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normwise.graph import Graph, Node, Tensor, TensorSpec
from normwise.graph.graph import freeze, map_tensors, tensors_in, thaw
from normwise.keras_format import read_graph
from tests.zoo import ZOO, built


@pytest.fixture(scope="module")
def graph() -> Graph:
    return read_graph(built("nested_twice"))


def test_fields_cannot_be_set(graph: Graph) -> None:
    for thing, field in (
        (graph, "nodes"),
        (graph.nodes[1], "name"),
        (graph.nodes[1].outputs[0], "shape"),
        (Tensor(1), "node"),
    ):
        with pytest.raises(FrozenInstanceError):
            setattr(thing, field, None)
        with pytest.raises(FrozenInstanceError):
            delattr(thing, field)


@pytest.mark.parametrize("name", sorted(ZOO))
def test_everything_inside_is_read_only(name: str) -> None:
    pending: list[Any] = [read_graph(built(name))]
    while pending:
        part = pending.pop()
        assert not isinstance(part, (list, dict, set)), part
        if isinstance(part, Mapping):
            assert isinstance(part, MappingProxyType)
            with pytest.raises(TypeError):
                part["new"] = 1  # type: ignore[index]
            pending += list(part.values())
        elif isinstance(part, tuple):
            pending += list(part)
        elif isinstance(part, (Graph, Node)):
            pending += [getattr(part, field) for field in part.__dataclass_fields__]


def test_look_ups_are_read_only(graph: Graph) -> None:
    for look_up in (graph.calls, graph.index):
        with pytest.raises(TypeError):
            look_up["new"] = 1  # type: ignore[index]


@pytest.mark.parametrize("name", sorted(ZOO))
def test_look_ups_agree_with_the_nodes(name: str) -> None:
    graph = read_graph(built(name))
    for index, node in enumerate(graph.nodes):
        assert graph.index[node.name] == index and graph.node(node.name) is node
        assert index in graph.calls[node.layer]
        assert [graph.nodes[i].call for i in graph.calls[node.layer]] == list(
            range(len(graph.calls[node.layer]))
        )
        assert set(graph.producers[index]) == {tensor.node for tensor in node.inputs}
        assert all(producer < index for producer in graph.producers[index])
        for producer in graph.producers[index]:
            assert index in graph.consumers[producer]
        assert all(index in graph.producers[reader] for reader in graph.consumers[index])
    assert sum(map(len, graph.producers)) == sum(map(len, graph.consumers))


def test_names_of_calls(graph: Graph) -> None:
    assert graph.calls["block"] == (graph.index["block"], graph.index["block:1"])
    with pytest.raises(KeyError):
        graph.node("block:2")


def test_unknown_outputs_have_unknown_specs(graph: Graph) -> None:
    assert graph.spec(Tensor(0, 5)) == TensorSpec()
    assert graph.spec(Tensor(0)) == graph.nodes[0].outputs[0]
    assert Node("n", "n", "C", outputs=()).shape is None


def test_ops_are_no_layers() -> None:
    nodes = read_graph(built("operations")).nodes
    assert {node.layer for node in nodes if not node.is_op} == {"input_layer", "conv2d"}


def test_tensors_are_found_in_the_order_in_which_keras_counts() -> None:
    structure = {"b": Tensor(1), "a": (Tensor(2), [Tensor(3), "x"]), "c": {"z": 1, "y": Tensor(4)}}
    assert [t.node for t in tensors_in(structure)] == [2, 3, 1, 4]


def test_tensors_are_found_at_any_depth() -> None:
    deep: Any = Tensor(7)
    for _ in range(5000):
        deep = (deep,)
    assert list(tensors_in(deep)) == [Tensor(7)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.text(), part),
    max_leaves=20,
)


@given(JSON)
def test_freezing_and_thawing_is_a_round_trip(value: Any) -> None:
    assert thaw(freeze(value)) == value


def test_mapping_tensors_keeps_the_rest() -> None:
    structure = freeze({"a": [1, "x"], "b": None})
    changed = map_tensors(({"t": Tensor(1)}, [Tensor(2, 1), 3.0]), lambda t: Tensor(t.node + 1))
    assert changed == (MappingProxyType({"t": Tensor(2)}), (Tensor(3), 3.0))
    assert map_tensors(structure, lambda t: t) == structure

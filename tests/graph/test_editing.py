"""Drafts: what ends the model and what reads what, whatever is edited."""

import random
from types import MappingProxyType

import pytest

from normwise.graph.editing import ENDS, Draft
from normwise.graph.graph import Tensor, map_tensors, tensors_in
from normwise.graph.rerouted import Nodes
from normwise.rules.sketches import Sketch

CONFIG = {"name": "new", "dtype": "float32"}


def network():
    """One tensor that is an output twice, and a model with a structure of outputs."""
    net = Sketch()
    x = net.relu(net.input(4, 4, 3), name="x")
    y, z = net.relu(x, name="y"), net.relu(x, name="z")
    graph = net.graph(x, y, z)
    ends = MappingProxyType({"second": (y, x), "first": x})
    return type(graph)(graph.name, graph.class_name, graph.nodes, graph.inputs, ends)


def layers_of(graph):
    def named(part):
        return graph.nodes[part.node].layer if isinstance(part, Tensor) else part

    ends = graph.outputs
    return {"second": tuple(named(t) for t in ends["second"]), "first": named(ends["first"])}


def test_a_draft_begins_with_the_outputs_of_its_graph():
    graph = network()
    draft = Draft(graph)
    assert draft.outputs == graph.outputs and draft.freeze() is graph
    x, y, z = (Tensor(graph.index[name]) for name in "xyz")
    assert draft.readers(x) == [y.node, z.node, ENDS]
    assert draft.readers(y) == [ENDS] and draft.readers(z) == []


def test_what_is_put_before_the_outputs_stands_at_each_place_of_the_tensor():
    draft = Draft(network())
    x = Tensor(draft.graph.index["x"])
    made = draft.insert(x, [ENDS], "new", "Identity", CONFIG)
    assert layers_of(draft.freeze()) == {"second": ("y", "new"), "first": "new"}
    assert ENDS not in draft.readers(x) and draft.readers(made) == [ENDS]
    draft.remove(made.node)
    assert layers_of(draft.freeze()) == {"second": ("y", "x"), "first": "x"}
    assert draft.readers(x)[-1] == ENDS


def test_outputs_that_become_one_tensor_stay_apart_in_their_places():
    draft = Draft(network())
    x, y = (Tensor(draft.graph.index[name]) for name in "xy")
    draft.remove(y.node)
    assert layers_of(draft.freeze()) == {"second": ("x", "x"), "first": "x"}
    draft.insert(x, [ENDS], "new", "Identity", CONFIG)
    assert layers_of(draft.freeze()) == {"second": ("new", "new"), "first": "new"}


def test_single_outputs_end_with_calls_of_their_own():
    draft = Draft(network())
    x, y = (Tensor(draft.graph.index[name]) for name in "xy")
    # In the order in which Keras counts: `first` comes before `second`.
    draft.end("new", [0, 2], "float32")
    graph = draft.freeze()
    assert layers_of(graph) == {"second": ("y", "new"), "first": "new"}
    assert [node.name for node in graph.nodes if node.layer == "new"] == ["new", "new:1"]
    assert draft.readers(y) == [ENDS] and ENDS not in draft.readers(x)
    assert draft.spec(0) == graph.nodes[graph.index["x"]].outputs[0]


def joining(count):
    """Some tensors, and one layer that reads all of them, the first one twice."""
    net = Sketch()
    x = net.input(4, 4, 3)
    ends = [net.relu(x, name=f"end{k}") for k in range(count)]
    return net.graph(net.add("Concatenate", *ends, ends[0], name="join"))


@pytest.mark.parametrize("seed", range(20))
def test_what_a_node_reads_after_many_changes_is_what_one_after_another_makes_of_it(seed):
    rng = random.Random(seed)
    graph = joining(6)
    join = graph.index["join"]
    node, nodes = graph.nodes[join], Nodes(graph.nodes)
    wanted = node.args
    for _ in range(12):
        old, new = Tensor(rng.randrange(8)), Tensor(rng.randrange(8))
        wanted = map_tensors(wanted, lambda t, old=old, new=new: new if t == old else t)
        nodes.reroute(join, old, new)
        if rng.random() < 0.2:
            assert nodes[join].args == wanted  # looked at in between
    assert nodes[join].args == wanted and nodes[join].inputs == tuple(tensors_in(wanted))
    assert node.args == graph.nodes[join].args and nodes[1] is graph.nodes[1]


def test_readers_are_known_while_nobody_looks_at_them():
    draft = Draft(joining(3))
    join = draft.graph.index["join"]
    first, second = (Tensor(draft.graph.index[name]) for name in ("end0", "end1"))
    draft.reroute(first, second, [join])
    assert draft.readers(first) == [] and draft.readers(second) == [join]
    made = draft.insert(second, [join], "new", "Identity", CONFIG)
    assert draft.readers(second) == [made.node] and draft.readers(made) == [join]
    graph = draft.freeze()
    names = [graph.nodes[tensor.node].layer for tensor in graph.node("join").inputs]
    assert names == ["new", "new", "end2", "new"]


def test_a_layer_that_takes_the_place_of_one_with_more_inputs_reads_the_first_alone():
    draft = Draft(joining(3))
    first, second = (Tensor(draft.graph.index[name]) for name in ("end0", "end1"))
    draft.exchange(draft.graph.index["join"], "other", "Identity", CONFIG)
    assert draft.readers(first) == [draft.graph.index["join"]] and draft.readers(second) == []
    draft.remove(second.node)
    assert [node.layer for node in draft.freeze().nodes][-2:] == ["end2", "other"]


def test_a_layer_that_took_the_place_of_another_is_configured_by_its_own_name():
    draft = Draft(joining(3))
    draft.exchange(draft.graph.index["end0"], "other", "Identity", CONFIG)
    draft.configure("other", activity=1)
    configs = {node.layer: node.config for node in draft.freeze().nodes}
    assert configs["other"]["activity"] == 1
    assert not any("activity" in config for name, config in configs.items() if name != "other")

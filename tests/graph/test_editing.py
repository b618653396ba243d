"""A draft's outputs: which tensors end the model, in which structure, whatever is edited."""

from types import MappingProxyType

from normwise.graph.editing import ENDS, Draft
from normwise.graph.graph import Tensor
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

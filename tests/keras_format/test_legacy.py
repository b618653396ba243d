"""Genuine Keras 2 files give the calls and shapes that the live Keras 2 model had."""

import json
from pathlib import Path
from typing import Any

import pytest

from normwise.errors import ModelReadError
from normwise.graph.flatten import flatten
from normwise.graph.parameters import total_parameters
from normwise.keras_format import read_graph
from normwise.keras_format.legacy import is_legacy
from normwise.norms import infer_plan

FIXTURES = Path(__file__).parent / "fixtures"
NAMES = ("operations", "nested", "ends_nested", "sequential", "keywords")
UNKNOWN_SHAPES = frozenset({"attend", "add"})  # of an attention layer, and what reads it


def told(name: str) -> dict[str, Any]:
    return json.loads((FIXTURES / f"{name}.told.json").read_text())


def test_the_fixtures_are_small() -> None:
    assert all(path.stat().st_size < 60_000 for path in FIXTURES.iterdir() if path.is_file())


@pytest.mark.parametrize("suffix", [".h5", ".json"])
@pytest.mark.parametrize("name", NAMES)
def test_calls_and_shapes_are_those_of_the_live_model(name: str, suffix: str) -> None:
    graph, live = read_graph(FIXTURES / f"{name}{suffix}"), told(name)
    seen = set()
    for node in graph.nodes:
        if node.layer not in live["layers"]:
            assert node.class_name == "InputLayer"  # a Sequential model leaves it out
            continue
        seen.add((node.layer, node.call))
        layer = live["layers"][node.layer]
        if layer["class_name"] != "TFOpLambda":
            assert node.class_name == layer["class_name"]
        shapes = [None if s.shape is None else list(s.shape) for s in node.outputs]
        assert shapes == ([None] if node.layer in UNKNOWN_SHAPES else layer["shapes"][node.call])
        read = [
            [graph.nodes[t.node].layer, graph.nodes[t.node].call, t.output] for t in node.inputs
        ]
        assert read == layer["reads"][node.call]
    assert seen == {
        (layer, call) for layer, of in live["layers"].items() for call in range(len(of["shapes"]))
    }


@pytest.mark.parametrize("suffix", [".h5", ".json"])
@pytest.mark.parametrize("name", [n for n in NAMES if n != "keywords"])
def test_outputs_and_parameters_are_those_of_the_live_model(name: str, suffix: str) -> None:
    graph, live = read_graph(FIXTURES / f"{name}{suffix}"), told(name)
    assert [list(graph.spec(t).shape) for t in graph.output_tensors] == live["outputs"]
    for view in (graph, flatten(graph)):
        parameters = total_parameters(view)
        assert parameters is not None and parameters.total == live["parameters"]


def test_both_forms_give_one_graph() -> None:
    for name in NAMES:
        first, second = (read_graph(FIXTURES / f"{name}{s}") for s in (".h5", ".json"))
        views = [
            [(n.name, n.class_name, n.args, dict(n.kwargs), n.outputs) for n in flatten(g).nodes]
            for g in (first, second)
        ]
        assert views[0] == views[1]


def test_tensorflow_functions_become_ops_with_their_constants() -> None:
    graph = read_graph(FIXTURES / "operations.h5")
    by_name = {node.name: node for node in graph.nodes}
    assert by_name["tf.nn.relu"].class_name == "Relu"
    assert by_name["tf.concat"].class_name == "Concatenate"
    assert by_name["tf.concat"].config["axis"] == -1
    assert by_name["tf.__operators__.add"].class_name == "Add"
    assert len(by_name["tf.__operators__.add"].inputs) == 2
    assert by_name["tf.math.multiply"].args[0] == 2.0
    assert by_name["tf.math.subtract"].args[1] == 1.0


def test_plans_are_read_from_keras_2_files() -> None:
    assert str(infer_plan(read_graph(FIXTURES / "sequential.h5"))) == "batch@pre-activation"
    assert str(infer_plan(read_graph(FIXTURES / "operations.h5"))) == "batch@encoder:pre-activation"


def test_dictionaries_of_inputs_and_outputs_are_kept() -> None:
    graph = read_graph(FIXTURES / "keywords.h5")
    assert set(graph.inputs) == {"l", "r"} and set(graph.outputs) == {"out"}


def test_what_is_new_is_not_taken_for_old() -> None:
    old = json.loads((FIXTURES / "nested.json").read_text())
    assert is_legacy(old)
    assert not is_legacy({"class_name": "Dense", "config": {"units": 3}})
    assert not is_legacy({"class_name": "Functional"})


def with_call(inbound: Any, function: str = "math.add") -> dict[str, Any]:
    """A Keras 2 model of one input and one op with these `inbound_nodes`."""
    entry = {"class_name": "InputLayer", "name": "x", "inbound_nodes": []}
    shape = {"batch_input_shape": [None, 4, 4, 2], "name": "x", "dtype": "float32"}
    op = {
        "class_name": "TFOpLambda",
        "name": "op",
        "config": {"name": "op", "trainable": True, "function": function},
        "inbound_nodes": inbound,
    }
    return {
        "class_name": "Functional",
        "config": {
            "name": "m",
            "layers": [{**entry, "config": shape}, op],
            "input_layers": [["x", 0, 0]],
            "output_layers": [["op", 0, 0]],
        },
    }


@pytest.mark.parametrize("constant", [2, 2.5, [1.0, 2.0]])
def test_constants_may_come_first(constant: Any, tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    call = ["_CONSTANT_VALUE", -1, constant, {"y": ["x", 0, 0], "name": None}]
    path.write_text(json.dumps(with_call([call])))
    node = read_graph(path).node("op")
    assert node.args[0] == (tuple(constant) if isinstance(constant, list) else constant)
    assert node.shape == (None, 4, 4, 2) and len(node.inputs) == 1


def test_a_function_without_counterpart_stays_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text(json.dumps(with_call([["x", 0, 0, {"k": 3}]], "signal.fft")))
    node = read_graph(path).node("op")
    assert (node.class_name, node.kwargs["k"], node.shape) == ("TFOpLambda", 3, None)
    assert node.config["function"] == "signal.fft"


@pytest.mark.parametrize(
    "inbound", [[["x"]], [[3]], [[[["x", 0, 0]]]], [["gone", 0, 0, {}]], [["x", 7, 0, {}]], [[]]]
)
def test_broken_calls_are_refused(inbound: Any, tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(with_call(inbound)))
    try:
        read_graph(path)
    except ModelReadError as error:
        assert "broken.json" in str(error)

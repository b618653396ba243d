"""One graph from every form of a model, and clear errors for everything that is none."""

import json
import os
import random
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import keras
import pytest

from normwise.errors import ModelReadError
from normwise.graph.graph import Graph, Node
from normwise.keras_format import model_file, read_graph
from tests.zoo import NOT_SAVED, ZOO, built, conv

SAVED = sorted(set(ZOO) - NOT_SAVED)
# Keras itself can't write two nested models with layers of one name to HDF5.
WITHOUT_H5 = frozenset({"nested_in_nested"})

OPAQUE_SHAPES = frozenset({"sequential_augmented", "sequential_of_tokens", "sequential_of_steps"})
"""Sequential models with layers whose shapes no rule tells, and files only where they tell for what
the next one was built."""


ON_EVERY_BACKEND = frozenset(
    {
        "nested_twice",
        "sequential_twice",
        "nested_dictionaries",
        "operations",
        "slices",
        "channels_first",
        "all_norms",
        "free_size",
        "odd_names",
    }
)
WITH_MARKS = [
    pytest.param(name, marks=pytest.mark.backends) if name in ON_EVERY_BACKEND else name
    for name in SAVED
]


def write(model: Any, path: Path) -> Path:
    if path.suffix == ".json":
        path.write_text(model.to_json(), encoding="utf-8")
    else:
        model.save(path)
    return path


def without_source(graph: Graph, modules: bool = True) -> Graph:
    """The graph without where it came from, at every level; HDF5 doesn't tell modules either."""
    nodes = tuple(
        replace(
            node,
            model=None if node.model is None else without_source(node.model, modules),
            steps=None if node.steps is None else without_source(node.steps, modules),
            module=node.module if modules else None,
        )
        for node in graph.nodes
    )
    return replace(graph, nodes=nodes, source="")


def as_far_as_told(live: Graph, file: Graph) -> Graph:
    """The live graph without the shapes that a file doesn't tell, at every level."""
    nodes = tuple(
        replace(
            node,
            model=None if node.model is None else as_far_as_told(node.model, told.model),
            outputs=tuple(
                spec if known.shape is not None else replace(spec, shape=None)
                for spec, known in zip(node.outputs, told.outputs, strict=True)
            ),
        )
        for node, told in zip(live.nodes, file.nodes, strict=True)
    )
    return replace(live, nodes=nodes)


def layer_of(model: Any, node: Node) -> Any:
    return next(operation for operation in model.operations if operation.name == node.layer)


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".json"])
@pytest.mark.parametrize("name", WITH_MARKS)
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_every_format_gives_the_graph_of_the_live_model(
    name: str, suffix: str, tmp_path: Path
) -> None:
    if suffix == ".h5" and name in WITHOUT_H5:
        pytest.skip("Keras can't write it")
    model = built(name)
    path = write(model, tmp_path / f"model{suffix}")
    graph, told = read_graph(path), suffix != ".h5"
    live = read_graph(model)
    if name in OPAQUE_SHAPES:
        live = as_far_as_told(live, graph)
    assert without_source(graph, told) == without_source(live, told)
    assert graph.source == str(path)


def test_a_file_tells_for_what_the_layers_of_a_sequential_model_were_built(tmp_path: Path) -> None:
    model = built("sequential_of_tokens")
    graph = read_graph(write(model, tmp_path / "model.keras"))
    assert without_source(graph) == without_source(read_graph(model))
    assert [node.shape for node in graph.nodes] == [
        (None, 7), (None, 7, 4), (None, 6), (None, 5), (None, 2)
    ]  # fmt: skip


def test_negative_control_of_the_comparison(tmp_path: Path) -> None:
    graph = read_graph(write(built("nested_twice"), tmp_path / "a.keras"))
    outer = next(i for i, node in enumerate(graph.nodes) if node.model is not None)
    nested = graph.nodes[outer]
    inner = nested.model.nodes[1]
    changed = replace(nested.model, nodes=(nested.model.nodes[0], replace(inner, name="other")))
    other = replace(
        graph,
        nodes=tuple(
            replace(n, model=changed) if i == outer else n for i, n in enumerate(graph.nodes)
        ),
    )
    assert without_source(other) != without_source(graph)


@pytest.mark.parametrize("name", sorted(ZOO))
def test_shapes_and_dtypes_are_those_of_the_live_tensors(name: str, tmp_path: Path) -> None:
    model = built(name)
    graphs = [read_graph(model)]
    if name not in NOT_SAVED:
        graphs.append(read_graph(write(model, tmp_path / "model.keras")))
    for graph in graphs:
        for tensor, live in zip(graph.output_tensors, model.outputs, strict=True):
            spec = graph.spec(tensor)
            assert (spec.shape, spec.dtype) == (tuple(live.shape), live.dtype)
        for tensor, live in zip(graph.input_tensors, model.inputs, strict=True):
            spec = graph.spec(tensor)
            assert (spec.shape, spec.dtype) == (tuple(live.shape), live.dtype)


def test_a_layer_that_stands_twice_in_a_sequential_model_has_the_shape_of_each_call() -> None:
    pool = keras.layers.MaxPooling2D(name="pool")
    parts = [keras.layers.Conv2D(8, 3, padding="same"), pool,
             keras.layers.Conv2D(16, 3, padding="same"), pool]  # fmt: skip
    graph = read_graph(keras.Sequential([keras.Input((32, 32, 3)), *parts]))
    assert [node.shape for node in graph.nodes] == [
        (None, 32, 32, 3), (None, 32, 32, 8), (None, 16, 16, 8), (None, 16, 16, 16),
        (None, 8, 8, 16),
    ]  # fmt: skip
    assert [(node.name, node.call) for node in graph.nodes if node.layer == "pool"] == [
        ("pool", 0), ("pool:1", 1)
    ]  # fmt: skip


def test_calls_of_a_functional_model_are_those_of_keras() -> None:
    model = built("nested_twice")
    graph = read_graph(model)
    assert [node.name for node in graph.nodes].count("block:1") == 1
    assert {node.layer for node in graph.nodes} == {op.name for op in model.operations}
    for node in graph.nodes:
        assert node.class_name == type(layer_of(model, node)).__name__


def test_constants_and_keywords_of_calls_are_kept() -> None:
    graph = read_graph(built("operations"))
    multiplied = next(node for node in graph.nodes if node.class_name == "Multiply")
    assert multiplied.args[1] == 2.0
    divided = next(n for n in graph.nodes if n.class_name in {"Divide", "TrueDivide"})
    assert divided.args[0] == 1.0 and len(divided.inputs) == 1
    attend = read_graph(built("keyword_tensors")).node("attend")
    assert {"query", "value", "key"} <= set(attend.kwargs) and len(attend.inputs) == 3


def test_slices_differ_where_only_the_slice_differs() -> None:
    slices = [n for n in read_graph(built("slices")).nodes if n.class_name == "GetItem"]
    assert len(slices) == 3
    assert len({str(node.args[1:]) + str(dict(node.kwargs)) for node in slices}) == 3


def test_structures_of_inputs_and_outputs_are_kept() -> None:
    graph = read_graph(built("dict_in_and_out"))
    assert set(graph.inputs) == {"optical", "radar"} and set(graph.outputs) == {"mask", "height"}
    deep = read_graph(built("nested_structure"))
    assert len(deep.inputs) == 2 and len(deep.inputs[1]) == 2
    assert set(deep.outputs) == {"first", "more"} and len(deep.outputs["more"]) == 2


def test_a_layer_that_keras_cannot_write_is_opaque_with_its_reason() -> None:
    node = read_graph(built("custom_without_config")).node("opaque")
    assert node.class_name == "Opaque" and node.opaque and "get_config" in node.opaque
    assert all(n.opaque is None for n in read_graph(built("residual_post")).nodes)


def test_a_graph_is_returned_as_it_is() -> None:
    graph = read_graph(built("residual_post"))
    assert read_graph(graph) is graph


def test_a_run_folder_is_its_model(tmp_path: Path) -> None:
    write(built("residual_pre"), tmp_path / "model.keras")
    assert model_file(tmp_path) == tmp_path / "model.keras"
    assert read_graph(str(tmp_path)).name == "residual_pre"


# What can't be read. -------------------------------------------------------------------------


class Subclassed(keras.Model):
    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.only = conv(2)

    def call(self, x: Any) -> Any:
        return self.only(x)


def refused(model: Any, *words: str) -> None:
    """Reading ends in a `ModelReadError` that holds all the words, and in nothing else."""
    with pytest.raises(ModelReadError) as caught:
        read_graph(model)
    for word in words:
        assert word in str(caught.value)


def test_a_subclassed_model_is_refused_by_name() -> None:
    refused(Subclassed(name="mine"), "'mine'", "Subclassed", "keras.Model(inputs, outputs)")


def test_a_saved_subclassed_model_is_refused(tmp_path: Path) -> None:
    model = Subclassed(name="mine")
    model(keras.ops.zeros((1, 4, 4, 3)))
    refused(write(model, tmp_path / "m.keras"), "m.keras", "Subclassed", "keras.Model")


@pytest.mark.parametrize(
    "thing", [3, None, [1, 2], {"class_name": "Functional"}, keras.layers.ReLU]
)
def test_what_is_no_model_is_refused(thing: Any) -> None:
    refused(thing, type(thing).__name__, "expected a Keras model or the path")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none.keras", "none.keras", "no such file")


def test_a_name_that_no_file_can_have_is_refused() -> None:
    refused("a" * 5000 + ".keras", "no such file")
    refused("a\0b.keras", "no such file")


@pytest.mark.parametrize("name", ["model.pt", "model", "model.onnx", "model.keras.zip"])
def test_an_unknown_suffix_names_the_known_ones(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"x")
    refused(path, name, ".keras", ".h5", ".json")


def test_a_folder_without_model_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, tmp_path.name, "model.keras")
    folder = tmp_path / "x.keras"
    folder.mkdir()
    refused(folder, "x.keras")


@pytest.mark.parametrize("tenth", range(10))
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_a_truncated_file_is_refused(tenth: int, suffix: str, tmp_path: Path) -> None:
    path = write(built("residual_post"), tmp_path / f"cut{suffix}")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * tenth // 10])
    refused(path, f"cut{suffix}")


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".hdf5", ".json"])
@pytest.mark.parametrize("seed", range(4))
def test_random_bytes_are_refused(suffix: str, seed: int, tmp_path: Path) -> None:
    path = tmp_path / f"noise{suffix}"
    path.write_bytes(random.Random(seed).randbytes(2000 * seed))
    refused(path, f"noise{suffix}")


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_damaged_files_are_read_or_refused(suffix: str, tmp_path: Path) -> None:
    whole = write(built("residual_post"), tmp_path / f"whole{suffix}").read_bytes()
    path, choose = tmp_path / f"damaged{suffix}", random.Random(7)
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(choose.choice((1, 8, 64))):
            damaged[choose.randrange(len(damaged))] = choose.randrange(256)
        path.write_bytes(damaged)
        try:
            assert isinstance(read_graph(path), Graph)
        except ModelReadError as error:
            assert path.name in str(error)


def test_a_damaged_compressed_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "packed.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", built("residual_post").to_json())
    assert read_graph(path).name == "residual_post"
    damaged = bytearray(path.read_bytes())
    damaged[60:90] = bytes(30)
    path.write_bytes(damaged)
    refused(path, "packed.keras")


def test_an_archive_without_configuration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "x")
    refused(path, "other.keras", "config.json", "model.save()")


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_a_file_of_weights_is_refused(tmp_path: Path) -> None:
    built("residual_post").save_weights(tmp_path / "w.weights.h5")
    refused(tmp_path / "w.weights.h5", "w.weights.h5", "only weights", "model.save()")
    with h5py.File(tmp_path / "bytes.h5", "w") as file:
        file.attrs["model_config"] = b"\xff\xfe"
    refused(tmp_path / "bytes.h5", "bytes.h5")
    with h5py.File(tmp_path / "number.h5", "w") as file:
        file.attrs["model_config"] = 3
    refused(tmp_path / "number.h5", "number.h5")


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '"a model"',
        "null",
        "17",
        "",
        "{",
        "{}",
        '{"config": {}}',
        '{"class_name": "Functional"}',
        '{"class_name": "Functional", "config": 3}',
        '{"class_name": "Functional", "config": {"layers": 3}}',
        '{"class_name": "Functional", "config": {"layers": "abc", "input_layers": []}}',
        '{"class_name": "Sequential", "config": {"layers": [3]}}',
        '{"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense"}]}}',
        '{"class_name": "Functional", "config": {"layers": [], "input_layers": []}}',
        '{"class_name": "Sequential", "config": [3]}',
        '{"class_name": "Dense", "config": {"units": 3}}',
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        '{"class_name": "Sequential", "config": ' + "[" * 900 + "]" * 900 + "}",
        "1" * 10_000,
    ],
)
def test_json_that_is_no_model_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(text)
    refused(path, "wrong.json")


def test_a_file_that_may_not_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(built("residual_post"), tmp_path / "closed.json")

    def deny(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    refused(path, "closed.json", "Permission denied")


def test_a_folder_that_may_not_be_looked_into_is_refused(
    tmp_path: Path, forbid: Callable[[Path], None]
) -> None:
    forbid(tmp_path / "run")
    (tmp_path / "run").mkdir()
    refused(tmp_path / "run" / "model.keras", "model.keras", "Permission denied")
    refused(tmp_path / "run", "run: no such file", "Permission denied")


def test_a_configuration_beyond_all_bounds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("normwise.keras_format.archive.MAX_CONFIG_BYTES", 1 << 20)
    text = json.dumps({"class_name": "Sequential", "pad": "x" * (1 << 21)})
    (tmp_path / "big.json").write_text(text)
    with zipfile.ZipFile(tmp_path / "big.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", text)
    for name in ("big.json", "big.keras"):
        refused(tmp_path / name, name, "1 MiB")


def test_path_likes_are_paths(tmp_path: Path) -> None:
    class Like(os.PathLike):
        def __fspath__(self) -> str:
            return str(tmp_path / "gone.keras")

    refused(Like(), "gone.keras")


def test_nested_models_know_the_shapes_inside(tmp_path: Path) -> None:
    graph = read_graph(write(built("nested_twice"), tmp_path / "m.keras"))
    inner = graph.node("block").model
    assert inner is not None and inner.nodes[-1].shape == (None, None, None, 4)


def test_two_equal_models_have_equal_graphs(tmp_path: Path) -> None:
    # Keras writes memory addresses as shared_object_id, which differ from process to process.
    with zipfile.ZipFile(write(built("residual_post"), tmp_path / "a.keras")) as archive:
        (tmp_path / "a.json").write_bytes(archive.read("config.json"))
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    text = re.sub(r'("shared_object_id": )\d+', r"\g<1>7", first.read_text())
    second.write_text(text)
    assert text != first.read_text()
    assert without_source(read_graph(first)) == without_source(read_graph(second))


@keras.saving.register_keras_serializable("tests")
class OwnSequential(keras.Sequential):
    """A class of models whose calls Keras counts as those of a layer."""


def test_a_sequential_model_of_a_class_of_its_own_that_makes_an_output(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 3))
    parts = OwnSequential([keras.Input((8, 8, 3)), conv(3, name="a")], name="parts")
    model = keras.Model(inputs, parts(parts(inputs)))
    for form in (model, write(model, tmp_path / "m.keras"), write(model, tmp_path / "m.json")):
        graph = read_graph(form)
        assert graph.nodes[graph.output_tensors[0].node].name == "parts:1"

"""Live models from Keras 2 files, built from their graph.

Keras 3 reads such a file as far as its calls are plain: nested models (whose calls Keras 2 counts
from 1), tensors in keyword arguments and raw TensorFlow functions stop it. All of them are in the
graph that `legacy` has translated, so the model is built from that: layers from their
configurations, functions as the `keras.ops` that compute the same. Weights go by the names of
layers and variables, never by position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from normwise.errors import ModelReadError, SurgeryError
from normwise.graph.catalogue import Role, role_of
from normwise.graph.graph import Graph, Node, Tensor, thaw
from normwise.keras_format.layers import new_layer
from normwise.keras_format.legacy import OPS
from normwise.keras_format.reading import read_graph
from normwise.keras_format.recursion import deep_recursion
from normwise.keras_format.stored_weights import Array, read_layer_weights

GONE = frozenset(
    ["batch_input_shape", "query_shape", "key_shape", "value_shape", "softmax_robust_masking",
     "time_major", "implementation", "fused", "virtual_batch_size", "adjustment"]
)  # fmt: skip
"""Settings of Keras 2 that Keras 3 doesn't take, and that say nothing of what is computed there."""

ARGUMENTS: Mapping[str, Mapping[str, str]] = {
    "LeakyRelu": {"alpha": "negative_slope"},
    "Resize": {"method": "interpolation"},
}
"""What `keras.ops` call the arguments of TensorFlow's functions."""


def legacy_model(path: Path) -> Any:
    """The model in a whole-model `.h5` of Keras 2, or in a `.json` without weights.

    Raises:
        ModelReadError: It has layers or functions that Keras 3 doesn't have, or weights that don't
            fit them; the layer is named.
    """
    graph = read_graph(path)
    with deep_recursion(len(graph.nodes)):
        model = _Builder(path).model(graph)
    if path.suffix != ".json":
        set_weights(path, model)
    return model


class _Builder:
    def __init__(self, path: Path) -> None:
        self._path = path

    def model(self, graph: Graph) -> Any:
        import keras  # noqa: PLC0415 - files are read without it

        layers: dict[str, Any] = {}
        if graph.class_name == "Sequential":
            chain = [self._layer(n, layers) for n in graph.nodes if role_of(n) is not Role.INPUT]
            return keras.Sequential([_input(graph.nodes[0]), *chain], name=graph.name)
        made: dict[Tensor, Any] = {}
        for index, node in enumerate(graph.nodes):
            if role_of(node) is Role.INPUT:
                outputs = _input(node)
            else:
                outputs = self._called(node, layers, made)
            for output, tensor in enumerate(keras.tree.flatten(outputs)):
                made[Tensor(index, output)] = tensor
        ends = (_filled(end, made) for end in (graph.inputs, graph.outputs))
        return keras.Model(*ends, name=graph.name)

    def _called(self, node: Node, layers: dict[str, Any], made: Mapping[Tensor, Any]) -> Any:
        args = [_filled(argument, made) for argument in node.args]
        kwargs = {key: _filled(value, made) for key, value in node.kwargs.items()}
        try:
            if node.is_op:
                return _function(node)(*args, **_renamed(node, kwargs))
            return self._layer(node, layers)(*args, **kwargs)
        except ModelReadError:
            raise
        except Exception as error:
            # Keras raises many types here; all of them mean that this call can't be made.
            raise self._refused(node, str(error).strip().partition("\n")[0]) from error

    def _layer(self, node: Node, layers: dict[str, Any]) -> Any:
        if node.layer not in layers:
            layers[node.layer] = self._made(node) if node.model is None else self.model(node.model)
        return layers[node.layer]

    def _made(self, node: Node) -> Any:
        if node.class_name in {"TFOpLambda", "SlicingOpLambda"}:
            function = node.config.get("function")
            raise self._refused(node, f"keras.ops has no counterpart of TensorFlow's {function}")
        try:
            return new_layer(node.class_name, _settings(node), node.layer)
        except SurgeryError as error:
            raise self._refused(node, str(error)) from error

    def _refused(self, node: Node, reason: str) -> ModelReadError:
        return ModelReadError(
            f"{self._path}: layer {node.layer!r} of class {node.class_name} can't be built in "
            f"Keras 3: {reason.rstrip('.')}. Rebuild the model in Keras 3 and load its weights, or "
            "save it from Keras 2 without that layer."
        )


def _input(node: Node) -> Any:
    import keras  # noqa: PLC0415

    spec = node.outputs[0]
    sparse = bool(node.config.get("sparse"))
    return keras.Input(batch_shape=spec.shape, dtype=spec.dtype, sparse=sparse, name=node.layer)


def _settings(node: Node) -> dict[str, Any]:
    """A layer's configuration as Keras 3 writes it."""
    told = {key: thaw(value) for key, value in node.config.items() if key not in GONE}
    axis, policy = told.get("axis"), told.get("dtype")
    if isinstance(axis, list) and len(axis) == 1:
        told["axis"] = axis[0]
    if isinstance(policy, dict):
        told["dtype"] = policy.get("config", {}).get("name")
    if told.get("groups") == 1 and (
        "Depthwise" in node.class_name or "Transpose" in node.class_name
    ):
        del told["groups"]
    return {**told, "name": node.layer}


def _function(node: Node) -> Callable[..., Any]:
    import keras  # noqa: PLC0415

    assert node.class_name in {class_name for class_name, _ in OPS.values()}
    name = "".join(f"_{c.lower()}" if c.isupper() else c for c in node.class_name).lstrip("_")
    found: Callable[..., Any] = (
        keras.ops.image.resize if name == "resize" else getattr(keras.ops, name)
    )
    return found


def _renamed(node: Node, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    names = ARGUMENTS.get(node.class_name, {})
    return {names.get(key, key): value for key, value in kwargs.items() if value is not None}


def _filled(structure: Any, made: Mapping[Tensor, Any]) -> Any:
    if isinstance(structure, Tensor):
        return made[structure]
    if isinstance(structure, Mapping):
        return {key: _filled(part, made) for key, part in structure.items()}
    if isinstance(structure, (tuple, list)):
        return [_filled(part, made) for part in structure]
    return structure


def set_weights(path: Path, model: Any) -> None:
    """Sets the weights of every layer from a file of Keras 2, by their names.

    Raises:
        ModelReadError: A layer has other weights than the file holds for it.
    """
    stored = read_layer_weights(path)
    for layer in model.layers:
        _set(path, layer.name, layer, stored.get(layer.name, ()))


def _set(path: Path, where: str, layer: Any, stored: Sequence[tuple[str, Array]]) -> None:
    if hasattr(layer, "layers"):
        for inner in layer.layers:
            own = [(name, array) for name, array in stored if _belongs(name, inner)]
            _set(path, f"{where}/{inner.name}", inner, own)
        return
    # The order in which Keras 2 wrote them.
    variables = [*layer.trainable_weights, *layer.non_trainable_weights]
    told = [(_ending(name), array.shape) for name, array in stored]
    wanted = [(_ending(v.path), tuple(v.shape)) for v in variables]
    if [shape for _, shape in told] != [shape for _, shape in wanted] or any(
        a != b for (a, _), (b, _) in zip(told, wanted, strict=True)
    ):
        raise ModelReadError(
            f"{path}: layer {where!r} has the weights {_said(wanted)}, but the file holds "
            f"{_said(told)}."
        )
    for variable, (_, array) in zip(variables, stored, strict=True):
        variable.assign(array)
    if hasattr(layer, "finalize_state"):
        layer.finalize_state()


def _belongs(name: str, layer: Any) -> bool:
    """Whether a stored weight is one of a layer, or of a layer in it."""
    inside = [layer.name]
    if hasattr(layer, "layers"):
        inside += list(_names(layer))
    return any(part in inside for part in name.split("/")[:-1])


def _names(model: Any) -> Iterator[str]:
    for layer in model.layers:
        yield layer.name
        if hasattr(layer, "layers"):
            yield from _names(layer)


def _ending(name: str) -> str:
    """`kernel` of `stem/conv/kernel:0`."""
    return name.rpartition("/")[2].partition(":")[0]


def _said(weights: Sequence[tuple[str, tuple[int, ...]]]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in weights) or "none"

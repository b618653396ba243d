"""Describes a live Keras model in the form in which Keras 3 writes its configuration.

The one place that looks at Keras' private graph. Unlike `model.get_config()` it tells the shape of
every output, and a layer whose configuration can't be written (a Lambda, a custom layer without
`get_config`) is kept as opaque, with the reason, instead of failing.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from normwise.errors import ModelReadError
from normwise.keras_format.recursion import deep_recursion


def describe(model: Any) -> dict[str, Any]:
    """The model's configuration, calls and shapes.

    Args:
        model: A functional or Sequential `keras.Model`.

    Raises:
        ModelReadError: A subclassed model without a graph, or no Keras model at all.
    """
    import keras  # noqa: PLC0415 - files are read without it

    if not isinstance(model, keras.Model):
        raise ModelReadError(
            f"expected a Keras model or the path of a model file, got {type(model).__name__}."
        )
    if isinstance(model, keras.Sequential):
        return _sequential(model)
    if not hasattr(model, "_nodes"):
        raise ModelReadError(
            f"model {model.name!r} is of class {type(model).__name__}, which has no graph of "
            "layers. Only functional and Sequential models can be read; rebuild it with "
            "keras.Model(inputs, outputs)."
        )
    return _functional(model)


def live_calls(model: Any) -> dict[str, Any]:
    """Keras' own record of each call of a functional model, by the name of its node.

    The record has `.operation`, `.arguments` (`.args`, `.kwargs`) and `.outputs`.
    """
    import keras  # noqa: PLC0415

    inner = model._functional if isinstance(model, keras.Sequential) else model
    calls = _calls(inner)
    found = {}
    for operation in inner.operations:
        for node in operation._inbound_nodes:
            call = calls.get(id(node))
            if call is not None:
                found[f"{operation.name}:{call}" if call else operation.name] = node
    return found


def probe(model: Any, names: Sequence[str], *, reads: bool = False) -> Any:
    """A model of the same layers whose outputs are the first results of the named calls.

    Args:
        model: A functional or Sequential model.
        names: Names of nodes, of calls that read something.
        reads: Whether what each call reads first is an output too, before its result.
    """
    import keras  # noqa: PLC0415

    calls = live_calls(model)
    inner = model._functional if isinstance(model, keras.Sequential) else model
    outputs: list[Any] = []
    for name in names:
        outputs += calls[name].arguments.keras_tensors[:1] if reads else []
        outputs.append(calls[name].outputs[0])
    with deep_recursion(len(calls)):
        return keras.Model(inner._inputs_struct, outputs)


def is_model(operation: Any) -> bool:
    """Whether a layer is itself a functional or Sequential model."""
    import keras  # noqa: PLC0415

    if isinstance(operation, keras.Sequential):
        return True
    return isinstance(operation, keras.Model) and hasattr(operation, "_nodes")


def _sequential(model: Any) -> dict[str, Any]:
    # `model.layers` leaves the input out; an unbuilt model has none.
    inputs = list(getattr(model, "inputs", None) or [])
    made, nothing = _made_in_turn(model), iter(())
    layers = [{**_layer(layer), **next(made.get(id(layer), nothing), {})} for layer in model.layers]
    if inputs:
        first = _layer(inputs[0]._keras_history.operation)
        layers.insert(0, first)
    return {
        "class_name": "Sequential",
        "module": "keras",
        "config": {"name": model.name, "layers": layers},
    }


def _made_in_turn(model: Any) -> dict[int, Iterator[dict[str, Any]]]:
    """What each layer of a Sequential model makes in it, call after call, by the layer's `id`.

    Nothing of a model that isn't built.
    """
    inner = getattr(model, "_functional", None)
    if inner is None:
        return {}
    calls = _calls(inner)
    return {
        id(operation): iter(
            [
                {"outputs": [_spec(tensor) for tensor in node.output_tensors]}
                for node in operation._inbound_nodes
                if id(node) in calls
            ]
        )
        for operation in inner.operations
    }


def _functional(model: Any) -> dict[str, Any]:
    calls = _calls(model)
    layers = []
    for operation in model.operations:
        layer = _layer(operation)
        own = [node for node in operation._inbound_nodes if id(node) in calls]
        layer["inbound_nodes"] = [_call(node, calls) for node in own if node.input_tensors]
        layers.append(layer)
    return {
        "class_name": type(model).__name__,
        "module": type(model).__module__,
        "config": {
            "name": model.name,
            "layers": layers,
            "input_layers": _ends(model._inputs_struct, calls),
            "output_layers": _ends(model._outputs_struct, calls),
        },
    }


def _calls(model: Any) -> dict[int, int]:
    """For each node of the model, by id, which call of its layer it is inside this model."""
    members = {id(node) for nodes in model._nodes_by_depth.values() for node in nodes}
    calls = {}
    for operation in model.operations:
        own = [node for node in operation._inbound_nodes if id(node) in members]
        calls.update({id(node): call for call, node in enumerate(own)})
    return calls


def _layer(operation: Any) -> dict[str, Any]:
    if is_model(operation):
        layer = describe(operation)
    else:
        layer = {
            "class_name": type(operation).__name__,
            "module": type(operation).__module__,
            **_config(operation),
        }
    return {**layer, "name": operation.name}


def _config(operation: Any) -> dict[str, Any]:
    import keras  # noqa: PLC0415

    try:
        serialized = keras.saving.serialize_keras_object(operation)
    except Exception as error:
        # Whatever a user's own get_config raises, the layer can still be placed in the graph.
        first, _, _ = str(error).strip().partition("\n\n")
        reason = " ".join(first.split()) or type(error).__name__
        return {"config": {"name": operation.name}, "opaque": reason}
    return {"config": _plain(serialized.get("config", {})), "module": serialized.get("module")}


def _call(node: Any, calls: dict[int, int]) -> dict[str, Any]:
    return {
        "args": [_value(argument, calls) for argument in node.arguments.args],
        "kwargs": {k: _value(v, calls) for k, v in node.arguments.kwargs.items()},
        "outputs": [_spec(tensor) for tensor in node.output_tensors],
    }


def _spec(tensor: Any) -> dict[str, Any]:
    return {"shape": list(tensor.shape), "dtype": str(tensor.dtype)}


def _value(value: Any, calls: dict[int, int]) -> Any:
    if hasattr(value, "_keras_history"):
        config = {**_spec(value), "keras_history": _history(value, calls)}
        return {"class_name": "__keras_tensor__", "config": config}
    if isinstance(value, dict):
        return {str(k): _value(v, calls) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_value(v, calls) for v in value]
    return _constant(value)


def _constant(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    import keras  # noqa: PLC0415

    try:
        return _plain(keras.saving.serialize_keras_object(value))
    except Exception:
        # An object that Keras can't write either; its text still tells graphs apart.
        return repr(value)


def _plain(value: Any) -> Any:
    """Tuples as lists and sizes as plain numbers: what a round trip through JSON would leave."""
    if isinstance(value, dict):
        if value.get("class_name") == "__tuple__":
            return [_plain(v) for v in value["config"]["value"]]
        return {str(k): _plain(v) for k, v in value.items() if k != "shared_object_id"}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if hasattr(value, "tolist"):
        return value.tolist()
    return repr(value)


def _history(tensor: Any, calls: dict[int, int]) -> list[Any]:
    history = tensor._keras_history
    node = history.operation._inbound_nodes[history.node_index]
    return [history.operation.name, calls.get(id(node), history.node_index), history.tensor_index]


def _ends(structure: Any, calls: dict[int, int]) -> Any:
    import keras  # noqa: PLC0415

    if isinstance(structure, dict):
        return {str(k): _ends(v, calls) for k, v in structure.items()}
    if isinstance(structure, (list, tuple)):
        return [_ends(v, calls) for v in structure]
    layer, call, output = _history(structure, calls)
    # The same convention as in files, which `config` knows.
    operation = structure._keras_history.operation
    shifted = is_model(operation) and not isinstance(operation, keras.Sequential)
    return [layer, call + shifted, output]

"""Translates Keras 2 model configurations to the form that Keras 3 writes.

Keras 2 writes the calls of a layer as `[[layer, call, output, kwargs], ...]`, counts the calls of
a nested model from 1, and wraps raw TensorFlow ops as `TFOpLambda` layers whose references to
tensors may stand inside the keyword arguments.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from normwise.keras_format.bounds import MAX_CALLS, MAX_READS
from normwise.keras_format.references import MAPPINGS, SEQUENCES

OPS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "math.add": ("Add", ("x", "y")),
    "__operators__.add": ("Add", ("x", "y")),
    "math.subtract": ("Subtract", ("x", "y")),
    "__operators__.sub": ("Subtract", ("x", "y")),
    "math.multiply": ("Multiply", ("x", "y")),
    "__operators__.mul": ("Multiply", ("x", "y")),
    "math.truediv": ("Divide", ("x", "y")),
    "math.divide": ("Divide", ("x", "y")),
    "math.maximum": ("Maximum", ("x", "y")),
    "math.minimum": ("Minimum", ("x", "y")),
    "concat": ("Concatenate", ("values",)),
    "nn.relu": ("Relu", ("features",)),
    "nn.relu6": ("Relu6", ("features",)),
    "nn.leaky_relu": ("LeakyRelu", ("features",)),
    "nn.elu": ("Elu", ("features",)),
    "nn.selu": ("Selu", ("features",)),
    "nn.gelu": ("Gelu", ("features",)),
    "nn.silu": ("Silu", ("features",)),
    "nn.swish": ("Silu", ("features",)),
    "nn.softmax": ("Softmax", ("logits",)),
    "nn.sigmoid": ("Sigmoid", ("x",)),
    "math.sigmoid": ("Sigmoid", ("x",)),
    "nn.tanh": ("Tanh", ("x",)),
    "math.tanh": ("Tanh", ("x",)),
    "nn.softplus": ("Softplus", ("features",)),
    "math.reduce_mean": ("Mean", ("input_tensor",)),
    "math.reduce_max": ("Max", ("input_tensor",)),
    "math.reduce_sum": ("Sum", ("input_tensor",)),
    "image.resize": ("Resize", ("images",)),
    "identity": ("Copy", ("input",)),
    "cast": ("Cast", ("x",)),
    "nn.depth_to_space": ("DepthToSpace", ("input",)),
    "nn.space_to_depth": ("SpaceToDepth", ("input",)),
}
"""The TensorFlow functions that have a counterpart in keras.ops: class, names of its tensors."""


def is_legacy(serialized: Mapping[str, Any]) -> bool:
    """Whether a configuration is written in the Keras 2 form."""
    config = serialized.get("config")
    if isinstance(config, SEQUENCES) and not isinstance(config, str):
        return True
    layers = config.get("layers") if isinstance(config, MAPPINGS) else None
    return isinstance(layers, SEQUENCES) and any(
        isinstance(layer, MAPPINGS) and _is_legacy_layer(layer) for layer in layers
    )


def _is_legacy_layer(layer: Mapping[str, Any]) -> bool:
    inbound = layer.get("inbound_nodes")
    if isinstance(inbound, SEQUENCES) and inbound:
        return isinstance(inbound[0], SEQUENCES)
    config = layer.get("config")
    return isinstance(config, MAPPINGS) and ("batch_input_shape" in config or is_legacy(layer))


def translate(serialized: Mapping[str, Any]) -> dict[str, Any]:
    """A Keras 2 configuration in the Keras 3 form; what is already in it stays."""
    config = serialized.get("config")
    if isinstance(config, Sequence) and not isinstance(config, str):
        config = {"name": "sequential", "layers": list(config)}
    if not isinstance(config, Mapping) or not isinstance(config.get("layers"), Sequence):
        return dict(serialized)
    layers = list(config["layers"])
    for layer in layers:
        if not isinstance(layer, Mapping):
            raise TypeError(f"expected a layer, got {type(layer).__name__}")
    _refuse_many(layers)
    nested = {_name(layer) for layer in layers if _has_layers(layer)}
    new = {**config, "layers": [_layer(layer, nested) for layer in layers]}
    for key in ("input_layers", "output_layers"):
        if key in config:
            new[key] = _ends(config[key], nested, layers)
    return {**serialized, "config": new}


def _refuse_many(layers: Sequence[Mapping[str, Any]]) -> None:
    told = (layer.get("inbound_nodes") for layer in layers)
    calls = [call for inbound in told if isinstance(inbound, SEQUENCES) for call in inbound]
    if len(calls) > MAX_CALLS:
        raise ValueError(f"{len(calls)} calls of layers, more than {MAX_CALLS}")
    reads = sum(len(call) for call in calls if isinstance(call, SEQUENCES))
    if reads > MAX_READS:
        raise ValueError(f"{reads} tensors are read by calls, more than {MAX_READS}")


def _has_layers(layer: Mapping[str, Any]) -> bool:
    config = layer.get("config")
    return isinstance(config, Mapping) and isinstance(config.get("layers"), Sequence)


def _name(layer: Mapping[str, Any]) -> str:
    config = layer.get("config")
    inner = config.get("name") if isinstance(config, Mapping) else None
    return str(layer.get("name") or inner)


def _layer(layer: Mapping[str, Any], nested: set[str]) -> dict[str, Any]:
    new = translate(layer) if _has_layers(layer) else _wrapper(layer)
    inbound = layer.get("inbound_nodes")
    if not isinstance(inbound, Sequence) or not inbound or isinstance(inbound[0], Mapping):
        return new
    if layer["class_name"] in {"TFOpLambda", "SlicingOpLambda"}:
        return _op(new, inbound, nested)
    new["inbound_nodes"] = [_call(call, nested) for call in inbound]
    return new


def _wrapper(layer: Mapping[str, Any]) -> dict[str, Any]:
    """A layer; one that is applied to each step of time with the model that it may hold."""
    config = layer.get("config")
    inner = config.get("layer") if isinstance(config, Mapping) else None
    holds = layer.get("class_name") == "TimeDistributed" and isinstance(inner, Mapping)
    if not holds or not isinstance(config, Mapping) or not isinstance(inner, Mapping):
        return dict(layer)
    return {**layer, "config": {**config, "layer": translate(inner)}}


def _call(call: Any, nested: set[str]) -> dict[str, Any]:
    if _is_reference(call) or _is_constant(call):
        call = [call]
    if isinstance(call, Mapping):
        return {"args": [{k: _tensor(v, nested) for k, v in call.items()}], "kwargs": {}}
    tensors = [_tensor(part, nested) for part in call]
    last = call[-1] if call else []
    kwargs = last[3] if isinstance(last, Sequence) and len(last) > 3 else {}
    return {
        "args": tensors if len(tensors) == 1 else [tensors],
        "kwargs": {k: _value(v, nested) for k, v in kwargs.items()},
    }


def _is_constant(value: Any) -> bool:
    """Whether it stands for a constant where a tensor is expected: the 2.0 in `2.0 * x`."""
    return isinstance(value, Sequence) and len(value) in (3, 4) and value[0] == "_CONSTANT_VALUE"


def _is_reference(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and all(isinstance(v, int) and not isinstance(v, bool) for v in value[1:3])
    )


def _tensor(reference: Any, nested: set[str]) -> Any:
    if _is_constant(reference):
        return reference[2]
    if not _is_reference(reference):
        return reference
    layer, call, output = reference[:3]
    history = [layer, call - 1 if layer in nested else call, output]
    return {"class_name": "__keras_tensor__", "config": {"keras_history": history}}


def _value(value: Any, nested: set[str]) -> Any:
    if _is_reference(value) and value[0]:
        return _tensor(value, nested)
    if isinstance(value, list):
        return [_value(v, nested) for v in value]
    return value


def _op(layer: dict[str, Any], inbound: Sequence[Any], nested: set[str]) -> dict[str, Any]:
    config = layer.get("config")
    function = str(config.get("function")) if isinstance(config, Mapping) else ""
    class_name, names = OPS.get(function, (layer["class_name"], ()))
    calls = [_op_call(call, names, nested) for call in inbound]
    settings = {k: v for k, v in calls[0]["kwargs"].items() if not isinstance(v, Mapping)}
    known = {"config": {"name": _name(layer), **settings}, "module": "keras.ops"} if names else {}
    return {**layer, **known, "class_name": class_name, "inbound_nodes": calls}


def _op_call(call: Any, names: Sequence[str], nested: set[str]) -> dict[str, Any]:
    if not _is_reference(call) and not _is_constant(call):
        # tf.concat([a, b]): the list of tensors is the first argument, kwargs on the first.
        tensors = [_tensor(part, nested) for part in call]
        kwargs = call[0][3] if len(call[0]) > 3 else {}
        args: list[Any] = [tensors]
    else:
        args = [_tensor(call, nested)]
        kwargs = call[3] if len(call) > 3 else {}
    values = {k: _value(v, nested) for k, v in kwargs.items() if k != "name"}
    args += [values.pop(name) for name in names[1:] if name in values]
    return {"args": args, "kwargs": values}


def _ends(structure: Any, nested: set[str], layers: Sequence[Mapping[str, Any]]) -> Any:
    """Inputs or outputs in Keras 3 form, where calls of a nested Sequential count from 0."""
    sequential = {_name(x) for x in layers if x.get("class_name") == "Sequential"}
    if _is_reference(structure):
        layer, call, output = structure[:3]
        return [layer, call - 1 if layer in sequential & nested else call, output]
    if isinstance(structure, Mapping):
        return {k: _ends(v, nested, layers) for k, v in structure.items()}
    parts = [_ends(part, nested, layers) for part in structure]
    return parts[0] if len(parts) == 1 else parts

"""One layer in a serialized configuration: its name, its settings, what it takes, its calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from normwise.errors import ModelReadError
from normwise.graph.graph import Node, TensorSpec
from normwise.keras_format.bounds import refuse_long_name
from normwise.keras_format.references import (
    LEAVES,
    MAPPINGS,
    SEQUENCES,
    argument_of,
    refuse_deep,
    shape_of,
    spec_of,
)

LISTS = frozenset({"Sequential", "Functional", "Model", "Pipeline"})
"""Classes of Keras that hold layers as `layers`. In a user's class that may be anything."""


def has_layers(layer: Mapping[str, Any]) -> bool:
    """Whether a serialized layer has settings that are called `layers`."""
    config = layer.get("config")
    return isinstance(config, MAPPINGS) and isinstance(config.get("layers"), SEQUENCES)


def is_model(layer: Mapping[str, Any]) -> bool:
    """Whether a serialized layer is itself a functional or Sequential model, or a `Pipeline`.

    One of a user's own class tells by how its layers are wired, or by the shape it was built for.
    """
    if not has_layers(layer):
        return False
    config = layer["config"]
    wired = any(isinstance(part, MAPPINGS) and "inbound_nodes" in part for part in config["layers"])
    return (
        layer.get("class_name") in LISTS
        or wired
        or "input_layers" in config
        or "build_input_shape" in config
    )


def is_functional(layer: Mapping[str, Any]) -> bool:
    """Whether a serialized layer is itself a functional model."""
    return is_model(layer) and "input_layers" in layer["config"]


def named(layer: Any, source: str) -> Mapping[str, Any]:
    """A serialized layer with its name on the outside, where older files leave it in the settings.

    Raises:
        ModelReadError: It is no layer, or its name is none or too long.
    """
    if not isinstance(layer, MAPPINGS) or "class_name" not in layer:
        raise ModelReadError(f"{source}: expected a layer, got {described(layer)}.")
    config = layer.get("config")
    name = layer.get("name") or (config.get("name") if isinstance(config, MAPPINGS) else None)
    if not isinstance(name, str):
        raise ModelReadError(f"{source}: a layer of class {layer['class_name']!r} has no name.")
    refuse_long_name(name, source)
    return {**layer, "name": name}


def settings_of(config: Any, depth: int = 0) -> Any:
    """A configuration, frozen, without the numbers that Keras gives to objects it shares."""
    refuse_deep(depth)
    if isinstance(config, MAPPINGS):
        return MappingProxyType(
            {
                str(key): value if isinstance(value, LEAVES) else settings_of(value, depth + 1)
                for key, value in config.items()
                if key != "shared_object_id"
            }
        )
    if isinstance(config, (list, tuple)):
        return tuple(
            part if isinstance(part, LEAVES) else settings_of(part, depth + 1) for part in config
        )
    return config


def input_shape(config: Any) -> tuple[int | None, ...] | None:
    """The shape that a layer's settings say it takes, None where they don't."""
    if not isinstance(config, MAPPINGS):
        return None
    return shape_of(config.get("batch_shape", config.get("batch_input_shape")))


def input_spec(config: Any) -> TensorSpec:
    """What a layer's settings say it takes."""
    dtype = config.get("dtype") if isinstance(config, MAPPINGS) else None
    return TensorSpec(input_shape(config), dtype if isinstance(dtype, str) else None)


def inbound_calls(layer: Mapping[str, Any], source: str) -> Sequence[Any]:
    """The calls of a layer as they are serialized, with what each reads."""
    nodes = layer.get("inbound_nodes", [])
    if not isinstance(nodes, SEQUENCES) or isinstance(nodes, str):
        raise ModelReadError(
            f"{source}: layer {layer['name']!r}: `inbound_nodes` is {described(nodes)}, "
            "expected a list."
        )
    return nodes


def call_name(template: Node, call: int) -> str:
    """The name of the node of a layer's call, from 0."""
    return template.name if call == 0 else f"{template.layer}:{call}"


def call_of(template: Node, call: int, inbound: Any, source: str) -> Node:
    """One call of a layer, with a `Reference` for each tensor that it reads.

    Args:
        template: The layer, as a node that reads nothing.
        call: Which of its calls it is.
        inbound: The call as it is serialized, None for a layer without any.
        source: The file or object, for messages.
    """
    if inbound is None:
        return template
    if not isinstance(inbound, MAPPINGS):
        raise ModelReadError(
            f"{source}: a call of layer {template.layer!r} is {described(inbound)}, expected a "
            "mapping with `args` and `kwargs`."
        )
    outputs = tuple(spec_of(told) for told in inbound.get("outputs", ()))
    return template.changed(
        name=call_name(template, call),
        call=call,
        args=tuple(argument_of(a) for a in inbound.get("args", ())),
        kwargs=argument_of(dict(inbound.get("kwargs", {}))),
        outputs=outputs or (TensorSpec(),),
    )


def described(value: Any) -> str:
    """What stands where something else was expected, in a few words."""
    if isinstance(value, MAPPINGS):
        keys = ", ".join(str(k) for k in list(value)[:5])
        return f"a mapping with the keys {keys or '(none)'}"
    return f"{type(value).__name__} {str(value)[:40]!r}"

"""Serialized activations of layers: which of them can be layers by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from normwise.graph.catalogue import ACTIVATION_LAYERS


def unwrapped(activation: Any) -> Any:
    """An activation without the layers `Activation` around it."""
    while layer_class(activation) == "Activation" and _is_keras(activation):
        activation = activation["config"]["activation"]
    return activation


def layer_class(activation: Any) -> str | None:
    """The class of an activation that is a layer or another object, None for functions."""
    if not isinstance(activation, Mapping) or is_lambda(activation):
        return None
    return None if activation["class_name"] == "function" else str(activation["class_name"])


def is_lambda(activation: Any) -> bool:
    """Whether an activation is a lambda."""
    return isinstance(activation, Mapping) and (
        "class_name" not in activation or activation["class_name"] == "__lambda__"
    )


def stands_alone(activation: Any) -> bool:
    """Whether an activation can be made a layer by itself, with the weights that it has.

    Of a user's class it isn't known how, and of Keras' only `PReLU` has weights.
    """
    name = layer_class(activation)
    return name is None or (name in ACTIVATION_LAYERS and _is_keras(activation))


def _is_keras(activation: Mapping[str, Any]) -> bool:
    return str(activation.get("module")).partition(".")[0] == "keras"

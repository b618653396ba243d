"""Classes of models: how objects of them are made."""

from __future__ import annotations

import inspect
from typing import Any


def constructs_like_functional(kind: Any) -> bool:
    """Whether a class of models is made from inputs, outputs and a name, and nothing else.

    Arguments of its own, even those with defaults, can't be known from an object.
    """
    if is_own(kind):
        return False  # `keras.Model` itself makes the right one of Keras' own classes
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    sorts = {parameter.kind for parameter in parameters}
    rest = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    named = [parameter.name for parameter in parameters if parameter.kind not in rest]
    if not set(named) <= {"inputs", "outputs", "name", "trainable"}:
        return False
    takes_name = "name" in named or inspect.Parameter.VAR_KEYWORD in sorts
    return takes_name and (named[:2] == ["inputs", "outputs"] or rest <= sorts)


def is_own(kind: Any) -> bool:
    """Whether a class is one of Keras itself."""
    return bool(kind.__module__.partition(".")[0] == "keras")

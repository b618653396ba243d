"""What a user tells of a training, in the form in which the rules take it."""

from __future__ import annotations

from collections.abc import Mapping
from operator import index
from typing import Any

from normwise.errors import CheckError


def count_of(name: str, count: Any) -> int:
    """A count as an int; NumPy's are counts, too.

    Raises:
        CheckError: It is no whole number, or less than 1; `name` is in the message.
    """
    try:
        whole = 0 if isinstance(count, bool) else index(count)
    except TypeError:
        whole = 0
    if whole < 1:
        raise CheckError(f"check: {name} is {count!r}; expected a whole number, 1 or more.")
    return whole


def settings_of(optimizer: Any) -> Mapping[str, Any]:
    """Settings of an optimizer in Keras' names, also those of a live one.

    Raises:
        CheckError: Neither settings nor a Keras optimizer.
    """
    if optimizer is None:
        return {}
    if isinstance(optimizer, Mapping):
        return optimizer
    if not hasattr(optimizer, "weight_decay"):
        raise CheckError(
            f"check: optimizer is {optimizer!r}; expected its settings, such as "
            '{"weight_decay": 0.01}, or a Keras optimizer.'
        )
    if getattr(optimizer, "_exclude_from_weight_decay", None):
        return {}  # single variables are excluded, whose names nobody knows here
    spared = getattr(optimizer, "_exclude_from_weight_decay_pattern", None)
    names = {"exclude_from_weight_decay": [spared.pattern]} if spared else {}
    return {"weight_decay": optimizer.weight_decay, **names}

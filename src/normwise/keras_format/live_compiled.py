"""What a live model is compiled with, in the form in which a file says it.

The one place that looks at what Keras' optimizers keep to themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from normwise.keras_format.compiled import STEPS, Compiled


def compiled_live(model: Any) -> Compiled:
    """What a live model is compiled with; empty if it isn't."""
    if not getattr(model, "compiled", False):
        return Compiled()
    optimizer = getattr(model, "optimizer", None)
    settings = optimizer_settings(optimizer) if is_optimizer(optimizer) else {}
    return Compiled(settings, loss_name(getattr(model, "loss", None)))


def loss_name(loss: Any) -> str | None:
    """The name of a loss: a text, or that of a Keras loss or a function.

    None of several losses, and of what is none.
    """
    if isinstance(loss, str):
        return loss
    return str(getattr(loss, "__name__", type(loss).__name__)) if callable(loss) else None


def is_optimizer(value: Any) -> bool:
    """Whether it is a Keras optimizer, or one that scales the loss around such a one."""
    return hasattr(_inner(value), "weight_decay")


def optimizer_settings(optimizer: Any) -> Mapping[str, Any]:
    """Settings of a live optimizer in Keras' names.

    What its method `exclude_from_weight_decay` was told as `var_names` stands under the method's
    name. Where single variables were left out, whose names nobody knows here, no decay is told.
    """
    optimizer = _inner(optimizer)
    each = {STEPS: getattr(optimizer, STEPS, None)}
    if getattr(optimizer, "_exclude_from_weight_decay", None):
        return each
    spared = getattr(optimizer, "_exclude_from_weight_decay_pattern", None)
    names = {"exclude_from_weight_decay": [spared.pattern]} if spared else {}
    return {"weight_decay": optimizer.weight_decay, **each, **names}


def _inner(optimizer: Any) -> Any:
    return getattr(optimizer, "inner_optimizer", optimizer)

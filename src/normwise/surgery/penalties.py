"""What a rewrite does to the penalties of a training, which `model.losses` adds up.

A promise is about outputs. Penalties are made of weights (`kernel_regularizer`) and of what layers
make (`activity_regularizer`): a kernel that takes over the work of a normalization is penalized as
it is then, and the penalty of a gamma goes with it. Nothing can keep both the outputs and these
numbers, and in inference they don't matter; whoever trains the result minimizes something else,
so reports say where.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isclose
from typing import Any

from normwise.keras_format.replayed import Replayed
from normwise.keras_format.weights import variables_of

SAME = 1e-5
"""Relative difference of a penalty below which it is rounding."""

Named = tuple[str, str]
"""The path of a layer and the name of one of its weights."""


def penalty_notes(copy: Replayed, activities: Iterable[str] = ()) -> tuple[str, ...]:
    """Says in a note for a report whose penalties are other numbers than in the source.

    Args:
        copy: The rewritten copy with its final weights.
        activities: Paths of layers whose activity is regularized and which make other numbers now.

    Returns:
        One note, or none if all penalties are what they were.
    """
    told: dict[str, list[str]] = {}
    for path, weight in _changed(copy):
        told.setdefault(path, []).append(weight)
    for path in activities:
        told.setdefault(path, []).append("activity")
    if not told:
        return ()
    named = ", ".join(f"{path} ({', '.join(parts)})" for path, parts in told.items())
    return (
        f"penalties of a training (model.losses) are other numbers now, of {named}: what is kept "
        "are outputs",
    )


def _changed(copy: Replayed) -> list[Named]:
    """The weights that are penalized otherwise, or no longer, or only now."""
    before, after = _lost(copy), dict[Named, float]()
    for path, layer in copy.layers.items():
        if path not in copy.origins or path in copy.rules or path in copy.changed:
            before |= _penalties(path, copy.origins.get(path))
            after |= _penalties(path, layer)
    differs = [
        name
        for name in dict.fromkeys([*before, *after])
        if not isclose(before.get(name, 0.0), after.get(name, 0.0), rel_tol=SAME)
    ]
    return _without_moved(differs, before, after)


def _lost(copy: Replayed) -> dict[Named, float]:
    """The penalties of layers that the copy doesn't have."""
    kept = {id(v) for origin in copy.origins.values() for v in variables_of(origin)}
    found: dict[Named, float] = {}
    for path, layer in copy.sources.items():
        own = variables_of(layer)
        if hasattr(layer, "layers") or not own or id(own[0]) in kept:
            continue  # the layers of a model have paths of their own
        found |= _penalties(path, layer)
        kept.update(map(id, own))  # by the first of its paths
    return found


def _without_moved(
    names: list[Named], before: dict[Named, float], after: dict[Named, float]
) -> list[Named]:
    """The names without weights that only stand in another layer, penalized as they were."""
    left = list(names)
    for new in [name for name in names if name not in before]:
        for old in [name for name in left if name not in after and name[1] == new[1]]:
            if isclose(before[old], after[new], rel_tol=SAME):
                left.remove(old)
                left.remove(new)
                break
    return left


def _penalties(path: str, layer: Any) -> dict[Named, float]:
    """What the regularizers of a layer make of its weights, as Keras adds them up."""
    import keras  # noqa: PLC0415 - after the backend is chosen

    return {
        (path, variable.name): float(keras.ops.convert_to_numpy(variable.regularizer(variable)))
        for variable in getattr(layer, "trainable_variables", ())
        if variable.regularizer is not None
    }

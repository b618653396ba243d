"""Whether one call in training mode moves the statistics of batch normalizations.

Keras has changed more than once what `training=False` in an inner call means, and what a frozen
layer does. Here it is tried: a stateless call in training mode says what the state would be
afterwards, and the model stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cached_property
from typing import Any

import numpy as np

from normwise.graph.graph import Graph
from normwise.keras_format.paths import layers_by_path

_STATISTICS = ("moving_mean", "moving_variance")


class TriedState:
    """Tries a live model, once and when it is first asked for.

    Args:
        model: A functional or Sequential model; it is not changed.
        graph: Its graph.
        inputs: Makes what it is called with; None: random inputs that it can take.
    """

    def __init__(self, model: Any, graph: Graph, inputs: Callable[[], Any] | None = None) -> None:
        self._model, self._graph, self._inputs = model, graph, inputs

    def moved(self, layers: Collection[str]) -> frozenset[str] | None:
        """Those of these layers whose statistics move; None if the model can't be tried."""
        changed = self._changed
        if changed is None:
            return None
        found = layers_by_path(self._model)
        return frozenset(
            path
            for path in layers
            if path in found
            and any(id(getattr(found[path], name, None)) in changed for name in _STATISTICS)
        )

    @cached_property
    def _changed(self) -> frozenset[int] | None:
        """The `id`s of the variables that a call in training mode changes."""
        for inputs in self._candidates():
            try:
                return self._after(inputs)
            except Exception:
                continue  # which sizes and values a model takes, only trying tells
        return None

    def _candidates(self) -> Any:
        if self._inputs is not None:
            return [self._inputs()]
        from normwise.surgery.samples import random_inputs  # noqa: PLC0415 - needs the backend

        try:
            return list(random_inputs(self._graph, self._model, seed=0))
        except Exception:  # inputs that nobody can make up, such as strings
            return []

    def _after(self, inputs: Any) -> frozenset[int]:
        import keras  # noqa: PLC0415 - loaded already, with the live model

        from normwise.surgery.taps import eager  # noqa: PLC0415

        model = self._model
        state = model.non_trainable_variables
        before = [v.value for v in state]
        with eager():
            _, after = model.stateless_call(
                [v.value for v in model.trainable_variables], before, inputs, training=True
            )
        arrays = [
            [np.asarray(keras.ops.convert_to_numpy(value)) for value in values]
            for values in (before, after)
        ]
        pairs = zip(state, *arrays, strict=True)
        return frozenset(
            id(variable) for variable, old, new in pairs if not np.array_equal(old, new)
        )

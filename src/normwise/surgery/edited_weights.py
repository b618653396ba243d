"""The weights that an edited model will have, read before it is built."""

from __future__ import annotations

from typing import Any

from normwise.keras_format.paths import layers_by_path
from normwise.keras_format.weights import Array, Weights
from normwise.surgery.work import Work

ORDER = (
    "gamma", "beta", "moving_mean", "moving_variance",
    "moving_stddev", "renorm_mean", "renorm_stddev",
)  # fmt: skip
"""In which Keras lists the weights of a batch normalization."""


class EditedWeights:
    """The weights of batch normalizations as edits leave them.

    Args:
        work: The edits.
        model: The live model that they are made to.
    """

    def __init__(self, work: Work, model: Any) -> None:
        self._layers = layers_by_path(model)
        self._weights = Weights(self._layers)
        self._rules, self._names = work.rules(), work.names

    def of(self, layer: str) -> tuple[Array, ...] | None:
        """The arrays of a layer in Keras' order, None if there are none to tell.

        Args:
            layer: Its full path in the edited model.
        """
        source = self._layers.get(self._names.get(layer, layer))
        if layer in self._rules:
            values = {**(self._own(source) if source else {}), **self._rules[layer](self._weights)}
        else:
            values = self._own(source) if source is not None and source.built else {}
        return tuple(values[name] for name in ORDER if name in values) or None

    def _own(self, source: Any) -> dict[str, Array]:
        return {variable.name: self._weights.array(variable) for variable in source.variables}

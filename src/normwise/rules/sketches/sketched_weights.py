"""Weights for the rules' examples: those of batch normalizations in a few channels."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Values = float | Sequence[float]
CHANNELS = 8


@dataclass(frozen=True)
class SketchedWeights:
    """Weights by layer, each layer's in Keras' order, as numbers."""

    layers: Mapping[str, Sequence[Values]]

    @classmethod
    def of_norms(cls, **norms: tuple[Values, ...]) -> SketchedWeights:
        """Moving mean and variance of each norm, with a gamma of 1 and a beta of 0.

        Four values are gamma, beta, mean and variance. A number stands for all 8 channels.
        """
        return cls({
            name: (1.0, 0.0, *values) if len(values) == 2 else values
            for name, values in norms.items()
        })  # fmt: skip

    def of(self, layer: str) -> tuple[memoryview, ...] | None:
        """The numbers of a layer, float32 of shape `(8,)`; None if there are none."""
        found = self.layers.get(layer)
        if found is None:
            return None
        each = ([v] * CHANNELS if isinstance(v, (int, float)) else v for v in found)
        return tuple(memoryview(array("f", values)) for values in each)

"""The weights of a batch normalization, told apart."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from normwise.errors import WeightsTooLargeError
from normwise.rules.context.numbers import is_constant
from normwise.rules.context.weights import Values

MOST_CHANNELS = 2**19
"""Of a batch normalization whose weights are looked at; those of a wider one are left unread."""


@dataclass(frozen=True)
class BatchNormWeights:
    """The weights of a batch normalization, one number a channel.

    Attributes:
        gamma: None if it doesn't scale.
        beta: None if it doesn't shift.
        mean: The moving mean.
        variance: The moving variance.
    """

    gamma: Sequence[float] | None
    beta: Sequence[float] | None
    mean: Sequence[float]
    variance: Sequence[float]

    @classmethod
    def of(
        cls, arrays: Sequence[Values] | None, config: Mapping[str, Any]
    ) -> BatchNormWeights | None:
        """The weights in a layer's arrays, None if they don't fit its settings.

        Args:
            arrays: In Keras' order, None if there are none.
            config: The layer's settings.

        Raises:
            WeightsTooLargeError: They are of more channels than are looked at.
        """
        scale, center = config.get("scale", True) is True, config.get("center", True) is True
        affine = scale + center
        if arrays is None or len(arrays) < affine + 2:
            return None
        needed = arrays[: affine + 2]
        shape, *others = {tuple(values.shape or ()) for values in needed}
        if others or len(shape) != 1 or shape[0] < 1:
            return None
        if shape[0] > MOST_CHANNELS:
            raise WeightsTooLargeError(f"{shape[0]:,} channels are more than {MOST_CHANNELS:,}.")
        numbers = [array("d", values.tolist()) for values in needed]
        return cls(
            numbers[0] if scale else None,
            numbers[scale] if center else None,
            numbers[affine],
            numbers[affine + 1],
        )

    @property
    def has_initial_statistics(self) -> bool:
        """Whether mean and variance are exactly what Keras starts with, 0 and 1."""
        return is_constant(self.mean, 0.0) and is_constant(self.variance, 1.0)

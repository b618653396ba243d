"""Where rules find a model's weights: a file, a live model or a sketch can be looked at so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Values(Protocol):
    """Numbers in a shape: a view of memory, or an array of NumPy."""

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Sizes of the axes."""
        ...

    def tolist(self) -> Any:
        """The numbers as Python's."""
        ...


class Weights(Protocol):
    """Reads a model's weights, one layer at a time."""

    def of(self, layer: str) -> Sequence[Values] | None:
        """The arrays of a layer in Keras' order, None if there are none.

        Args:
            layer: Its full path.

        Raises:
            WeightsTooLargeError: They are more than is read.
        """
        ...

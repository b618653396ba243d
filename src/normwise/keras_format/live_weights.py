"""Reads the weights of single layers from a live model, named as in an opened graph."""

from typing import Any

from numpy.typing import NDArray

from normwise.keras_format.paths import layers_by_path


class LiveWeights:
    """The weights of a live model.

    Args:
        model: A functional or Sequential `keras.Model`.
    """

    def __init__(self, model: Any) -> None:
        self._layers = layers_by_path(model)

    def of(self, layer: str) -> tuple[NDArray[Any], ...] | None:
        """The arrays of a layer in Keras' order, None if there are none.

        Args:
            layer: Its full path.
        """
        found = self._layers.get(layer)
        if found is None or not found.built:
            return None
        return tuple(found.get_weights()) or None

"""Networks that have to be traced for each shape of a batch, though they take images of any size.

TensorFlow traces a network for any shape once it has met a second one. Keras' interpolating
`UpSampling2D` (keras 3.15) fails there: it decides by the number of pixels, which no trace knows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, final

import keras
import numpy.typing as npt

from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph, Node

Array = npt.NDArray[Any]

_KEPT: Final = 4
"""Shapes whose traces are kept: those of tiles in their views, and of small images."""


def traced_for_each_shape(model: keras.Model, graph: Graph) -> Callable[[Array], Any] | None:
    """What applies a model to batches that its `predict_on_batch` can't take one after the other.

    Args:
        model: A live functional or Sequential model.
        graph: Its graph.

    Returns:
        None if it can.
    """
    if keras.backend.backend() != "tensorflow" or not any(map(_interpolates, flatten(graph).nodes)):
        return None
    return _EachShape(model)


def _interpolates(node: Node) -> bool:
    how = node.config.get("interpolation", "nearest")
    return node.class_name == "UpSampling2D" and how != "nearest"


@final
class _EachShape:
    """Traces a model for each shape by itself."""

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._traces: dict[tuple[int, ...], Any] = {}

    def __call__(self, batch: Array) -> Any:
        known = self._traces.pop(batch.shape, None)
        while len(self._traces) >= _KEPT:
            del self._traces[next(iter(self._traces))]
        self._model.predict_function = known
        try:
            made = self._model.predict_on_batch(batch)
            self._traces[batch.shape] = self._model.predict_function
        finally:
            self._model.predict_function = None  # whoever calls it next may have another shape
        return made

"""A loaded model with its tiling and the views of an image that it is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import lcm
from typing import Any

import keras
import numpy.typing as npt

from normwise.graph.receptive_field import tiling_of_graph
from normwise.graph.tiling import Obstacle, Tiling
from normwise.inference.one_shape import traced_for_each_shape
from normwise.inference.views import View, Views, takes_turns, views_of
from normwise.inference.whole import predict_whole
from normwise.keras_format.reading import read_graph

Array = npt.NDArray[Any]
Size = tuple[int, ...]


@dataclass(frozen=True)
class Member:
    """A model and how it is applied.

    Attributes:
        model: As for `predict_whole`.
        tiling: Its own.
        views: The views of an image whose predictions are averaged, the image itself first.
        engine: What applies the model to a batch; None for its own `predict_on_batch`.
    """

    model: keras.Model
    tiling: Tiling
    views: tuple[View, ...] = (View(),)
    engine: Callable[[Array], Any] | None = None

    @property
    def strides(self) -> Size:
        """What tiles are a multiple of along each axis of the image, in whatever view of it."""
        steps = [1] * len(self.tiling.stride)
        for view in self.views:
            for (own, _), step in zip(view.axes(len(steps)), self.tiling.stride, strict=True):
                steps[own] = lcm(steps[own], step)
        return tuple(steps)

    def predict(self, image: Array) -> Array:
        """The prediction of an image or tile as it is, padded to the stride where needed."""
        return predict_whole(self.model, image, self.tiling.stride, self.engine)

    def whole(self, size: Size) -> Size:
        """The size of an image padded to the stride; on an axis of fixed size the model's."""
        sides = zip(size, self.tiling.stride, self.model.input_shape[1:-1], strict=True)
        return tuple(fixed or -(-own // step) * step for own, step, fixed in sides)


def member_of(model: keras.Model, views: Views = "none") -> Member:
    """A model with its tiling, and views that it takes.

    Args:
        model: From images to one output over space.
        views: Which flips and turns; a model that was built for unequal sides gets flips.

    Raises:
        NormwiseError: If `views` is no such set.
    """
    shape = tuple(model.input_shape)
    graph = read_graph(model)
    tiling = _for_its_size(model, tiling_of_graph(graph))
    own = views_of(views, len(shape) - 2, takes_turns(shape))
    return Member(model, tiling, own, traced_for_each_shape(model, graph))


def _for_its_size(model: keras.Model, tiling: Tiling) -> Tiling:
    """A model for a size that its stride doesn't divide pads differently wherever it stands."""
    fixed = model.input_shape[1:-1]
    sides = zip(fixed, tiling.stride, strict=True)
    if all(side is None or side % step == 0 for side, step in sides):
        return tiling
    size = "x".join("any" if side is None else str(side) for side in fixed)
    stride = "x".join(map(str, tiling.stride))
    reason = f"takes {size} pixels, which its total stride of {stride} doesn't divide"
    return replace(tiling, reasons=(*tiling.reasons, Obstacle(model.inputs[0].name, reason)))

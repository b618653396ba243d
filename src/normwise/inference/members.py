"""A loaded model with its tiling and the views of an image that it is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import lcm
from typing import Any

import keras
import numpy.typing as npt

from normwise.graph.free_size import uneven_size
from normwise.graph.receptive_field import tiling_of_graph
from normwise.graph.tiling import Tiling
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
    tiling = tiling_of_graph(graph)
    uneven = uneven_size(graph, tiling)
    if uneven is not None:
        tiling = replace(tiling, reasons=(*tiling.reasons, uneven))
    own = views_of(views, len(shape) - 2, takes_turns(shape))
    return Member(model, tiling, own, traced_for_each_shape(model, graph))

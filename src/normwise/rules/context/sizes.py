"""Axes, channels and parameters: how large what nodes read and make is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from normwise.graph.graph import Shape
from normwise.graph.parameters import parameters_of
from normwise.rules.context.channels import ChannelAxis
from normwise.rules.context.numbers import LARGEST
from normwise.rules.context.opened_graph import OpenedGraph


@dataclass(frozen=True)
class Sizes(OpenedGraph):
    """The sizes in an opened graph, None where nothing tells them."""

    def axes_of(self, index: int) -> tuple[int, ...] | None:
        """The axes in a normalization's `axis`, counted from the front; None where unknown."""
        if index not in self._axes_of:
            self._axes_of[index] = self._axes_counted(index)
        return self._axes_of[index]

    @cached_property
    def _axes_of(self) -> dict[int, tuple[int, ...] | None]:
        return {}

    def _axes_counted(self, index: int) -> tuple[int, ...] | None:
        shape = self.shape_read(index)
        axis = self.nodes[index].config.get("axis", -1)
        axes = axis if isinstance(axis, tuple) else (axis,)
        if shape is None or not all(isinstance(a, int) for a in axes):
            return None
        rank = len(shape)
        inside = all(-rank <= a < rank for a in axes)
        return tuple(sorted(a % rank for a in axes)) if inside else None

    def axis_read(self, index: int) -> ChannelAxis | None:
        """The channel axis of what a node with one input reads."""
        producers = self.producers[index]
        return self.axes[producers[0]] if len(producers) == 1 else None

    def shape_read(self, index: int) -> Shape | None:
        """The shape of the first tensor that a node reads."""
        inputs = self.nodes[index].inputs
        return self.graph.spec(inputs[0]).shape if inputs else None

    def channels_made(self, index: int) -> int | None:
        """The number of channels of what a node makes."""
        width = _size(self.nodes[index].shape, self.axes[index])
        return None if width is None or width > LARGEST else width

    def channels_read(self, index: int) -> int | None:
        """The number of channels that a node with one input reads."""
        return _size(self.shape_read(index), self.axis_read(index))

    @cached_property
    def parameters(self) -> Mapping[str, int | None]:
        """The number of parameters of each layer, None where unknown."""
        found = {}
        for layer, calls in self.graph.calls.items():
            own = parameters_of(self.graph, self.nodes[calls[0]])
            found[layer] = None if own is None or own.total > LARGEST else own.total
        return found

    @cached_property
    def total_parameters(self) -> int | None:
        """The number of parameters of the model, None where any layer's is unknown."""
        counts = [count for count in self.parameters.values() if count is not None]
        return sum(counts) if len(counts) == len(self.parameters) else None


def _size(shape: Shape | None, axis: ChannelAxis | None) -> int | None:
    """The size of an axis; a damaged file can state shapes that don't have it."""
    if shape is None or axis is None:
        return None
    return shape[axis.axis] if -len(shape) <= axis.axis < len(shape) else None

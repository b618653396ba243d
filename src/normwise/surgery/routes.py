"""From a batch normalization to the linear layers that can do its work, back or forward.

Back is tried first: the layers whose result nothing but the norm reads. Forward every reader of
the norm has to lead to linear layers. A route is found as a whole or not at all, with the reason.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from normwise.graph.catalogue import Role, activation_of, own_channel_axis, role_of, spatial_rank
from normwise.graph.graph import Graph, Node, Tensor
from normwise.graph.layer_shapes import pair
from normwise.surgery.passing import (
    Affine,
    BlockedError,
    both,
    flattened,
    is_keras,
    pads_zeros,
    parted,
    through,
    widened,
    without_shift,
)

KINDS: Mapping[str, str] = {
    **{f"Conv{r}D": "conv" for r in (1, 2, 3)},
    **{f"DepthwiseConv{r}D": "depthwise" for r in (1, 2)},
    **{f"SeparableConv{r}D": "separable" for r in (1, 2)},
    **{f"Conv{r}DTranspose": "transposed" for r in (1, 2, 3)},
    "Dense": "dense",
}
"""Linear layers that take a fold, and how `surgery.algebra` calls them."""


@dataclass(frozen=True)
class Part:
    """A map that one linear layer takes over.

    Attributes:
        index: The layer's call in the graph.
        affine: The map of what it makes (back) or reads (forward).
    """

    index: int
    affine: Affine


@dataclass(frozen=True)
class Route:
    """Where a norm's work goes.

    Attributes:
        parts: The linear layers that take it over.
        stays: Whether the shift has to stay where the norm was.
        others: Calls that make other numbers then: those between, and back the linear ones too.
        joined: Maps of what norms read of which a shift stands alone already: it does that of the
            map, too, and is divided by the scale, which goes on from there.
    """

    parts: tuple[Part, ...]
    stays: bool = False
    others: tuple[int, ...] = ()
    joined: tuple[Part, ...] = ()


class Standing(Protocol):
    """What is known of a graph while its norms are folded."""

    graph: Graph
    gone: set[int]
    """Norms that are folded whole."""
    alone: dict[int, Affine]
    """Norms of which the shift was left, alone: what it adds, in the place of what they did."""

    def problem(self, index: int) -> str | None:
        """Why a linear layer can't take a fold, None if it can."""
        ...

    def channels(self, index: int, made: bool) -> int:
        """How many channels a linear layer makes, or reads."""
        ...


def back(standing: Standing, index: int, affine: Affine) -> Route:
    """The route back from a norm.

    Args:
        standing: The graph.
        index: The norm.
        affine: What it does.

    Raises:
        BlockedError: There is none, and why.
    """
    walk = _Walk(standing)
    walk.back(standing.graph.nodes[index].inputs[0], affine)
    return Route(tuple(walk.parts), others=tuple(walk.others))


def forward(standing: Standing, index: int, affine: Affine) -> Route:
    """The route forward from a norm; as for `back`."""
    walk = _Walk(standing)
    walk.forward(Tensor(index), affine)
    others = tuple(walk.others)
    if not walk.pads:
        return Route(tuple(walk.parts), others=others, joined=tuple(walk.joined))
    _refuse_zeros(affine)
    parts, joined = (
        tuple(Part(part.index, without_shift(part.affine)) for part in found)
        for found in (walk.parts, walk.joined)
    )
    return Route(parts, stays=True, others=others, joined=joined)


def _refuse_zeros(affine: Affine) -> None:
    if not np.all(affine.scale):
        raise BlockedError(
            "zeros are padded before the next linear layer, so the shift has to stand alone, and "
            f"the scale is 0 in {int((affine.scale == 0).sum())} channels"
        )


class _Walk:
    """One search. It follows every branch and stops at the first that is blocked."""

    def __init__(self, standing: Standing) -> None:
        self._standing, self._graph = standing, standing.graph
        self.parts: list[Part] = []
        self.joined: list[Part] = []
        self.pads = False
        """Whether a shift would come to where zeros are padded."""
        self.others: list[int] = []

    def back(self, tensor: Tensor, affine: Affine) -> None:
        """To the linear layers before a tensor, the first input of each join first."""
        pending = [(tensor, affine)]
        while pending:
            tensor, affine = pending.pop()
            node = self._graph.nodes[tensor.node]
            if self._readings(tensor) != 1:
                raise BlockedError(f"others read the result of {node.name!r} too")
            if tensor.node in self._standing.gone:
                pending.append((node.inputs[0], affine))
                continue
            self.others.append(tensor.node)
            if is_linear(node):
                self._take(tensor.node, affine, after=True)
            elif _joins(node):
                pending.extend(reversed(parted(self._graph, node, affine)))
            else:
                pending.append((_only_input(node), through(node, affine, forward=False)))

    def forward(self, tensor: Tensor, affine: Affine) -> None:
        """To the linear layers that read a tensor, in the order of the network.

        Ways that meet again in a concatenation go on from there as one.
        """
        maps, pending = {tensor: affine}, [tensor]
        while pending:
            tensor = heapq.heappop(pending)
            for reader, moved in self._onwards(tensor, maps.pop(tensor)):
                if reader.node not in self._standing.gone:
                    self.others.append(reader.node)
                if reader in maps:
                    maps[reader] = both(maps[reader], moved)
                else:
                    maps[reader] = moved
                    heapq.heappush(pending, reader)

    def _onwards(self, tensor: Tensor, affine: Affine) -> Iterator[tuple[Tensor, Affine]]:
        """The results of a tensor's readers that no linear layer makes, and the map of each."""
        if tensor in self._graph.output_tensors:
            raise BlockedError("its result is an output of the model")
        for reader in dict.fromkeys(self._graph.readings.get(tensor, ())):
            node = self._graph.nodes[reader]
            if reader in self._standing.gone:
                yield Tensor(reader), affine
            elif reader in self._standing.alone:
                yield Tensor(reader), self._join(reader, affine)
            elif is_linear(node):
                self._take(reader, affine, after=False)
            elif node.class_name == "Concatenate" and is_keras(node):
                yield Tensor(reader), widened(self._graph, node, tensor, affine)
            elif node.class_name == "Flatten" and is_keras(node):
                yield Tensor(reader), flattened(self._graph, node, affine)
            elif pads_zeros(node):
                self.pads |= bool(np.any(affine.shift))
                yield Tensor(reader), through(node, without_shift(affine), forward=True)
            else:
                _only_input(node)
                yield Tensor(reader), through(node, affine, forward=True)

    def _take(self, index: int, affine: Affine, after: bool) -> None:
        node = self._graph.nodes[index]
        problem = self._standing.problem(index)
        if problem:
            raise BlockedError(problem)
        if after and (activation := activation_of(node)) is not None:
            raise BlockedError(f"{node.name!r} applies {activation} before it")
        if affine.axis != _channel_axis(node, affine.rank):
            raise BlockedError(f"{node.name!r} has its channels on another axis")
        if len(affine.scale) != self._standing.channels(index, made=after):
            raise BlockedError(f"{node.name!r} has another number of channels")
        whole = after or reads_whole_windows(node)
        self.pads |= not whole and bool(np.any(affine.shift))
        self.parts.append(Part(index, affine))

    def _join(self, index: int, affine: Affine) -> Affine:
        if affine.axis != self._standing.alone[index].axis:
            node = self._graph.nodes[index]
            raise BlockedError(f"{node.name!r} has its channels on another axis")
        _refuse_zeros(affine)
        self.joined.append(Part(index, affine))
        return without_shift(affine)

    def _readings(self, tensor: Tensor) -> int:
        """How often a tensor is read, by calls and as an output."""
        calls = self._graph.readings.get(tensor, ())
        return len(calls) + self._graph.output_tensors.count(tensor)


def is_linear(node: Node) -> bool:
    """Whether a call is one of `KINDS`."""
    return node.class_name in KINDS and is_keras(node)


def reads_whole_windows(node: Node) -> bool:
    """Whether every output of a linear layer is made of a whole window, without padded zeros."""
    if node.class_name == "Dense":
        return True
    rank = spatial_rank(node) or 0
    single = all(size == 1 for size in pair(node.config["kernel_size"], rank))
    if KINDS[node.class_name] == "transposed":
        # With strides an output may be made of no input at all.
        return single and all(s == 1 for s in pair(node.config.get("strides", 1), rank))
    return single or node.config.get("padding", "valid") == "valid"


def _joins(node: Node) -> bool:
    return node.class_name in {"Concatenate", "Add"} and is_keras(node) and len(node.inputs) > 1


def _channel_axis(node: Node, rank: int) -> int:
    axis = own_channel_axis(node, rank)
    return rank - 1 if axis is None else axis % rank


def _only_input(node: Node) -> Tensor:
    if role_of(node) is Role.INPUT:
        raise BlockedError(f"it reads the input {node.name!r}")
    if node.model is not None:
        raise BlockedError(f"the nested model {node.name!r} is in between")
    if len(node.inputs) != 1 or len(node.outputs) != 1:
        raise BlockedError(f"{node.class_name} {node.name!r} is in between")
    return node.inputs[0]

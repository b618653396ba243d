"""The total stride and the exact halo of a network, from its graph alone.

A tile is followed through the network as its layers see it. Each tensor of a tile equals that of
the whole image but for some samples at edges where the tile was cut: a layer that pads zeros there,
or reads what is wrong already, spreads them. What is wrong at the output is the halo. Edges of the
image itself need none: there the network pads a tile as it pads the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, lcm

from normwise.errors import NetworkError
from normwise.graph.catalogue import Role, role_of
from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph, Node
from normwise.graph.index_maps import Call, UnmappedError, index_map
from normwise.graph.pixelwise import fused_obstacle, is_known, obstacle
from normwise.graph.resolution import Scale, scales_of
from normwise.graph.tiling import Obstacle, Tiling


@dataclass(frozen=True)
class Extent:
    """A tensor of a tile along one axis, both of whose edges are cuts.

    Attributes:
        scale: Samples for each pixel of the input.
        excess: Its size is `scale * pixels + excess`.
        first: The first sample that is as in the whole image.
        end: The end (exclusive) of those samples, counted from `scale * pixels`.
    """

    scale: Fraction
    excess: int
    first: int
    end: int

    def resampled(self, scale: Fraction) -> Extent:
        """The same at another resolution, where nothing tells how it came about."""
        ratio = scale / self.scale
        return Extent(scale, 0, ceil(self.first * ratio), -ceil(-self.end * ratio))


Extents = tuple[Extent, ...]


def tiling_of_graph(graph: Graph) -> Tiling:
    """Total stride, halo and obstacles of a network.

    Args:
        graph: Any graph; nested models are opened.

    Raises:
        NetworkError: Nothing that the network takes has an extent over space.
    """
    walk = _Walk(flatten(graph))
    for index in range(len(walk.graph.nodes)):
        walk.found.append(walk.extents(index))
    outputs = [found for t in walk.graph.output_tensors if (found := walk.found[t.node])]
    tiling = Tiling(
        tuple(_stride(walk.found, axis) for axis in range(walk.rank)),
        tuple(_halo([found[axis] for found in outputs]) for axis in range(walk.rank)),
    )
    return replace(tiling, reasons=(*walk.obstacles, *walk.too_wide(tiling.smallest)))


def _stride(found: Sequence[Extents | None], axis: int) -> int:
    return lcm(*(extents[axis].scale.denominator for extents in found if extents))


def _halo(outputs: Sequence[Extent]) -> tuple[int, int]:
    before = max((ceil(out.first / out.scale) for out in outputs), default=0)
    return before, max((ceil(max(0, -out.end) / out.scale) for out in outputs), default=0)


class _Walk:
    """One pass over the calls of a graph, in their order."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.rank = _rank(graph)
        self.found: list[Extents | None] = []
        self.obstacles: list[Obstacle] = []
        self._continued: list[tuple[int, Sequence[int]]] = []
        """Calls that continue an image by its edges, and the pixels that a tile needs for it."""
        self._scales = scales_of(graph)

    def extents(self, index: int) -> Extents | None:
        """What a call makes; None for a tensor without an extent over space."""
        node = self.graph.nodes[index]
        if role_of(node) is Role.INPUT or not node.inputs:
            return (Extent(Fraction(1), 0, 0, 0),) * self.rank if self._is_map(node) else None
        read = [extents for tensor in node.inputs if (extents := self.found[tensor.node])]
        if not read:
            if self._is_map(node):
                self._note(index, "makes a map of what has no place in the image")
            return None
        joined = self._joined(index, read)
        try:
            return self._mapped(index, joined)
        except UnmappedError as reason:
            self._note(index, str(reason))
            return self._guessed(index, joined)

    def _is_map(self, node: Node) -> bool:
        """Whether a tensor has as many axes as the images, and more than one place."""
        shape = node.shape
        return shape is not None and len(shape) == self.rank + 2 and set(shape[1:-1]) != {1}

    def too_wide(self, smallest: Sequence[int]) -> list[Obstacle]:
        """Calls that continue an image by more of its edge than is right in some tile there.

        Args:
            smallest: The smallest tile, in pixels along each axis.
        """
        reason = "pads with more of an image than small tiles see"
        return [
            Obstacle(self.graph.nodes[index].name, reason)
            for index, needed in self._continued
            if any(own > side for own, side in zip(needed, smallest, strict=True))
        ]

    def _mapped(self, index: int, read: Extents) -> Extents:
        """By the table of index maps, or as it was for what treats each pixel by itself."""
        node = self.graph.nodes[index]
        calls = [
            Call(self.graph, index, axis, self.rank, extent.excess)
            for axis, extent in enumerate(read)
        ]
        maps = [index_map(call) for call in calls] if is_known(node) else []
        if maps and all(maps):
            reason = fused_obstacle(self.graph, index, self.rank)
            if reason is not None:
                self._note(index, reason)
            pairs = [(e, m) for e, m in zip(read, maps, strict=True) if m is not None]
            if any(any(m.edges) for _, m in pairs):
                self._continued.append((index, [_needed(e, m.edges) for e, m in pairs]))
            return tuple(
                Extent(e.scale / m.step, m.excess, m.first(e.first), m.end(e.end)) for e, m in pairs
            )
        reason = obstacle(self.graph, index, self.rank)
        if reason is not None:
            raise UnmappedError(reason)
        return read

    def _joined(self, index: int, read: Sequence[Extents]) -> Extents:
        """What is right in all tensors that a call reads."""
        if len({tuple((e.scale, e.excess) for e in extents) for extents in read}) > 1:
            self._note(index, "joins tensors of different sizes")
        finest = tuple(max(e.scale for e in each) for each in zip(*read, strict=True))
        alike = [_at(extents, finest) for extents in read]
        return tuple(
            replace(each[0], first=max(e.first for e in each), end=min(e.end for e in each))
            for each in zip(*alike, strict=True)
        )

    def _guessed(self, index: int, read: Extents) -> Extents | None:
        """What most likely comes of a layer that isn't known, so that a halo can be told."""
        node, scale = self.graph.nodes[index], self._scales[index]
        map_or_unknown = node.shape is None or self._is_map(node)
        if scale is None or len(scale) != self.rank or not map_or_unknown:
            return None
        return _at(read, scale)

    def _note(self, index: int, reason: str) -> None:
        self.obstacles.append(Obstacle(self.graph.nodes[index].name, reason))


def _needed(read: Extent, edges: tuple[int, int]) -> int:
    """Pixels of a tile at an edge of the image in which so many samples at that edge are right."""
    before, after = edges
    return max(
        ceil((before - read.end) / read.scale) if before else 0,
        ceil((after + read.first - read.excess) / read.scale) if after else 0,
    )


def _at(extents: Extents, scale: Scale) -> Extents:
    return tuple(
        e if e.scale == wanted else e.resampled(wanted)
        for e, wanted in zip(extents, scale, strict=True)
    )


def _rank(graph: Graph) -> int:
    shapes = [graph.spec(tensor).shape for tensor in graph.input_tensors]
    rank = max((len(shape) - 2 for shape in shapes if shape is not None), default=0)
    if rank < 1:
        told = ", ".join(map(str, shapes)) or "nothing"
        raise NetworkError(
            f"{graph.source or graph.name}: the model takes {told}; tiles need (batch, rows, "
            "columns, channels), of volumes (batch, slices, rows, columns, channels)."
        )
    return rank

"""The tensors of a network that narrows which the skips of a decoder read: one a resolution."""

from collections.abc import Mapping
from dataclasses import dataclass

from normwise.graph.catalogue import Role, role_of
from normwise.graph.regions import Layout
from normwise.graph.resolution import Scale, area

_NO_TAPS = frozenset({Role.INPUT, Role.BORDER, Role.SHAPE})


@dataclass(frozen=True)
class Tap:
    """A tensor for a skip.

    Attributes:
        node: Index of the node that makes it.
        scale: Its resolution: samples per input sample along each spatial axis.
    """

    node: int
    scale: Scale


def taps_of(layout: Layout) -> tuple[Tap, ...]:
    """The last learned tensor of each resolution that is left, the finest first.

    A resolution can be left by several nodes, such as the strided convolution and the shortcut
    of a residual block. The tap is the last tensor that all of them still see; where no tensor is
    seen by all, the last of those that most of them see. What stands before the first learned
    layer (scaling, padding) is no tap, nor is the coarsest resolution, which nothing leaves.

    Args:
        layout: Of a network without a decoder.
    """
    leaving: dict[Scale, list[int]] = {}
    for step in sorted(layout.downsampling):
        read = [s for p in layout.graph.producers[step] if (s := layout.scales[p])]
        leaving.setdefault(max(read, key=area), []).append(step)
    taps = []
    for scale in sorted(leaving, key=area, reverse=True):
        node = _last_seen(layout, scale, leaving[scale])
        if node is not None:
            taps.append(Tap(node, scale))
    return tuple(taps)


def _last_seen(layout: Layout, scale: Scale, steps: list[int]) -> int | None:
    seen: dict[int, int] = {}
    for step in steps:
        for node in _behind(layout, scale, step):
            seen[node] = seen.get(node, 0) + 1
    learned, depth = _learned(layout), _depths(layout)
    possible = {
        node: count
        for node, count in seen.items()
        if node in learned and role_of(layout.graph.nodes[node]) not in _NO_TAPS
    }
    return max(possible, key=lambda node: (possible[node], depth[node], node), default=None)


def _behind(layout: Layout, scale: Scale, step: int) -> set[int]:
    """The nodes of one resolution that lead to a step without leaving that resolution."""
    found: set[int] = set()
    pending = [step]
    while pending:
        for producer in layout.graph.producers[pending.pop()]:
            if layout.scales[producer] == scale and producer not in found:
                found.add(producer)
                pending.append(producer)
    return found


def _learned(layout: Layout) -> frozenset[int]:
    """The linear layers and all that comes from them."""
    found: set[int] = set()
    for index, node in enumerate(layout.graph.nodes):
        behind = layout.graph.producers[index]
        if role_of(node) is Role.LINEAR or any(p in found for p in behind):
            found.add(index)
    return frozenset(found)


def _depths(layout: Layout) -> Mapping[int, int]:
    """The number of nodes on the longest way from an input to each node."""
    depths: dict[int, int] = {}
    for index, producers in enumerate(layout.graph.producers):
        depths[index] = 1 + max((depths[p] for p in producers), default=0)
    return depths

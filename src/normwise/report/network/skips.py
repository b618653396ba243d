"""Which connections are skips, and whether what they carry is normalized."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from normwise.graph.catalogue import Role, role_of
from normwise.graph.graph import Graph
from normwise.graph.regions import BOTTLENECK, Layout
from normwise.graph.resolution import area

UNNAMED = "other"
"""Stands for a normalization that no kind describes."""

_KEEPS = frozenset({Role.ACTIVATION, Role.PASS, Role.POOL, Role.RESAMPLE, Role.BORDER, Role.SHAPE})

Ends = tuple[int, int]


@dataclass(frozen=True)
class Skip:
    """A connection that bypasses coarser resolutions.

    Attributes:
        source: Node that is read.
        target: Node that reads it.
        kind: Kind that normalized what it carries, `UNNAMED`, or None for un-normalized.
    """

    source: int
    target: int
    kind: str | None


def skips_of(layout: Layout, norms: Mapping[int, str | None]) -> Mapping[Ends, Skip]:
    """The skips of a network by their ends.

    Where a norm or a layer stands on a skip, what leads to it and what follows it both count.

    Args:
        layout: The network.
        norms: The kind of each normalization by its node.
    """
    kinds = normalized_by(layout.graph, norms)
    found: dict[Ends, Skip] = {}
    for merge, node in enumerate(layout.graph.nodes):
        aside = merge not in layout.trunk and layout.regions[merge] != BOTTLENECK
        if layout.trunk and aside and role_of(node) is Role.MERGE:
            for source, target in _into(layout, merge):
                # What a layer on the skip hands to its own norm is between the two.
                if target in norms and role_of(layout.graph.nodes[source]) is Role.LINEAR:
                    continue
                found[source, target] = Skip(source, target, kinds[source])
    return found


def _into(layout: Layout, merge: int) -> Iterator[Ends]:
    """The skips that end in a join, with the layers that stand on them."""
    ways = [_way_back(layout, producer, merge) for producer in layout.graph.producers[merge]]
    below = [_comes_from_below(layout, way, merge) for way in ways]
    for way, coarser in zip(ways, below, strict=True):
        tap, reader = way[-1]
        if coarser:
            continue
        if layout.is_skip(tap, reader):
            yield from way
        elif any(below):
            # In U-Net++ a skip may begin between encoder and decoder.
            yield way[0]


def _way_back(layout: Layout, producer: int, merge: int) -> list[Ends]:
    """Connections from a join back to the encoder's way down, or to where ways meet."""
    way = [(producer, merge)]
    while way[-1][0] not in layout.trunk and len(layout.graph.producers[way[-1][0]]) == 1:
        if layout.scales[way[-1][0]] != layout.scales[merge]:
            break
        way.append((layout.graph.producers[way[-1][0]][0], way[-1][0]))
    return way


def _comes_from_below(layout: Layout, way: list[Ends], merge: int) -> bool:
    first, own = layout.scales[way[-1][0]], layout.scales[merge]
    return bool(first and own) and area(first or ()) < area(own or ())


def normalized_by(graph: Graph, norms: Mapping[int, str | None]) -> tuple[str | None, ...]:
    """For each node, the kind of normalization that its output went through, None for none.

    A tensor stays normalized through an activation, pooling or a join of normalized tensors, and
    is no longer so behind the next linear layer. This asks more than a norm plan's coverage of a
    tensor does: with a norm before the activation, what the skip taps is normalized, although no
    norm stands behind the activation.
    """
    found: list[str | None] = []
    for index in range(len(graph.nodes)):
        found.append(_kind(graph, index, norms, found))
    return tuple(found)


def _kind(
    graph: Graph, index: int, norms: Mapping[int, str | None], found: list[str | None]
) -> str | None:
    node = graph.nodes[index]
    role = role_of(node)
    read = [found[producer] for producer in graph.producers[index]]
    if index in norms:
        return norms[index] or UNNAMED
    if not read:
        return None
    if role is Role.MERGE:
        # A gate only rescales: what it multiplies stays normalized.
        enough = any if node.class_name == "Multiply" else all
        return next(filter(None, read), None) if enough(read) else None
    return read[0] if role in _KEEPS else None

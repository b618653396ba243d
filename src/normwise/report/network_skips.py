"""Which connections are skips, and whether what they carry is normalized."""

from collections.abc import Mapping
from dataclasses import dataclass

from normwise.graph.catalogue import Role, role_of
from normwise.graph.graph import Graph
from normwise.graph.regions import BOTTLENECK, ENCODER, Layout

UNNAMED = "other"
"""Stands for a normalization that no kind describes."""

_KEEPS = frozenset({Role.ACTIVATION, Role.PASS, Role.POOL, Role.RESAMPLE, Role.BORDER, Role.SHAPE})


@dataclass(frozen=True)
class Skip:
    """A connection that leaves the way down towards the decoder.

    Attributes:
        source: Node that is read.
        target: Node that reads it.
        kind: Kind that normalized what it carries, `UNNAMED`, or None for un-normalized.
    """

    source: int
    target: int
    kind: str | None


def skips_of(layout: Layout, norms: Mapping[int, str | None]) -> Mapping[tuple[int, int], Skip]:
    """The skips of a network by their ends, those behind a norm or layer on a skip included.

    Args:
        layout: The network.
        norms: The kind of each normalization by its node.
    """
    kinds = normalized_by(layout.graph, norms)
    return {
        (source, target): Skip(source, target, kinds[source])
        for target, producers in enumerate(layout.graph.producers)
        for source in producers
        if _is_skip(layout, source, target)
    }


def _is_skip(layout: Layout, source: int, target: int) -> bool:
    if layout.is_skip(source, target):
        return True
    on_bridge = layout.regions[source] == ENCODER and source not in layout.trunk
    return bool(layout.trunk) and on_bridge and layout.regions[target] != BOTTLENECK


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

"""Where a network's head begins: the layers that make its predictions."""

from collections.abc import Sequence

from normwise.graph.catalogue import OUTPUT_ACTIVATIONS, Role, activation_of, roles_of
from normwise.graph.graph import Graph


def last_learned(graph: Graph) -> list[int]:
    """The last learned layer before each output of a flattened graph: the head begins there.

    A network that ends in a normalization and a hidden activation, in either order, is a feature
    extractor: it has no head.
    """
    last, normalized, ends = _last_linears(graph), _leads_to_norms(graph), _ends_of(graph)
    return [
        start
        for output in graph.output_tensors
        if (start := last[output.node]) is not None
        and not (normalized[start] and _bends(graph, ends[output.node], start))
    ]


def _last_linears(graph: Graph) -> Sequence[int | None]:
    """For each node the last linear layer on its way, itself included.

    Nodes stand in topological order: the last of several has none of the others behind it.
    """
    last: list[int | None] = []
    for index, role in enumerate(roles_of(graph)):
        if role is Role.LINEAR:
            last.append(index)
            continue
        before = (last[p] for p in graph.producers[index])
        last.append(max((start for start in before if start is not None), default=None))
    return last


def _leads_to_norms(graph: Graph) -> Sequence[bool]:
    """Whether a normalization follows each node, however far."""
    found = [False] * len(graph.nodes)
    norms = [role is Role.NORM for role in roles_of(graph)]
    for index in reversed(range(len(found))):
        found[index] = any(norms[r] or found[r] for r in graph.consumers[index])
    return found


def _ends_of(graph: Graph) -> Sequence[int]:
    """For each node the one that made its result, normalizations and what passes left out."""
    found: list[int] = []
    for index, (producers, role) in enumerate(zip(graph.producers, roles_of(graph), strict=True)):
        passes = role in (Role.PASS, Role.NORM) and producers
        found.append(found[producers[0]] if passes else index)
    return found


def _bends(graph: Graph, end: int, last: int) -> bool:
    """Whether an output is a hidden activation that is no part of the last linear layer."""
    activation = activation_of(graph.nodes[end])
    return activation is not None and activation not in OUTPUT_ACTIVATIONS and end != last

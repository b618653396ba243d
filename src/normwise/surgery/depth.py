"""In which order batch normalizations can be measured: what each one's input depends on.

The statistics of a norm depend on those of every norm before it. Norms that don't depend on each
other share a pass over the data; a norm that depends on itself (a shared one, called twice in a
row) needs several.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from normwise.graph.graph import Graph


@dataclass(frozen=True)
class Level:
    """Norms that are measured together.

    Attributes:
        layers: Their paths.
        looped: Whether any of them depends on itself.
    """

    layers: tuple[str, ...]
    looped: bool = False


def levels_of(graph: Graph, layers: Sequence[str], same: Mapping[str, str]) -> tuple[Level, ...]:
    """The passes that are needed, in order.

    Args:
        graph: The model without nested models (see `flatten`).
        layers: Paths of the norms.
        same: From paths in the graph to the one path in `layers` that means the same layer.

    Returns:
        Levels; every norm is in exactly one, and depends only on those of earlier levels and, if
        the level is looped, on its own.
    """
    before = _dependencies(graph, layers, same)
    groups = {
        name: frozenset(m for m in before[name] if name in before[m]) | {name} for name in layers
    }
    height: dict[frozenset[str], int] = {}
    # A group's dependencies are a strict subset of those of a group above it.
    for name in sorted(layers, key=lambda n: len(before[n])):
        group = groups[name]
        below = [height[groups[m]] for m in before[name] if m not in group]
        height.setdefault(group, 1 + max(below, default=-1))
    levels = []
    for level in sorted(set(height.values())):
        members = tuple(name for name in layers if height[groups[name]] == level)
        levels.append(Level(members, any(name in before[name] for name in members)))
    return tuple(levels)


def _dependencies(
    graph: Graph, layers: Sequence[str], same: Mapping[str, str]
) -> dict[str, frozenset[str]]:
    """For each norm the norms that its input depends on, over any number of steps."""
    inside = _norms_inside(graph, layers, same)
    upstream: list[frozenset[str]] = []
    direct: dict[str, set[str]] = {name: set() for name in layers}
    for index, producers in enumerate(graph.producers):
        read = frozenset().union(*(upstream[p] for p in producers))
        own = inside.get(graph.nodes[index].layer, frozenset())
        # What happens inside a layer that is no model isn't known: each may follow each.
        hidden = own if len(own) > 1 or graph.nodes[index].layer not in same else frozenset()
        for name in own:
            direct[name] |= read | hidden
        upstream.append(read | own)
    return _closed(direct)


def _norms_inside(
    graph: Graph, layers: Sequence[str], same: Mapping[str, str]
) -> dict[str, frozenset[str]]:
    """For each layer of the graph the norms that a call of it applies."""
    wanted, found = set(layers), {}
    hidden = [path for path in same if same[path] in wanted and path not in graph.calls]
    for layer in graph.calls:
        own = {same[layer]} if same.get(layer) in wanted else set()
        own |= {same[path] for path in hidden if path.startswith(f"{layer}/")}
        if own:
            found[layer] = frozenset(own)
    return found


def _closed(direct: Mapping[str, set[str]]) -> dict[str, frozenset[str]]:
    closed = {name: set(found) for name, found in direct.items()}
    changed = True
    while changed:
        changed = False
        for name, found in closed.items():
            more = found.union(*(closed[other] for other in found))
            if more != found:
                closed[name], changed = more, True
    return {name: frozenset(found) for name, found in closed.items()}

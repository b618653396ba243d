"""In which order batch normalizations can be measured: what each one's input depends on.

The statistics of a norm depend on those of every norm before it. Norms that don't depend on each
other share a pass over the data; a norm that depends on itself (a shared one, called twice in a
row) needs several.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from normwise.graph.graph import Graph


@dataclass(frozen=True)
class Level:
    """Norms that are measured together.

    Attributes:
        layers: Their paths.
        circles: Those that depend on themselves.
    """

    layers: tuple[str, ...]
    circles: frozenset[str] = frozenset()

    @property
    def looped(self) -> bool:
        """Whether any of them depends on itself."""
        return bool(self.circles)


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
    depth: dict[int, int] = {}  # norms on the longest way to a vertex, itself included
    found: list[list[str]] = []
    circles: set[str] = set()
    vertices = _vertices(graph, layers, same)
    for group in strongly_connected(vertices.before):
        below = {b for v in group for b in vertices.before[v] if b in depth}
        height = max((depth[b] for b in below), default=0)
        norms = [vertices.norms[v] for v in group if v in vertices.norms]
        if norms:
            found.extend([] for _ in range(height + 1 - len(found)))
            found[height].extend(norms)
            circles |= set(norms) if len(group) > 1 else set()
            height += 1
        depth.update(dict.fromkeys(group, height))
    order = {name: place for place, name in enumerate(layers)}
    return tuple(
        Level(tuple(sorted(names, key=order.__getitem__)), frozenset(names) & circles)
        for names in found
    )


@dataclass(frozen=True)
class _Vertices:
    """Calls and norms, by numbers, and what each one's result depends on directly.

    Attributes:
        before: For each vertex, those before it.
        norms: Which vertices are norms, and their paths.
    """

    before: Sequence[Sequence[int]]
    norms: Mapping[int, str]


def _vertices(graph: Graph, layers: Sequence[str], same: Mapping[str, str]) -> _Vertices:
    """First the calls, then the norms, then layers in which norms are hidden."""
    before: list[list[int]] = [list(producers) for producers in graph.producers]
    inside = _norms_inside(graph, layers, same)
    number = {name: len(before) + place for place, name in enumerate(layers)}
    before.extend([] for _ in layers)
    for index, producers in enumerate(graph.producers):
        layer = graph.nodes[index].layer
        for name in inside.get(layer, ()):
            before[number[name]].extend(producers)
            before[index].append(number[name])
    for layer, own in inside.items():
        # What happens inside a layer that is no model isn't known: each may follow each.
        if len(own) > 1 or layer not in same:
            before.append([number[name] for name in own])
            for name in own:
                before[number[name]].append(len(before) - 1)
    return _Vertices(before, {vertex: name for name, vertex in number.items()})


def _norms_inside(
    graph: Graph, layers: Sequence[str], same: Mapping[str, str]
) -> dict[str, frozenset[str]]:
    """For each layer of the graph the norms that a call of it applies."""
    wanted = set(layers)
    found: dict[str, set[str]] = {}
    for path, name in same.items():
        if name not in wanted:
            continue
        parts = path.split("/")
        # A layer that no graph shows is inside each of those that its path names.
        for end in [len(parts)] if path in graph.calls else range(1, len(parts)):
            outer = "/".join(parts[:end])
            if outer in graph.calls:
                found.setdefault(outer, set()).add(name)
    return {layer: frozenset(own) for layer, own in found.items()}


def strongly_connected(before: Sequence[Sequence[int]]) -> Iterator[tuple[int, ...]]:
    """The vertices of a graph in groups of those that depend on each other (Tarjan 1972).

    Args:
        before: For each vertex the vertices that it depends on.

    Yields:
        Every vertex in one group, groups after all others that they depend on.
    """
    search = _Search(before)
    for root in range(len(before)):
        yield from search.groups_from(root)


class _Search:
    """One depth-first search; without recursion, as chains are longer than Python's stack."""

    def __init__(self, before: Sequence[Sequence[int]]) -> None:
        self._before = before
        self._lowest: dict[int, int] = {}
        """Of those seen: the smallest number of an open vertex that it leads to."""
        self._number: dict[int, int] = {}
        self._open: dict[int, None] = {}

    def groups_from(self, root: int) -> Iterator[tuple[int, ...]]:
        """The groups that a vertex leads to and that weren't found before."""
        pending = [] if root in self._number else [self._entered(root)]
        while pending:
            vertex, rest = pending[-1]
            new = next((v for v in rest if not self._seen(vertex, v)), None)
            if new is not None:
                pending.append(self._entered(new))
                continue
            pending.pop()
            if pending:
                self._lower(pending[-1][0], self._lowest[vertex])
            if self._lowest[vertex] == self._number[vertex]:
                yield self._closed(vertex)

    def _entered(self, vertex: int) -> tuple[int, Iterator[int]]:
        self._number[vertex] = self._lowest[vertex] = len(self._number)
        self._open[vertex] = None
        return vertex, iter(self._before[vertex])

    def _seen(self, vertex: int, following: int) -> bool:
        if following in self._open:
            self._lower(vertex, self._number[following])
        return following in self._number

    def _lower(self, vertex: int, number: int) -> None:
        self._lowest[vertex] = min(self._lowest[vertex], number)

    def _closed(self, vertex: int) -> tuple[int, ...]:
        group = [self._open.popitem()[0]]
        while group[-1] != vertex:
            group.append(self._open.popitem()[0])
        return tuple(group)

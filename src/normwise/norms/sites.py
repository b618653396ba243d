"""Sites: linear layers whose result reaches an activation, directly or through a norm or an add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from normwise.graph.catalogue import Role, activation_of, role_of
from normwise.graph.graph import Graph
from normwise.graph.regions import Layout


@dataclass(frozen=True)
class Site:
    """A linear layer whose result reaches an activation, directly or through a norm or an add.

    Attributes:
        linear: The layer's node.
        activation: The node of the activation: the same where it is fused.
        between: Normalizations on the way from the one to the other.
    """

    linear: int
    activation: int
    between: tuple[int, ...]

    @property
    def fused(self) -> bool:
        """Whether the activation is part of the layer, so that nothing can stand between."""
        return self.linear == self.activation


def sites_of(layout: Layout) -> tuple[Site, ...]:
    """Every linear layer with an activation; one that reaches several has several.

    Layers in squeeze-and-excite branches see one value a channel: no place for a norm. Those
    that make the mask of a gate are sites whose normalization is optional.
    """
    graph = layout.graph
    ways = _ways(graph)
    found: list[Site] = []
    for index, node in enumerate(graph.nodes):
        if role_of(node) is not Role.LINEAR or index in layout.gates:
            continue
        if activation_of(node) is not None:
            found.append(Site(index, index, ()))
        else:
            found.extend(Site(index, way.activation, way.norms) for way in ways[index].activations)
    return tuple(found)


@dataclass(frozen=True)
class _Way:
    """An activation ahead, and the normalizations on the way to it."""

    activation: int
    norms: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Ways:
    """The activations ahead that are reached through the fewest adds, and how many these are."""

    activations: tuple[_Way, ...] = ()
    adds: int = 0


def _nearest(reached: Sequence[_Ways]) -> _Ways:
    """What several readers reach through the fewest adds.

    Ways that meet again in an add would double with each; one for each first normalization is
    enough.
    """
    some = [ways for ways in reached if ways.activations]
    if len(some) <= 1:
        return some[0] if some else _Ways()
    least = min(ways.adds for ways in some)
    first: dict[tuple[int, tuple[int, ...]], _Way] = {}
    for way in (way for ways in some if ways.adds == least for way in ways.activations):
        first.setdefault((way.activation, way.norms[:1]), way)
    return _Ways(tuple(first.values()), least)


def _ways(graph: Graph) -> Sequence[_Ways]:
    """For each node the activations that its result reaches, from the network's end back.

    Each node takes over what its readers reach: followed from each layer anew, chains of adds
    would cost the square of their length.
    """
    found = [_Ways()] * len(graph.nodes)
    for index in reversed(range(len(found))):
        found[index] = _nearest([_way(graph, found, r) for r in graph.consumers[index]])
    return found


def _way(graph: Graph, found: Sequence[_Ways], reader: int) -> _Ways:
    """What is reached by way of one reader."""
    role = role_of(graph.nodes[reader])
    if role is Role.ACTIVATION:
        return _Ways((_Way(reader),))
    if role is Role.NORM:
        ways = found[reader].activations
        passed = (_Way(way.activation, (reader, *way.norms)) for way in ways)
        return _Ways(tuple(passed), found[reader].adds)
    if role is Role.PASS:
        return found[reader]
    if graph.nodes[reader].class_name == "Add":
        return _Ways(found[reader].activations, found[reader].adds + 1)
    return _Ways()

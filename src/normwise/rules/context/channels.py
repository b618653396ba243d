"""Which axis of each tensor holds its channels, for all tensors of a graph at once.

Layers over space say it (`data_format`); elementwise ones keep the order of what they read. What
stands before the first layer that says it is told by what reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from normwise.graph.catalogue import (
    JOIN_STEPS,
    SPLIT_STEPS,
    Role,
    channels_first_axis,
    data_format,
    makes_last_axis,
)
from normwise.graph.graph import Graph, Node

_KEEPS = frozenset({Role.NORM, Role.ACTIVATION, Role.PASS, Role.MERGE, Role.BORDER, Role.POOL})
ELEMENTWISE = frozenset(
    {"Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Power", "Abs", "Negative", "Square"}
    | {"Sqrt", "Rsqrt", "Exp", "Log", "Clip", "Maximum", "Minimum", "Rescaling"}
)
"""Raw ops and layers that treat every element of one tensor alike."""


@dataclass(frozen=True)
class ChannelAxis:
    """The channel axis of a tensor.

    Attributes:
        axis: Counted from the front, batch included.
        witness: The node with a data format that says so; None where nothing else is possible.
        behind: Whether the witness only reads the tensor, or what comes from it.
    """

    axis: int
    witness: int | None = None
    behind: bool = False


def channel_axes(
    graph: Graph, roles: Sequence[Role], producers: Sequence[Sequence[int]]
) -> tuple[ChannelAxis | None, ...]:
    """The channel axis of each node's first output, None where nothing tells it.

    Two passes over the graph, whatever its form.

    Args:
        graph: A graph without nested models.
        roles: The role of each node.
        producers: The nodes whose data each node reads.
    """
    found: list[ChannelAxis | None] = []
    for index, node in enumerate(graph.nodes):
        read = [found[producer] for producer in producers[index]]
        found.append(_made(index, node, roles[index], read))
    for index in reversed(range(len(graph.nodes))):
        if found[index] is None:
            node = graph.nodes[index]
            rank = None if node.shape is None else len(node.shape)
            read = [_read(graph, r, rank, roles, found) for r in graph.consumers[index]]
            found[index] = _told(node, read)
    return tuple(found)


def _made(
    index: int, node: Node, role: Role, read: Sequence[ChannelAxis | None]
) -> ChannelAxis | None:
    rank = None if node.shape is None else len(node.shape)
    if rank == 2:
        return ChannelAxis(1)
    if node.class_name in _SHIFTS:
        return _shifted(read[0], _SHIFTS[node.class_name])
    if _says(node, role):
        first = data_format(node) == "channels_first"
        if first or rank is not None:
            axis = channels_first_axis(node, rank) if first else (rank or 0) - 1
            return ChannelAxis(axis, index)
        return None
    if makes_last_axis(node):
        return None if rank is None else ChannelAxis(rank - 1)
    return _agreed(read) if _keeps_order(node, role) else None


_SHIFTS = {SPLIT_STEPS: -1, JOIN_STEPS: 1}
"""By how many an axis behind that of time moves."""


def _shifted(axis: ChannelAxis | None, by: int) -> ChannelAxis | None:
    """An axis on the other side of a split or a join of steps; None for that of time itself."""
    if axis is None:
        return None
    if axis.axis < 0:
        return axis  # counted from the back
    return replace(axis, axis=axis.axis + by) if axis.axis + min(by, 0) >= 1 else None


def _says(node: Node, role: Role) -> bool:
    return "data_format" in node.config and role not in (Role.NORM, Role.SHAPE)


def _keeps_order(node: Node, role: Role) -> bool:
    return role in _KEEPS or node.class_name in ELEMENTWISE


def _agreed(read: Iterable[ChannelAxis | None]) -> ChannelAxis | None:
    """What those that know agree on."""
    known = [axis for axis in read if axis is not None]
    said = [axis for axis in known if axis.witness is not None]
    same = len({axis.axis for axis in known}) == 1
    return (said or known)[0] if same else None


def _read(
    graph: Graph,
    reader: int,
    rank: int | None,
    roles: Sequence[Role],
    found: Sequence[ChannelAxis | None],
) -> ChannelAxis | None:
    """The channel axis of a tensor of that rank that a node reads, as the node takes it."""
    node, own = graph.nodes[reader], found[reader]
    if _says(node, roles[reader]):
        # A layer over space keeps the rank; one that takes all of it away keeps the format.
        first = data_format(node) == "channels_first"
        axis = channels_first_axis(node, rank) if first else -1
        return ChannelAxis(axis, reader, behind=True)
    told = own is not None and own.witness is not None
    if node.class_name in _SHIFTS:
        return _shifted(own, -_SHIFTS[node.class_name]) if told else None
    return own if told and _keeps_order(node, roles[reader]) else None


def _told(node: Node, told: Sequence[ChannelAxis | None]) -> ChannelAxis | None:
    if node.shape is None or len(node.shape) < 3:
        return None
    rank = len(node.shape)
    axes = [
        ChannelAxis(axis.axis % rank, axis.witness, behind=True)
        for axis in told
        if axis is not None and axis.axis < rank
    ]
    return _agreed(axes)

"""Which axis of a tensor holds its channels, and what its other axes measure.

Only some layers say it (`data_format`, or dense ones, which have them last); the others keep the
order of what they read.
"""

from collections.abc import Callable, Iterable, Sequence

from normwise.graph.catalogue import (
    JOIN_STEPS,
    SPLIT_STEPS,
    Role,
    own_channel_axis,
    role_of,
    roles_of,
)
from normwise.graph.graph import Graph, Node, Shape


def channel_axis(graph: Graph, index: int) -> int:
    """The channel axis of what a node reads: 1 behind a `channels_first` layer, else -1.

    Behind time too where the layer is of series, as `ConvLSTM2D`: then it is 2. Where no layer
    before it says anything, its inputs' channels are where the first layers that read these say;
    those behind a permutation are, too.
    """
    if _AXES not in graph.memo:
        order = range(len(graph.nodes))
        said = _nearest(graph, order, graph.producers, _told, _permutes_nothing)
        from_start = _nearest(graph, order, graph.producers, _of_start, _keeps_axes)
        graph.memo[_AXES] = tuple(map(_known, said, from_start))
    axes: tuple[int, ...] = graph.memo[_AXES]
    return axes[index]


_AXES = "channel axes of what nodes read"


def output_channel_axis(graph: Graph, index: int) -> int:
    """The channel axis of what a node makes.

    An input says nothing itself, nor does a permutation; the first layers that read it tell.
    """
    told = _told(graph, index)
    if told is not None:
        return told
    if not _starts(graph, index):
        return channel_axis(graph, index)
    return _known(_of_start(graph, index))


def _starts(graph: Graph, index: int) -> bool:
    """Whether nothing that was said before a node holds of what it makes."""
    return roles_of(graph)[index] is Role.INPUT or not _permutes_nothing(graph, index)


def _of_start(graph: Graph, index: int) -> int | None:
    """The channel axis of an input or permutation, None where no layer behind it tells.

    None for other nodes, too.
    """
    if not _starts(graph, index):
        return None
    if _READERS not in graph.memo:
        behind = reversed(range(len(graph.nodes)))
        graph.memo[_READERS] = _nearest(graph, behind, graph.consumers, _said, _keeps_axes)
    axes: tuple[int | None, ...] = graph.memo[_READERS]
    return axes[index]


_READERS = "channel axes of what the layers behind nodes read"


def _known(*axes: int | None) -> int:
    """The first that is known, else the last axis."""
    return next((axis for axis in axes if axis is not None), -1)


def _permutes_nothing(graph: Graph, index: int) -> bool:
    return graph.nodes[index].class_name not in _PERMUTATIONS


def _keeps_axes(graph: Graph, index: int) -> bool:
    """Whether a call leaves each axis in its place, so that what is said beyond it holds here."""
    moves = graph.nodes[index].class_name in _MOVES
    return not moves and roles_of(graph)[index] is not Role.SHAPE


_PERMUTATIONS = frozenset({"Permute", "Transpose", "Moveaxis", "Swapaxes"})
_MOVES = _PERMUTATIONS | {"ExpandDims", SPLIT_STEPS, JOIN_STEPS}


def _nearest(
    graph: Graph,
    order: Iterable[int],
    neighbours: Sequence[Sequence[int]],
    says: Callable[[Graph, int], int | None],
    passes: Callable[[Graph, int], bool],
) -> tuple[int | None, ...]:
    """For each node what the nearest layer on one side of it says, in one pass over the graph.

    Args:
        graph: The graph.
        order: All nodes, each behind its neighbours.
        neighbours: The nodes on that side of each node.
        says: The axis that a layer names, if it does.
        passes: Whether a layer that names none lets through what others beyond it say.

    Returns:
        None for nodes of which no layer says anything.
    """
    unknown: _Found = len(graph.nodes) + 1, None
    found = [unknown] * len(graph.nodes)
    for index in order:
        near = [
            _one_further(says(graph, other), found[other] if passes(graph, other) else unknown)
            for other in neighbours[index]
        ]
        found[index] = min([*near, unknown], key=lambda way: way[0])
    return tuple(axis for _, axis in found)


_Found = tuple[int, int | None]
"""How far the layer is that says so, and the axis."""


def _one_further(axis: int | None, found: _Found) -> _Found:
    """The axis that a neighbour says, or what the nearest layer beyond it says."""
    distance, beyond = found
    return (distance + 1, beyond) if axis is None else (1, axis)


def _told(graph: Graph, index: int) -> int | None:
    """The channel axis that a layer names itself; normalizations name it for themselves alone."""
    node = graph.nodes[index]
    return None if role_of(node) is Role.NORM else _axis(node, node)


def _said(graph: Graph, index: int) -> int | None:
    """The channel axis of what a layer of any role reads, by its settings."""
    node, read = graph.nodes[index], graph.producers[index]
    return _axis(node, graph.nodes[read[0]] if read else node)


def _axis(node: Node, maker: Node) -> int | None:
    """The channel axis that a layer names, of a tensor that some node makes."""
    return own_channel_axis(node, None if maker.shape is None else len(maker.shape))


def channels_of(graph: Graph, index: int) -> int | None:
    """Number of channels of a node's first output, None where unknown."""
    shape = graph.nodes[index].shape
    if shape is None or len(shape) < 2:
        return None
    return shape[output_channel_axis(graph, index)]


def spatial_shape(graph: Graph, index: int) -> Shape | None:
    """Spatial sizes of a node's first output; None where the rank is unknown or there are none."""
    shape = graph.nodes[index].shape
    if shape is None or len(shape) < 3:
        return None
    axis = output_channel_axis(graph, index) % len(shape)
    return tuple(size for i, size in enumerate(shape) if i not in (0, axis))

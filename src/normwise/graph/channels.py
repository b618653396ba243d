"""Which axis of a tensor holds its channels, and what its other axes measure.

Only some layers say it (`data_format`); the others keep the order of what they read.
"""

from normwise.graph.catalogue import Role, data_format, role_of
from normwise.graph.graph import Graph, Shape


def channel_axis(graph: Graph, index: int) -> int:
    """The channel axis of what a node reads: 1 behind a `channels_first` layer, else -1."""
    seen: set[int] = set()
    pending = list(graph.producers[index])
    while pending:
        producer = pending.pop(0)
        node = graph.nodes[producer]
        if "data_format" in node.config and role_of(node) is not Role.NORM:
            return 1 if data_format(node) == "channels_first" else -1
        if producer not in seen:
            seen.add(producer)
            pending.extend(graph.producers[producer])
    return -1


def output_channel_axis(graph: Graph, index: int) -> int:
    """The channel axis of what a node makes.

    An input says nothing itself; the first layers that read it tell.
    """
    node = graph.nodes[index]
    if "data_format" in node.config and role_of(node) is not Role.NORM:
        return 1 if data_format(node) == "channels_first" else -1
    if role_of(node) is not Role.INPUT:
        return channel_axis(graph, index)
    seen: set[int] = set()
    pending = list(graph.consumers[index])
    while pending:
        reader = pending.pop(0)
        if "data_format" in graph.nodes[reader].config:
            return 1 if data_format(graph.nodes[reader]) == "channels_first" else -1
        if reader not in seen:
            seen.add(reader)
            pending.extend(graph.consumers[reader])
    return -1


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

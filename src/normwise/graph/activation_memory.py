"""How much a network holds at once while it is applied: the tensors that are still needed."""

from fractions import Fraction

from normwise.graph.channels import channels_of
from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph
from normwise.graph.resolution import Scale, area, scales_of


def peak_values(graph: Graph) -> Fraction:
    """The most numbers that are held at once, for each pixel of the input.

    A tensor is held from when it is made until its last reader is done, the calls taken in the
    order of the graph. Tensors without an extent over space are left out; where the channels
    aren't known they count as those of the widest tensor.

    Args:
        graph: Any graph; nested models are opened.
    """
    flat = flatten(graph)
    scales, ends = scales_of(flat), _last_readers(flat)
    channels = [channels_of(flat, index) for index in range(len(flat.nodes))]
    widest = max((count for count in channels if count), default=1)
    sizes = [
        _size(scale, widest if count is None else count)
        for scale, count in zip(scales, channels, strict=True)
    ]
    held, most = Fraction(0), Fraction(0)
    for index, size in enumerate(sizes):
        held += size
        most = max(most, held)
        held -= sum(sizes[p] for p in flat.producers[index] if ends[p] == index)
    return most


def _size(scale: Scale | None, channels: int) -> Fraction:
    return channels * area(scale) if scale else Fraction(0)


def _last_readers(graph: Graph) -> list[int]:
    outputs = {tensor.node for tensor in graph.output_tensors}
    return [
        len(graph.nodes) if index in outputs else max(readers, default=index)
        for index, readers in enumerate(graph.consumers)
    ]

"""Rows and lanes of a network drawing: a row for each resolution, lanes where branches share it."""

from collections.abc import Sequence
from dataclasses import dataclass

from normwise.graph.catalogue import Role, role_of
from normwise.graph.graph import Graph
from normwise.graph.regions import Layout
from normwise.graph.resolution import Scale, area
from normwise.report.network.parts import channels_first

TIMES = " \u00d7 "
VECTOR = "vector"
"""Label of the row of tensors without spatial extent."""


@dataclass(frozen=True)
class RowLabel:
    """What stands left of a row: its resolution, and its size in pixels where that is known."""

    resolution: str
    size: str


def rows_of(layout: Layout) -> tuple[tuple[int, ...], tuple[RowLabel, ...]]:
    """The row of each node, 0 the finest resolution, and the rows' labels.

    What has no spatial extent stands in a last row; a squeeze-and-excite branch stays in the row
    that it acts on.
    """
    scales = _scales_with_gates(layout)
    known = sorted({s for s in scales if s}, key=lambda s: (-area(s), s))
    order: dict[Scale | None, int] = {scale: row for row, scale in enumerate(known)}
    order[None] = len(known)
    rows = tuple(order[scale or None] for scale in scales)
    labels = [RowLabel(_resolution(s), _size(layout, rows, order[s])) for s in known]
    if order[None] in rows:
        labels.append(RowLabel(VECTOR, ""))
    return rows, tuple(labels)


def _scales_with_gates(layout: Layout) -> tuple[Scale | None, ...]:
    scales = list(layout.scales)
    for index in sorted(layout.gates):
        producers = layout.graph.producers[index]
        scales[index] = next((scales[p] for p in producers if scales[p]), None)
    return tuple(scales)


def _resolution(scale: Scale) -> str:
    steps = [str(step) for step in scale]
    return steps[0] if len(set(steps)) == 1 else TIMES.join(steps)


def _size(layout: Layout, rows: Sequence[int], row: int) -> str:
    nodes = layout.graph.nodes
    inside = [i for i, at in enumerate(rows) if at == row and i not in layout.gates]
    # Padding makes a tensor larger for one layer only.
    bare = [i for i in inside if role_of(nodes[i]) is not Role.BORDER]
    sizes = {size for i in bare or inside if (size := _pixels(layout.graph, i))}
    texts = [TIMES.join(map(str, size)) for size in sorted(sizes, reverse=True)]
    return " to ".join(texts if len(texts) < 2 else (texts[0], texts[-1]))


def _pixels(graph: Graph, index: int) -> tuple[int, ...] | None:
    shape = graph.nodes[index].shape
    if shape is None or len(shape) < 3:
        return None
    spatial = shape[2:] if channels_first(graph, index) else shape[1:-1]
    return None if None in spatial else tuple(size for size in spatial if size is not None)


def lanes_of(
    rows: Sequence[int],
    spans: Sequence[tuple[float, float]],
    critical: Sequence[bool],
    graph: Graph,
    gap: float,
) -> tuple[int, ...]:
    """The lane of each box within its row, so that no two boxes overlap.

    The longest path keeps lane 0; a branch stays in the lane where it began.

    Args:
        rows: Row of each node.
        spans: Left and right end of each box.
        critical: Whether a node is on a longest path.
        graph: The network.
        gap: Between boxes of which none reads the other.
    """

    def apart(one: int, other: int) -> bool:
        related = other in graph.producers[one] or other in graph.consumers[one]
        space = 0.0 if related else gap
        (left, right), (start, end) = spans[one], spans[other]
        return right + space <= start or end + space <= left

    lanes: dict[int, int] = {}
    taken: dict[tuple[int, int], list[int]] = {}
    for index in sorted(range(len(rows)), key=lambda i: (not critical[i], spans[i][0], i)):
        own = [lanes[p] for p in graph.producers[index] if p in lanes and rows[p] == rows[index]]
        first = [] if critical[index] else own[:1]
        lane = next(
            lane
            for lane in (*first, *range(len(rows) + 1))
            if all(apart(index, other) for other in taken.get((rows[index], lane), ()))
        )
        lanes[index] = lane
        taken.setdefault((rows[index], lane), []).append(index)
    return tuple(lanes[index] for index in range(len(rows)))

"""Geometry of a network drawing as data; no picture is made here.

A box stands in the row of its resolution and right of everything that it reads there.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from normwise.graph.graph import Graph
from normwise.graph.regions import ENCODER, REGIONS, Layout, layout_of
from normwise.norms.inference import infer_plan
from normwise.norms.plan import NormPlan
from normwise.report.network.parts import Part, parts_of
from normwise.report.network.routes import BoxSpan, lane_counts, routes_of, track_counts
from normwise.report.network.rows import RowLabel, lanes_of, rows_of
from normwise.report.network.shapes import Box, Drawing, Row, Wire
from normwise.report.network.sizes import (
    COMPACT,
    LANE_GAP,
    ROOMY,
    ROW_PAD,
    SMALL,
    TINY,
    TRACK,
    Sizes,
)
from normwise.report.network.skips import skips_of
from normwise.report.network.wires import corners

LIMITS = ((ROOMY, 16.0), (COMPACT, 26.0), (SMALL, 44.0))
"""The widest drawing of each size; larger networks take the next, the last as wide as it gets."""

FOLD = 16.0
"""A wider network that only goes down begins every row at the left, like lines of text."""

_Span = tuple[float, float]


def drawing_of(graph: Graph) -> Drawing:
    """The geometry of a network's picture, in the largest size that isn't too wide."""
    layout = layout_of(graph)
    plan = infer_plan(graph)
    parts = parts_of(layout.graph, plan)
    rows, labels = rows_of(layout)
    folded = _goes_down(layout.graph, rows) and _end(_spans(layout.graph, parts, ROOMY)) > FOLD
    for sizes, limit in LIMITS:
        spans = _spans(layout.graph, parts, sizes)
        shown = _folded(spans, rows) if folded else spans
        if _end(shown) <= limit:
            break
    else:
        sizes, spans = TINY, _spans(layout.graph, parts, TINY)
        shown = _folded(spans, rows) if folded else spans
    lanes = lanes_of(
        rows, spans, _critical(layout.graph, parts, sizes, spans), layout.graph, sizes.gap
    )
    places = [
        BoxSpan(*at, *span) for at, span in zip(zip(rows, lanes, strict=True), shown, strict=True)
    ]
    return _drawing(layout, plan, parts, places, labels, sizes, folded)


def _end(spans: Sequence[_Span]) -> float:
    return max((right for _, right in spans), default=0.0)


def _spans(graph: Graph, parts: Sequence[Part], sizes: Sizes) -> list[_Span]:
    """Left and right end of each box: as far left as what it reads allows."""
    spans: list[_Span] = []
    for index, part in enumerate(parts):
        starts = [spans[p][1] + sizes.space(parts[p], part) for p in graph.producers[index]]
        left = max(starts, default=0.0)
        spans.append((left, left + sizes.width(part)))
    return spans


def _goes_down(graph: Graph, rows: Sequence[int]) -> bool:
    return all(
        rows[source] <= rows[target]
        for target, producers in enumerate(graph.producers)
        for source in producers
    )


def _folded(spans: Sequence[_Span], rows: Sequence[int]) -> list[_Span]:
    """Every row moved to the left."""
    starts: dict[int, float] = {}
    for row, (left, _) in zip(rows, spans, strict=True):
        starts[row] = min(starts.get(row, left), left)
    return [
        (left - starts[row], right - starts[row])
        for row, (left, right) in zip(rows, spans, strict=True)
    ]


def _critical(
    graph: Graph, parts: Sequence[Part], sizes: Sizes, spans: Sequence[_Span]
) -> list[bool]:
    """Whether each box is on a longest path: it could stand nowhere else."""
    end = _end(spans)
    latest = [0.0] * len(parts)
    for index in reversed(range(len(parts))):
        bounds = [latest[c] - sizes.space(parts[index], parts[c]) for c in graph.consumers[index]]
        latest[index] = min(bounds, default=end) - (spans[index][1] - spans[index][0])
    return [latest[i] - spans[i][0] < 1e-6 for i in range(len(parts))]


def _drawing(
    layout: Layout,
    plan: NormPlan,
    parts: Sequence[Part],
    places: Sequence[BoxSpan],
    labels: Sequence[RowLabel],
    sizes: Sizes,
    folded: bool,
) -> Drawing:
    routes = routes_of(places, layout.graph.producers, folded)
    rows = _rows(labels, lane_counts(places), track_counts(places, routes), sizes)
    boxes = tuple(_box(layout, i, part, places[i], rows, sizes) for i, part in enumerate(parts))
    skips = skips_of(layout, {b.node: b.part.kind for b in boxes if b.part.name == "norm"})
    wires = tuple(
        Wire(r.source, r.target, corners(r, boxes, rows, sizes), skips.get((r.source, r.target)))
        for r in routes
    )
    return Drawing(
        layout=layout,
        plan=plan,
        sizes=sizes,
        folded=folded,
        boxes=boxes,
        rows=tuple(rows),
        wires=wires,
        regions=_regions(layout, boxes),
        width=max((box.right for box in boxes), default=0.0),
        height=rows[-1].bottom if rows else 0.0,
    )


def _rows(
    labels: Sequence[RowLabel], lanes: Mapping[int, int], tracks: Mapping[int, int], sizes: Sizes
) -> list[Row]:
    found: list[Row] = []
    for row, label in enumerate(labels):
        top = found[-1].bottom if found else 0.0
        above = ROW_PAD + TRACK * tracks.get(row, 0)
        count = lanes.get(row, 1)
        bottom = top + above + count * sizes.tallest + (count - 1) * LANE_GAP + ROW_PAD
        found.append(Row(label, top, bottom, top + above + sizes.tallest / 2))
    return found


def _box(
    layout: Layout, index: int, part: Part, place: BoxSpan, rows: Sequence[Row], sizes: Sizes
) -> Box:
    height = sizes.tallness(part)
    middle = rows[place.row].middle + place.lane * (sizes.tallest + LANE_GAP)
    return Box(
        node=index,
        name=layout.graph.nodes[index].name,
        part=part,
        region=layout.regions[index],
        row=place.row,
        lane=place.lane,
        left=place.left,
        top=middle - height / 2,
        width=place.right - place.left,
        height=height,
    )


def _regions(layout: Layout, boxes: Sequence[Box]) -> dict[str, _Span]:
    """Where each region begins and ends, if there are several and they don't interleave."""
    ends: dict[str, _Span] = {}
    for region in REGIONS:
        inside = [box for box in boxes if box.region == region and _shows(layout, box)]
        if inside:
            ends[region] = min(b.left for b in inside), max(b.right for b in inside)
    ordered = sorted(ends.values())
    apart = all(a[1] <= b[0] for a, b in pairwise(ordered))
    return ends if apart and layout.trunk else {}


def _shows(layout: Layout, box: Box) -> bool:
    """A norm or layer on a skip is in the encoder, but not on its way down."""
    return box.region != ENCODER or box.node in layout.trunk

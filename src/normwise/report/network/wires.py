"""The corners of connections between boxes whose places are known."""

from collections.abc import Sequence

from normwise.report.network.routes import EXIT, Route
from normwise.report.network.shapes import Box, Point, Row
from normwise.report.network.sizes import LANE_GAP, TRACK, Sizes


def corners(
    route: Route, boxes: Sequence[Box], rows: Sequence[Row], sizes: Sizes
) -> tuple[Point, ...]:
    """The corners of a connection, from its source's edge to its target's."""
    source, target = boxes[route.source], boxes[route.target]
    start, end = (source.right, source.centre[1]), (target.left, target.centre[1])
    after, before = source.right + sizes.gap / 2, target.left - sizes.gap / 2
    if route.way == "straight":
        return start, end
    if route.way == "over":
        return _over(route, source, target, sizes)
    if route.way == "early":
        return start, (after, start[1]), (after, end[1]), end
    if route.way == "return":
        level = rows[source.row].bottom
        down = (start, (after, start[1]), (after, level))
        return (*down, (before, level), (before, end[1]), end)
    if target.part.name == "merge":
        x = target.centre[0]
        edge = target.bottom if start[1] > end[1] else target.top
        return start, (x, start[1]), (x, edge)
    return start, (before, start[1]), (before, end[1]), end


def _over(route: Route, source: Box, target: Box, sizes: Sizes) -> tuple[Point, ...]:
    """Above the source's row, from the top of a box where it is in the first lane."""
    tall = sizes.tallest
    first_lane = source.centre[1] - source.lane * (tall + LANE_GAP)
    level = first_lane - tall / 2 - TRACK * (route.track + 0.75)
    if source.lane:
        turn = source.right + sizes.gap / 2
        up: tuple[Point, ...] = ((source.right, source.centre[1]), (turn, source.centre[1]))
    else:
        turn = source.left + EXIT * source.width
        up = ((turn, source.top),)
    if (target.row, target.lane) == (source.row, 0):
        x = target.left + route.entry * target.width
        return (*up, (turn, level), (x, level), (x, target.top))
    x, y = target.left - sizes.gap / 2, target.centre[1]
    return (*up, (turn, level), (x, level), (x, y), (target.left, y))

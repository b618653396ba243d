"""What charts have in common: SVG that takes its colours from the page, light or dark."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from normwise.report.page.axis import Axis, axis_of, written

WIDTH: Final = 520
LEFT, RIGHT, TOP, FOOT = 80, 26, 12, 48
HEIGHT: Final = 320
EPOCHS: Final = "epoch"
"""The axis that has whole numbers only."""
_LABEL_ROOM: Final = 16.0
_MOST_STRETCH: Final = 2.5
"""By how much the first quarter of all lines may widen the range."""


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        style: The style class of its colour, such as `c0`.
        xs: Where it has points.
        ys: Their values; what is no number is left out.
        name: What stands at its end; empty for nothing.
        low: Lower end of a band around it, a value for each of `xs`; empty for no band.
        high: Upper end, likewise.
    """

    style: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    name: str = ""
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


def lines_chart(
    lines: Sequence[Line],
    axes: tuple[str, str],
    title: str,
    mark: tuple[float, float] | None = None,
) -> str:
    """Lines, some with bands, each named at its end.

    Args:
        lines: What is drawn.
        axes: What stands below and beside.
        title: For those who can't see it.
        mark: A point that is marked.

    Returns:
        SVG.
    """
    drawn = [line for line in lines if line.xs]
    x = axis_of((value for line in drawn for value in line.xs), LEFT, WIDTH - RIGHT, room=0.0)
    if x.low == x.high:
        x = Axis(x.low - 0.5, x.high + 0.5, x.start, x.end)
    marked = () if mark is None else (mark[1],)
    y = axis_of((*_range(drawn), *marked), HEIGHT - FOOT, TOP)
    # A picture of its own is clipped without a name, which would have to differ on a page.
    box = f"{LEFT} {TOP} {WIDTH - LEFT - RIGHT} {HEIGHT - TOP - FOOT}"
    where = 'x="{}" y="{}" width="{}" height="{}"'.format(*box.split())
    parts = [frame(x, y, HEIGHT, *axes), f'<svg {where} viewBox="{box}">']
    for line in drawn:
        parts += [_band(line, x, y), _line(line, x, y)]
    parts.append(f"</svg>{_mark(mark, x, y)}")
    ends = [(line, y.at(line.ys[-1])) for line in drawn if line.name and math.isfinite(line.ys[-1])]
    for line, top in _apart(ends):
        parts.append(
            f'<text class="{line.style} name" x="{WIDTH - RIGHT + 5}" y="{top + 5:.1f}">'
            f"{escape(line.name)}</text>"
        )
    return svg("".join(parts), HEIGHT, title)


def frame(x: Axis, y: Axis, height: int, below: str, beside: str) -> str:
    """Both axes with their lines, numbers and words."""
    parts = [ticks_below(x, TOP, height - FOOT, height, below)]
    ticks = y.ticks()
    for tick, text in zip(ticks, written(ticks), strict=True):
        at = y.at(tick)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
            f'<text class="tick" x="{LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{text}</text>'
        )
    middle = (height - FOOT + TOP) / 2
    parts.append(
        f'<text class="label" transform="translate(15 {middle:.0f}) rotate(-90)" '
        f'text-anchor="middle">{escape(beside)}</text>'
    )
    return "".join(parts)


def ticks_below(x: Axis, top: float, foot: float, height: float, label: str) -> str:
    """The axis below with its lines, numbers and words."""
    ticks = x.ticks()
    if label == EPOCHS:
        ticks = [tick for tick in ticks if tick == round(tick)]
    parts = []
    for tick, text in zip(ticks, written(ticks), strict=True):
        at = x.at(tick)
        parts.append(
            f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{foot}"/>'
            f'<text class="tick" x="{at:.1f}" y="{foot + 17}" text-anchor="middle">{text}</text>'
        )
    parts.append(
        f'<text class="label" x="{(x.start + x.end) / 2:.0f}" y="{height - 10}" '
        f'text-anchor="middle">{escape(label)}</text>'
    )
    return "".join(parts)


def svg(inside: str, height: float, title: str) -> str:
    """A chart as a whole."""
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="{escape(title)}">{inside}</svg>'
    )


def _range(lines: Sequence[Line]) -> list[float]:
    """What decides the range: the first values can be far off and would flatten all else."""
    everything, late = (
        [value for line in lines for value in _from(line, share) if math.isfinite(value)]
        for share in (0.0, 0.25)
    )
    if not late or max(everything) - min(everything) <= _MOST_STRETCH * (max(late) - min(late)):
        return everything
    return late


def _from(line: Line, share: float) -> Iterable[float]:
    """The values behind the first ones."""
    start = int(len(line.xs) * share)
    return (*line.low[start:], *line.high[start:]) if line.low else line.ys[start:]


def _band(line: Line, x: Axis, y: Axis) -> str:
    if not line.low:
        return ""
    upper = _points(line.xs, line.high, x, y)
    lower = _points(line.xs[::-1], line.low[::-1], x, y)
    return f'<polygon class="{line.style} band" points="{upper} {lower}"/>'


def _line(line: Line, x: Axis, y: Axis) -> str:
    if len(line.xs) == 1 and math.isfinite(line.ys[0]):
        at = f'cx="{x.at(line.xs[0]):.1f}" cy="{y.at(line.ys[0]):.1f}"'
        return f'<circle class="{line.style} dot" {at} r="4"/>'
    return f'<polyline class="{line.style} line" points="{_points(line.xs, line.ys, x, y)}"/>'


def _mark(mark: tuple[float, float] | None, x: Axis, y: Axis) -> str:
    if mark is None or not math.isfinite(mark[1]):
        return ""
    across, at = x.at(mark[0]), y.at(mark[1])
    return (
        f'<line class="marked" x1="{across:.1f}" x2="{across:.1f}" y1="{TOP}" '
        f'y2="{HEIGHT - FOOT}"/><circle class="mark" cx="{across:.1f}" cy="{at:.1f}" r="6"/>'
    )


def _points(xs: Sequence[float], ys: Sequence[float], x: Axis, y: Axis) -> str:
    return " ".join(
        f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in zip(xs, ys, strict=True) if math.isfinite(b)
    )


def _apart(ends: Sequence[tuple[Line, float]]) -> list[tuple[Line, float]]:
    """Labels moved down until none covers another, then up until all are in the chart.

    Those of very many lines come closer than a label is high.
    """
    order = sorted(ends, key=lambda end: end[1])
    lowest = float(HEIGHT - FOOT)
    room = min(_LABEL_ROOM, (lowest - TOP) / max(1, len(order) - 1))
    tops: list[float] = []
    for _, top in order:
        tops.append(max(top, tops[-1] + room) if tops else top)
    for place in reversed(range(len(tops))):
        tops[place] = min(tops[place], lowest)
        lowest = tops[place] - room
    return [(line, top) for (line, _), top in zip(order, tops, strict=True)]

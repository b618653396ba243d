"""The charts of the page as SVG that takes its colours from the page, light or dark."""

import math
from collections.abc import Sequence
from html import escape
from typing import Final

from normwise.report.compared.facts import Curve, Gap, Point
from normwise.report.page.axis import Axis, axis_of
from normwise.report.page.chart import (
    EPOCHS,
    FOOT,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Line,
    frame,
    lines_chart,
    svg,
    ticks_below,
)
from normwise.report.page.numbers import MINUS

COLOURS: Final = 8


def colour(letter: str) -> str:
    """The style class of a variant's colour; the ninth has that of the first."""
    return f"c{place(letter) % COLOURS}"


def letter_of(place: int) -> str:
    """`A`, `B`, ... `Z`, `AA`, ... for 0, 1, ..."""
    rest, last = divmod(place, 26)
    return (letter_of(rest - 1) if rest else "") + chr(ord("A") + last)


def place(letter: str) -> int:
    """The number that `letter_of` made a letter of."""
    number = 0
    for sign in letter:
        number = number * 26 + ord(sign) - ord("A") + 1
    return number - 1


def curves_chart(curves: Sequence[Curve], metric: str) -> str:
    """Means with bands from the least to the greatest trial, each named at its end."""
    lines = [
        Line(colour(curve.letter), curve.epochs, curve.mean, curve.letter, curve.low, curve.high)
        for curve in curves
    ]
    return lines_chart(lines, (EPOCHS, metric), f"{metric} after each epoch, for each variant")


def gaps_chart(gaps: Sequence[Gap], metric: str, better: tuple[str, str]) -> str:
    """Each difference as a point with its interval; single trials as small marks."""
    row, top = 26, 34
    height = top + row * len(gaps) + FOOT
    finite = [v for gap in gaps for v in (gap.mean, *gap.interval, *gap.values)]
    x = axis_of(finite, LEFT, WIDTH - RIGHT, with_zero=True)
    foot = height - FOOT
    parts = [ticks_below(x, top - 6, foot, height, f"difference of {metric}")]
    zero = x.at(0.0)
    parts.append(f'<line class="zero" x1="{zero:.1f}" x2="{zero:.1f}" y1="{top - 6}" y2="{foot}"/>')
    parts.append(
        f'<text class="small" x="{x.start:.1f}" y="16">← {escape(better[1])}</text>'
        f'<text class="small" x="{x.end:.1f}" y="16" text-anchor="end">{escape(better[0])} →</text>'
    )
    for number, gap in enumerate(gaps):
        parts.append(_gap(gap, x, top + row * (number + 0.5)))
    return svg("".join(parts), height, "paired differences with 95 % intervals")


def points_chart(points: Sequence[Point], axes: tuple[str, str]) -> str:
    """Quality against cost; the front is joined by a line."""
    drawn = [p for p in points if math.isfinite(p.cost) and math.isfinite(p.quality)]
    x = axis_of((p.cost for p in drawn), LEFT, WIDTH - RIGHT, with_zero=True)
    x = Axis(0.0, x.high, x.start, x.end)
    y = axis_of((p.quality for p in drawn), HEIGHT - FOOT, TOP, room=0.15)
    parts = [frame(x, y, HEIGHT, *axes)]
    front = sorted((p.cost, p.quality) for p in drawn if p.on_front)
    if len(front) > 1:
        path = " ".join(f"{x.at(c):.1f},{y.at(q):.1f}" for c, q in front)
        parts.append(f'<polyline class="front" points="{path}"/>')
    for p in drawn:
        at = f'cx="{x.at(p.cost):.1f}" cy="{y.at(p.quality):.1f}"'
        kind = "dot" if p.on_front else "dot hollow"
        parts.append(f'<circle class="{colour(p.letter)} {kind}" {at} r="6"/>')
        parts.append(
            f'<text class="{colour(p.letter)} name" x="{x.at(p.cost) + 10:.1f}" '
            f'y="{y.at(p.quality) - 8:.1f}">{p.letter}</text>'
        )
    return svg("".join(parts), HEIGHT, f"{axes[1]} against {axes[0]}")


def _gap(gap: Gap, x: Axis, at: float) -> str:
    tspans = (f"<tspan class='{colour(one)}'>{one}</tspan>" for one in gap.letters)
    names = f" {MINUS} ".join(tspans)
    parts = [f'<text class="name" x="8" y="{at + 5:.1f}">{names}</text>']
    for value in gap.values:
        place_of = x.at(value)
        parts.append(
            f'<line class="single" x1="{place_of:.1f}" x2="{place_of:.1f}" y1="{at - 4:.1f}" '
            f'y2="{at + 4:.1f}"/>'
        )
    strength = "decided" if gap.decided else "open"
    if all(map(math.isfinite, gap.interval)):
        low, high = map(x.at, gap.interval)
        parts.append(
            f'<line class="interval {strength}" x1="{low:.1f}" x2="{high:.1f}" y1="{at:.1f}" '
            f'y2="{at:.1f}"/>'
        )
    if math.isfinite(gap.mean):
        parts.append(
            f'<circle class="mean {strength}" cx="{x.at(gap.mean):.1f}" cy="{at:.1f}" r="5"/>'
        )
    return "".join(parts)

"""The charts of the page as SVG that takes its colours from the page, light or dark."""

import math
from collections.abc import Iterable, Sequence
from html import escape

from normwise.report.compared.axis import Axis, axis_of, written
from normwise.report.compared.facts import Curve, Gap, Point
from normwise.report.compared.numbers import MINUS

WIDTH = 520
_LEFT, _RIGHT, _TOP, _FOOT = 80, 26, 12, 48
_LABEL_ROOM = 16.0
_EPOCHS = "epoch"
COLOURS = 8


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
    height = 320
    drawn = [curve for curve in curves if curve.epochs]
    x = axis_of((e for c in drawn for e in c.epochs), _LEFT, WIDTH - _RIGHT, room=0.0)
    if x.low == x.high:
        x = Axis(x.low - 0.5, x.high + 0.5, x.start, x.end)
    y = axis_of((v for c in drawn for v in _late(c)), height - _FOOT, _TOP)
    parts = [_frame(x, y, height, _EPOCHS, metric)]
    clip = "curves"
    parts.append(
        f'<clipPath id="{clip}"><rect x="{_LEFT}" y="{_TOP}" width="{WIDTH - _LEFT - _RIGHT}" '
        f'height="{height - _TOP - _FOOT}"/></clipPath><g clip-path="url(#{clip})">'
    )
    for curve in drawn:
        parts += [_band(curve, x, y), _line(curve, x, y)]
    parts.append("</g>")
    ends = [(curve.letter, y.at(curve.mean[-1])) for curve in drawn]
    for letter, top in _apart(ends):
        parts.append(
            f'<text class="{colour(letter)} name" x="{WIDTH - _RIGHT + 5}" y="{top + 5:.1f}">'
            f"{letter}</text>"
        )
    return _svg("".join(parts), height, f"{metric} after each epoch, for each variant")


def gaps_chart(gaps: Sequence[Gap], metric: str, better: tuple[str, str]) -> str:
    """Each difference as a point with its interval; single trials as small marks."""
    row, top = 26, 34
    height = top + row * len(gaps) + _FOOT
    finite = [v for gap in gaps for v in (gap.mean, *gap.interval, *gap.values)]
    x = axis_of(finite, _LEFT, WIDTH - _RIGHT, with_zero=True)
    foot = height - _FOOT
    parts = [_ticks_below(x, top - 6, foot, height, f"difference of {metric}")]
    zero = x.at(0.0)
    parts.append(f'<line class="zero" x1="{zero:.1f}" x2="{zero:.1f}" y1="{top - 6}" y2="{foot}"/>')
    parts.append(
        f'<text class="small" x="{x.start:.1f}" y="16">← {escape(better[1])}</text>'
        f'<text class="small" x="{x.end:.1f}" y="16" text-anchor="end">{escape(better[0])} →</text>'
    )
    for number, gap in enumerate(gaps):
        parts.append(_gap(gap, x, top + row * (number + 0.5)))
    return _svg("".join(parts), height, "paired differences with 95 % intervals")


def points_chart(points: Sequence[Point], axes: tuple[str, str]) -> str:
    """Quality against cost; the front is joined by a line."""
    height = 320
    drawn = [p for p in points if math.isfinite(p.cost) and math.isfinite(p.quality)]
    x = axis_of((p.cost for p in drawn), _LEFT, WIDTH - _RIGHT, with_zero=True)
    x = Axis(0.0, x.high, x.start, x.end)
    y = axis_of((p.quality for p in drawn), height - _FOOT, _TOP, room=0.15)
    parts = [_frame(x, y, height, *axes)]
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
    return _svg("".join(parts), height, f"{axes[1]} against {axes[0]}")


def _late(curve: Curve) -> Iterable[float]:
    """What decides the range: the first epochs can be far off and would flatten all else."""
    start = len(curve.epochs) // 4
    return (*curve.low[start:], *curve.high[start:])


def _band(curve: Curve, x: Axis, y: Axis) -> str:
    upper = _points(curve.epochs, curve.high, x, y)
    lower = _points(curve.epochs[::-1], curve.low[::-1], x, y)
    return f'<polygon class="{colour(curve.letter)} band" points="{upper} {lower}"/>'


def _line(curve: Curve, x: Axis, y: Axis) -> str:
    path = _points(curve.epochs, curve.mean, x, y)
    if len(curve.epochs) == 1:
        at = f'cx="{x.at(curve.epochs[0]):.1f}" cy="{y.at(curve.mean[0]):.1f}"'
        return f'<circle class="{colour(curve.letter)} dot" {at} r="4"/>'
    return f'<polyline class="{colour(curve.letter)} line" points="{path}"/>'


def _points(xs: Sequence[float], ys: Sequence[float], x: Axis, y: Axis) -> str:
    return " ".join(
        f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in zip(xs, ys, strict=True) if math.isfinite(b)
    )


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


def _apart(ends: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """Labels moved down until none covers another."""
    placed: list[tuple[str, float]] = []
    for letter, top in sorted(ends, key=lambda end: end[1]):
        least = placed[-1][1] + _LABEL_ROOM if placed else -math.inf
        placed.append((letter, max(top, least)))
    return placed


def _frame(x: Axis, y: Axis, height: int, below: str, beside: str) -> str:
    parts = [_ticks_below(x, _TOP, height - _FOOT, height, below)]
    ticks = y.ticks()
    for tick, text in zip(ticks, written(ticks), strict=True):
        at = y.at(tick)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
            f'<text class="tick" x="{_LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{text}</text>'
        )
    middle = (height - _FOOT + _TOP) / 2
    parts.append(
        f'<text class="label" transform="translate(15 {middle:.0f}) rotate(-90)" '
        f'text-anchor="middle">{escape(beside)}</text>'
    )
    return "".join(parts)


def _ticks_below(x: Axis, top: float, foot: float, height: float, label: str) -> str:
    ticks = x.ticks()
    if label == _EPOCHS:
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


def _svg(inside: str, height: float, title: str) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="{escape(title)}">{inside}</svg>'
    )

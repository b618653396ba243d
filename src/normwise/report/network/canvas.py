"""Draws the page of a network, with a pen that knows what it is drawn on."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

from normwise.report.network.colours import (
    BANDS,
    EDGES,
    INK,
    PART_COLOURS,
    QUIET_INK,
    RAW_SKIP,
    WIRE,
    colour_of,
    text_on,
)
from normwise.report.network.page import (
    EDGE,
    KEY_POINTS,
    PLAN_POINTS,
    ROW_POINTS,
    TITLE_POINTS,
    KeyEntry,
    Page,
)
from normwise.report.network.pens import BANDS_AT, BOXES_AT, SKIPS_AT, WIRES_AT, Pen
from normwise.report.network.shapes import Box, Point, Wire
from normwise.report.network.sizes import POINTS, shortened, text_width

_HEAD: Final = 0.075


def draw_page(page: Page, pen: Pen) -> None:
    """Draws a page with a pen that was made for it."""
    _draw_rows(pen, page)
    _draw_regions(pen, page)
    for wire in page.drawing.wires:
        _draw_wire(pen, wire)
    for box in page.drawing.boxes:
        _draw_box(pen, box)
    _draw_header(pen, page)


def _draw_rows(pen: Pen, page: Page) -> None:
    for index, row in enumerate(page.drawing.rows):
        top = page.top + row.top
        pen.box(
            (0.0, top),
            page.width,
            row.bottom - row.top,
            facecolor=BANDS[index % 2],
            linewidth=0,
            zorder=BANDS_AT,
        )
        middle = page.top + row.middle
        lift = 0.09 if row.label.size else 0.0
        pen.text((EDGE, middle - lift), row.label.resolution, ROW_POINTS + 1.5, weight="bold")
        pen.text((EDGE, middle + lift), row.label.size, ROW_POINTS - 1, color=QUIET_INK)


def _draw_regions(pen: Pen, page: Page) -> None:
    y = page.top + page.drawing.height + 0.1
    free = 0.0
    for region, (left, right) in sorted(page.drawing.regions.items(), key=lambda r: r[1]):
        ends = [(page.left + left, y - 0.05), (page.left + left, y)]
        ends += [(page.left + right, y), (page.left + right, y - 0.05)]
        pen.line(ends, color=WIRE, linewidth=0.9, zorder=WIRES_AT)
        half = text_width(region, ROW_POINTS) / 2
        middle = max(page.left + (left + right) / 2, free + half)
        free = middle + half + 0.1
        pen.text((middle, y + 0.13), region, ROW_POINTS, color=QUIET_INK, ha="center")


def _draw_wire(pen: Pen, wire: Wire) -> None:
    points = [pen.at(point) for point in wire.points]
    length = sum(abs(b[0] - a[0]) + abs(b[1] - a[1]) for a, b in pairwise(points))
    small = pen.page.drawing.sizes.gap
    style: dict[str, Any] = {"color": WIRE, "linewidth": 0.9, "zorder": WIRES_AT}
    if wire.skip:
        raw = wire.skip.kind is None
        colour = RAW_SKIP if raw else colour_of(wire.skip.kind)
        style = {"color": colour, "linewidth": 1.6, "zorder": SKIPS_AT}
        style |= {"linestyle": (0, (4, 2))} if raw else {}
        style |= {"gid": f"skip:{_name(pen, wire.source)}>{_name(pen, wire.target)}"}
    pen.line(points, **style)
    if length > 1.5 * small:
        size = min(_HEAD * (1.3 if wire.skip else 1.0), 0.8 * small)
        pen.head(points[-1], points[-2], size, color=style["color"], zorder=style["zorder"])
    if wire.skip:
        _draw_skip_words(pen, wire, points)


def _draw_skip_words(pen: Pen, wire: Wire, points: list[Point]) -> None:
    """In the middle of the longest level stretch, where there is room."""
    assert wire.skip is not None
    words = f"{wire.skip.kind}-normalized" if wire.skip.kind else "un-normalized"
    size = pen.page.drawing.sizes.bar_text
    level = [(a, b) for a, b in pairwise(points) if a[1] == b[1]]
    if not level or not size:
        return
    start, end = max(level, key=lambda ends: abs(ends[1][0] - ends[0][0]))
    if abs(end[0] - start[0]) < text_width(words, size) + 0.6:
        return
    shown = wire.skip.kind
    ground = pen.page.drawing.boxes[wire.source].row % 2
    pen.text(
        ((start[0] + end[0]) / 2, start[1]),
        words,
        size + 0.5,
        ha="center",
        color=RAW_SKIP if shown is None else INK,
        bbox={"facecolor": BANDS[ground], "edgecolor": "none", "pad": 1.2 * pen.scale},
    )


def _name(pen: Pen, node: int) -> str:
    return pen.page.drawing.boxes[node].name


def _draw_box(pen: Pen, box: Box) -> None:
    part = box.part
    colour = colour_of(part.kind) if part.name == "norm" else PART_COLOURS[part.name]
    edge = colour if part.name == "norm" else EDGES
    pen.box(
        pen.at((box.left, box.top)),
        box.width,
        box.height,
        facecolor=colour,
        edgecolor=edge,
        zorder=BOXES_AT,
        gid=f"{part.name}:{box.name}",
    )
    if part.name == "linear":
        _draw_linear_words(pen, box)
    else:
        ink = text_on(colour) if part.name == "norm" else INK
        weight = "bold" if part.name == "norm" else "normal"
        _draw_upright(pen, box.centre, _bar_words(pen, box), box.height, color=ink, weight=weight)


def _bar_words(pen: Pen, box: Box) -> str:
    """An input's name gives way to its number of channels."""
    words, channels = box.part.words, box.part.channels
    if not channels:
        return words
    points = pen.page.drawing.sizes.bar_text
    room = box.height - 0.06 - text_width(f" · {channels}", points)
    shown = shortened(words, points, room)
    return f"{shown} · {channels}" if shown == words or len(shown) > 4 else channels


def _draw_upright(pen: Pen, centre: Point, words: str, room: float, **style: Any) -> None:
    points = pen.page.drawing.sizes.bar_text
    if points:
        shown = shortened(words, points, room - 0.04)
        pen.text(pen.at(centre), shown, points, rotation=90, ha="center", **style)


def _draw_linear_words(pen: Pen, box: Box) -> None:
    sizes = pen.page.drawing.sizes
    strip = sizes.slim if box.part.fused else 0.0
    if strip:
        _draw_fused(pen, box, strip)
    lines = sizes.lines(box.part)
    middle = box.left + (box.width - strip) / 2
    if not sizes.text:
        return
    if not sizes.line:
        step = sizes.text / POINTS * 1.25
        for number, line in enumerate(lines):
            x = middle + (number - (len(lines) - 1) / 2) * step
            _draw_upright(pen, (x, box.centre[1]), line, box.height)
        return
    step = sizes.text / POINTS * 1.35
    for number, line in enumerate(lines):
        y = box.centre[1] + (number - (len(lines) - 1) / 2) * step
        counts = line == box.part.channels
        pen.text(
            pen.at((middle, y)),
            line,
            sizes.text,
            ha="center",
            color=QUIET_INK if counts else INK,
        )


def _draw_fused(pen: Pen, box: Box, strip: float) -> None:
    """The activation inside a layer: a strip at its right end."""
    left = box.right - strip
    pen.box(
        pen.at((left, box.top)),
        strip,
        box.height,
        facecolor=PART_COLOURS["activation"],
        edgecolor=EDGES,
        zorder=BOXES_AT,
    )
    words = box.part.fused or ""
    _draw_upright(pen, (left + strip / 2, box.centre[1]), words, box.height)


def _draw_header(pen: Pen, page: Page) -> None:
    y = EDGE + 0.1
    pen.text((EDGE, y), page.title, TITLE_POINTS, weight="bold")
    y += 0.26
    for line in page.plan:
        pen.text((EDGE, y), line, PLAN_POINTS)
        y += 0.2
    for entry in page.key:
        _draw_entry(pen, entry, y + 0.02 + 0.2 * entry.line)


def _draw_entry(pen: Pen, entry: KeyEntry, y: float) -> None:
    left = EDGE + entry.left
    if entry.mark == "box":
        style = {"facecolor": entry.colour, "edgecolor": EDGES, "zorder": BOXES_AT}
        pen.box((left + 0.06, y - 0.065), 0.18, 0.13, **style)
    else:
        dashes: Any = (0, (4, 2)) if entry.mark == "dashed" else "-"
        ends = [(left, y), (left + 0.3, y)]
        pen.line(ends, color=entry.colour, linewidth=1.8, linestyle=dashes, zorder=BOXES_AT)
    pen.text((left + 0.38, y), entry.text, KEY_POINTS)

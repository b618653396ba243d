"""Draws the page of a network into matplotlib axes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from normwise.report.network.colours import (
    BANDS,
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
from normwise.report.network.shapes import Box, Point, Wire
from normwise.report.network.sizes import POINTS, shortened, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST_POINTS = 2.0
"""Smaller words are left out: they would be dust."""

_HEAD: Final = 0.075
_BANDS_AT, _WIRES_AT, _SKIPS_AT, _BOXES_AT, _WORDS_AT = 0, 1, 2, 3, 4


def draw_page(page: Page, axes: Axes) -> None:
    """Draws a page into axes, as large as fits."""
    axes.set_axis_off()
    axes.set_xlim(0.0, page.width)
    axes.set_ylim(page.height, 0.0)
    axes.set_aspect("equal")
    pen = _Pen(axes, page)
    _draw_rows(pen, page)
    _draw_regions(pen, page)
    for wire in page.drawing.wires:
        _draw_wire(pen, wire)
    for box in page.drawing.boxes:
        _draw_box(pen, box)
    _draw_header(pen, page)


class _Pen:
    """Draws in inches of the page, whatever the size of the axes."""

    def __init__(self, axes: Axes, page: Page) -> None:
        self.axes = axes
        self.page = page
        dpi = axes.figure.dpi
        width, height = axes.bbox.width / dpi, axes.bbox.height / dpi
        self.scale = min(width / page.width, height / page.height)

    def at(self, point: Point) -> Point:
        """A point of the drawing on the page."""
        return point[0] + self.page.left, point[1] + self.page.top

    def text(self, at: Point, words: str, points: float, **style: Any) -> None:
        """Words at a point of the page."""
        size = points * self.scale
        if words and size >= LEAST_POINTS:
            # Names of layers may hold dollar signs, which are no formulas.
            style = {"va": "center", "color": INK, "zorder": _WORDS_AT, **style}
            self.axes.text(*at, words, fontsize=size, parse_math=False, **style)

    def box(self, at: Point, width: float, height: float, **style: Any) -> None:
        """A rectangle by its upper left corner."""
        from matplotlib.patches import Rectangle  # noqa: PLC0415

        style["linewidth"] = style.get("linewidth", 0.6) * self.scale
        self.axes.add_patch(Rectangle(at, width, height, **style))

    def line(self, points: list[Point], **style: Any) -> None:
        """A line with corners."""
        from matplotlib.lines import Line2D  # noqa: PLC0415

        style["linewidth"] = style["linewidth"] * self.scale
        xs, ys = zip(*points, strict=True)
        line = Line2D(xs, ys, solid_joinstyle="round", dash_joinstyle="round", **style)
        self.axes.add_line(line)

    def head(self, tip: Point, before: Point, size: float, **style: Any) -> None:
        """An arrow's head that points from `before` to `tip`."""
        from matplotlib.patches import Polygon  # noqa: PLC0415

        dx = (tip[0] > before[0]) - (tip[0] < before[0])
        dy = (tip[1] > before[1]) - (tip[1] < before[1])
        x, y = tip[0] - dx * size, tip[1] - dy * size
        side = size * 0.5
        corners = [tip, (x + dy * side, y + dx * side), (x - dy * side, y - dx * side)]
        self.axes.add_patch(Polygon(corners, closed=True, linewidth=0, **style))


def _draw_rows(pen: _Pen, page: Page) -> None:
    for index, row in enumerate(page.drawing.rows):
        top = page.top + row.top
        pen.box(
            (0.0, top),
            page.width,
            row.bottom - row.top,
            facecolor=BANDS[index % 2],
            linewidth=0,
            zorder=_BANDS_AT,
        )
        middle = page.top + row.middle
        lift = 0.09 if row.label.size else 0.0
        pen.text((EDGE, middle - lift), row.label.resolution, ROW_POINTS + 1.5, weight="bold")
        pen.text((EDGE, middle + lift), row.label.size, ROW_POINTS - 1, color=QUIET_INK)


def _draw_regions(pen: _Pen, page: Page) -> None:
    y = page.top + page.drawing.height + 0.1
    free = 0.0
    for region, (left, right) in sorted(page.drawing.regions.items(), key=lambda r: r[1]):
        ends = [(page.left + left, y - 0.05), (page.left + left, y)]
        ends += [(page.left + right, y), (page.left + right, y - 0.05)]
        pen.line(ends, color=WIRE, linewidth=0.9, zorder=_WIRES_AT)
        half = text_width(region, ROW_POINTS) / 2
        middle = max(page.left + (left + right) / 2, free + half)
        free = middle + half + 0.1
        pen.text((middle, y + 0.13), region, ROW_POINTS, color=QUIET_INK, ha="center")


def _draw_wire(pen: _Pen, wire: Wire) -> None:
    points = [pen.at(point) for point in wire.points]
    length = sum(abs(b[0] - a[0]) + abs(b[1] - a[1]) for a, b in pairwise(points))
    small = pen.page.drawing.sizes.gap
    style: dict[str, Any] = {"color": WIRE, "linewidth": 0.9, "zorder": _WIRES_AT}
    if wire.skip:
        raw = wire.skip.kind is None
        colour = RAW_SKIP if raw else colour_of(wire.skip.kind)
        style = {"color": colour, "linewidth": 1.6, "zorder": _SKIPS_AT}
        style |= {"linestyle": (0, (4, 2))} if raw else {}
        style |= {"gid": f"skip:{_name(pen, wire.source)}>{_name(pen, wire.target)}"}
    pen.line(points, **style)
    if length > 1.5 * small:
        size = min(_HEAD * (1.3 if wire.skip else 1.0), 0.8 * small)
        pen.head(points[-1], points[-2], size, color=style["color"], zorder=style["zorder"])
    if wire.skip:
        _draw_skip_words(pen, wire, points)


def _draw_skip_words(pen: _Pen, wire: Wire, points: list[Point]) -> None:
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


def _name(pen: _Pen, node: int) -> str:
    return pen.page.drawing.boxes[node].name


def _draw_box(pen: _Pen, box: Box) -> None:
    part = box.part
    colour = colour_of(part.kind) if part.name == "norm" else PART_COLOURS[part.name]
    edge = colour if part.name == "norm" else "#8a8a86"
    pen.box(
        pen.at((box.left, box.top)),
        box.width,
        box.height,
        facecolor=colour,
        edgecolor=edge,
        zorder=_BOXES_AT,
        gid=f"{part.name}:{box.name}",
    )
    if part.name == "linear":
        _draw_linear_words(pen, box)
    else:
        ink = text_on(colour) if part.name == "norm" else INK
        weight = "bold" if part.name == "norm" else "normal"
        _draw_upright(pen, box.centre, _bar_words(pen, box), box.height, color=ink, weight=weight)


def _bar_words(pen: _Pen, box: Box) -> str:
    """An input's name gives way to its number of channels."""
    words, channels = box.part.words, box.part.channels
    if not channels:
        return words
    points = pen.page.drawing.sizes.bar_text
    room = box.height - 0.06 - text_width(f" · {channels}", points)
    shown = shortened(words, points, room)
    return f"{shown} · {channels}" if shown == words or len(shown) > 4 else channels


def _draw_upright(pen: _Pen, centre: Point, words: str, room: float, **style: Any) -> None:
    points = pen.page.drawing.sizes.bar_text
    if points:
        shown = shortened(words, points, room - 0.04)
        pen.text(pen.at(centre), shown, points, rotation=90, ha="center", **style)


def _draw_linear_words(pen: _Pen, box: Box) -> None:
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


def _draw_fused(pen: _Pen, box: Box, strip: float) -> None:
    """The activation inside a layer: a strip at its right end."""
    left = box.right - strip
    pen.box(
        pen.at((left, box.top)),
        strip,
        box.height,
        facecolor=PART_COLOURS["activation"],
        edgecolor="#8a8a86",
        zorder=_BOXES_AT,
    )
    words = box.part.fused or ""
    _draw_upright(pen, (left + strip / 2, box.centre[1]), words, box.height)


def _draw_header(pen: _Pen, page: Page) -> None:
    y = EDGE + 0.1
    pen.text((EDGE, y), page.title, TITLE_POINTS, weight="bold")
    y += 0.26
    for line in page.plan:
        pen.text((EDGE, y), line, PLAN_POINTS)
        y += 0.2
    for entry in page.key:
        _draw_entry(pen, entry, y + 0.02 + 0.2 * entry.line)


def _draw_entry(pen: _Pen, entry: KeyEntry, y: float) -> None:
    left = EDGE + entry.left
    if entry.mark == "box":
        style = {"facecolor": entry.colour, "edgecolor": "#8a8a86", "zorder": _BOXES_AT}
        pen.box((left + 0.06, y - 0.065), 0.18, 0.13, **style)
    else:
        dashes: Any = (0, (4, 2)) if entry.mark == "dashed" else "-"
        ends = [(left, y), (left + 0.3, y)]
        pen.line(ends, color=entry.colour, linewidth=1.8, linestyle=dashes, zorder=_BOXES_AT)
    pen.text((left + 0.38, y), entry.text, KEY_POINTS)

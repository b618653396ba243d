"""Pens that draw a network's page: into matplotlib axes, or as SVG for a web page.

Lengths are inches of the page, x to the right and y downwards; styles have matplotlib's names.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any, Final

from normwise.report.network.colours import BANDS, EDGES, INK, PART_COLOURS, QUIET_INK, WIRE
from normwise.report.network.page import Page
from normwise.report.network.shapes import Point
from normwise.report.network.sizes import POINTS, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST_POINTS = 2.0
"""Smaller words are left out: they would be dust."""

BANDS_AT, WIRES_AT, SKIPS_AT, BOXES_AT, WORDS_AT = 0, 1, 2, 3, 4
"""What lies above what."""


class Pen(ABC):
    """Draws on a page.

    Args:
        page: The page.
        scale: Of lines and words, beside the page's own size.
    """

    def __init__(self, page: Page, scale: float) -> None:
        self.page = page
        self.scale = scale

    def at(self, point: Point) -> Point:
        """A point of the drawing on the page."""
        return point[0] + self.page.left, point[1] + self.page.top

    def text(self, at: Point, words: str, points: float, **style: Any) -> None:
        """Words at a point of the page."""
        if words and points * self.scale >= LEAST_POINTS:
            self._words(at, words, points, {"color": INK, "zorder": WORDS_AT, **style})

    def head(self, tip: Point, before: Point, size: float, **style: Any) -> None:
        """An arrow's head that points from `before` to `tip`."""
        dx = (tip[0] > before[0]) - (tip[0] < before[0])
        dy = (tip[1] > before[1]) - (tip[1] < before[1])
        x, y = tip[0] - dx * size, tip[1] - dy * size
        side = size * 0.5
        self._area([tip, (x + dy * side, y + dx * side), (x - dy * side, y - dx * side)], style)

    @abstractmethod
    def box(self, at: Point, width: float, height: float, **style: Any) -> None:
        """A rectangle by its upper left corner."""

    @abstractmethod
    def line(self, points: list[Point], **style: Any) -> None:
        """A line with corners."""

    @abstractmethod
    def _words(self, at: Point, words: str, points: float, style: dict[str, Any]) -> None: ...

    @abstractmethod
    def _area(self, corners: list[Point], style: dict[str, Any]) -> None: ...


class AxesPen(Pen):
    """Draws into axes, as large as fits.

    Args:
        axes: Their limits and aspect are set, and their frame is hidden.
        page: The page.
    """

    def __init__(self, axes: Axes, page: Page) -> None:
        self.axes = axes
        axes.set_axis_off()
        axes.set_xlim(0.0, page.width)
        axes.set_ylim(page.height, 0.0)
        axes.set_aspect("equal")
        dpi = axes.figure.dpi
        width, height = axes.bbox.width / dpi, axes.bbox.height / dpi
        super().__init__(page, min(width / page.width, height / page.height))

    def _words(self, at: Point, words: str, points: float, style: dict[str, Any]) -> None:
        # Names of layers may hold dollar signs, which are no formulas.
        style = {"va": "center", "parse_math": False, **style}
        self.axes.text(*at, words, fontsize=points * self.scale, **style)

    def box(self, at: Point, width: float, height: float, **style: Any) -> None:
        """A rectangle by its upper left corner."""
        from matplotlib.patches import Rectangle  # noqa: PLC0415 - slow to load

        style["linewidth"] = style.get("linewidth", 0.6) * self.scale
        self.axes.add_patch(Rectangle(at, width, height, **style))

    def line(self, points: list[Point], **style: Any) -> None:
        """A line with corners."""
        from matplotlib.lines import Line2D  # noqa: PLC0415

        style["linewidth"] = style["linewidth"] * self.scale
        xs, ys = zip(*points, strict=True)
        line = Line2D(xs, ys, solid_joinstyle="round", dash_joinstyle="round", **style)
        self.axes.add_line(line)

    def _area(self, corners: list[Point], style: dict[str, Any]) -> None:
        from matplotlib.patches import Polygon  # noqa: PLC0415

        self.axes.add_patch(Polygon(corners, closed=True, linewidth=0, **style))


_NEUTRAL: Final = {
    WIRE: "wire", EDGES: "edge", BANDS[0]: "band", BANDS[1]: "other-band",
    **{colour: name for name, colour in PART_COLOURS.items() if colour != BANDS[0]},
}  # fmt: skip
"""Colours that a web page may show otherwise in the dark; those of kinds stay."""

_INKS: Final = {INK: "ink", QUIET_INK: "quiet"}
"""The same of words; those on normalizations stay."""

_LEAST, _MOST = 0.9, 1.7
"""Pixels for a point, so that words can be read on a phone and don't shout on a wide screen."""

_ANCHORS: Final = {"center": "middle", "left": "start"}


class SvgPen(Pen):
    """Collects SVG whose neutral colours are those of the page that it stands in."""

    def __init__(self, page: Page) -> None:
        super().__init__(page, 1.0)
        self._drawn: list[tuple[int, str]] = []

    def svg(self) -> str:
        """What was drawn, in points; what lies above comes later."""
        width, height = self.page.width * POINTS, self.page.height * POINTS
        inside = "".join(part for _, part in sorted(self._drawn, key=lambda drawn: drawn[0]))
        return (
            f'<svg viewBox="0 0 {width:.1f} {height:.1f}" role="img" aria-label="'
            f'{escape(f"the network {self.page.title}")}" style="min-width:{_LEAST * width:.0f}px;'
            f'max-width:{_MOST * width:.0f}px">'
            f"{inside}</svg>"
        )

    def _words(self, at: Point, words: str, points: float, style: dict[str, Any]) -> None:
        x, y = _points(at)
        anchor = _ANCHORS[style.get("ha", "left")]
        bold = ' font-weight="700"' if style.get("weight") == "bold" else ""
        turned = f' transform="rotate(-{style["rotation"]} {x:.1f} {y:.1f})"' if (
            style.get("rotation")) else ""  # fmt: skip
        ground = style.get("bbox")
        if ground:  # words over a line
            width = text_width(words, points) * POINTS
            self._draw(
                style["zorder"],
                f'<rect x="{x - width / 2:.1f}" y="{y - 0.7 * points:.1f}" width="{width:.1f}" '
                f'height="{1.4 * points:.1f}" {_fill(ground["facecolor"])}/>',
            )
        # A third of a font's size below its middle is about its base line.
        self._draw(
            style["zorder"],
            f'<text x="{x:.1f}" y="{y:.1f}" dy="0.35em" font-size="{points:g}" text-anchor="'
            f'{anchor}"{bold}{turned} {_fill(style["color"], _INKS)}>{escape(words)}</text>',
        )

    def box(self, at: Point, width: float, height: float, **style: Any) -> None:
        """A rectangle by its upper left corner."""
        (x, y), line = _points(at), style.get("linewidth", 0.6)
        # A dark normalization needs an edge where the page is dark.
        edge = f' stroke="var(--net-edge)" stroke-width="{line:g}"' if line else ""
        title = f"<title>{escape(style['gid'].partition(':')[2])}</title>" if "gid" in style else ""
        self._draw(
            style["zorder"],
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width * POINTS:.1f}" height="'
            f'{height * POINTS:.1f}" {_fill(style["facecolor"])}{edge}>{title}</rect>',
        )

    def line(self, points: list[Point], **style: Any) -> None:
        """A line with corners."""
        along = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(_points, points))
        dashes = ' stroke-dasharray="6 3"' if style.get("linestyle", "-") != "-" else ""
        self._draw(
            style["zorder"],
            f'<polyline points="{along}" fill="none" stroke="{_colour(style["color"])}" '
            f'stroke-width="{style["linewidth"]:g}" stroke-linejoin="round"{dashes}/>',
        )

    def _area(self, corners: list[Point], style: dict[str, Any]) -> None:
        along = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(_points, corners))
        self._draw(style["zorder"], f'<polygon points="{along}" {_fill(style["color"])}/>')

    def _draw(self, order: int, part: str) -> None:
        self._drawn.append((order, part))


def _points(at: Point) -> Point:
    return at[0] * POINTS, at[1] * POINTS


def _fill(colour: str, own: Mapping[str, str] = _NEUTRAL) -> str:
    return f'fill="{_colour(colour, own)}"'


def _colour(colour: str, own: Mapping[str, str] = _NEUTRAL) -> str:
    """A colour, or the page's own in its place."""
    return f"var(--net-{own[colour]})" if colour in own else colour

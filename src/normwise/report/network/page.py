"""The page of a network drawing: title, key and margins around the boxes, as data."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Literal

from normwise.graph.graph import Graph
from normwise.graph.parameters import total_parameters
from normwise.norms.kinds import KINDS
from normwise.norms.plan import NormPlan
from normwise.report.network.colours import PART_COLOURS, RAW_SKIP, colour_of
from normwise.report.network.layout import drawing_of
from normwise.report.network.shapes import Drawing, Row
from normwise.report.network.sizes import text_width

TITLE_POINTS, PLAN_POINTS, KEY_POINTS, ROW_POINTS = 13.0, 9.5, 8.5, 8.5
RIGHT, EDGE, FOOT = 0.3, 0.18, 0.42
LEAST_WIDTH = 7.5
_LINE = 0.2

_PART_WORDS = {
    "linear": "convolution or dense",
    "activation": "activation",
    "merge": "concat or add",
    "other": "other",
}


@dataclass(frozen=True)
class KeyEntry:
    """One entry of the key: a coloured `box`, or a `line` that is dashed for raw skips."""

    text: str
    colour: str
    mark: Literal["box", "line", "dashed"]
    left: float = 0.0
    line: int = 0


@dataclass(frozen=True)
class Page:
    """A drawing with its words and their places, in inches, y downwards.

    Attributes:
        drawing: Boxes, rows and connections.
        title: The model's name or what stands for it.
        plan: Lines below it: plan, norms that it leaves out, number of parameters.
        key: The colours that occur.
        left: Where the drawing's x = 0 is.
        top: Where the drawing's y = 0 is.
        width: Of the whole page.
        height: Of the whole page.
    """

    drawing: Drawing
    title: str
    plan: tuple[str, ...]
    key: tuple[KeyEntry, ...]
    left: float
    top: float
    width: float
    height: float


def page_of(graph: Graph, title: str | None = None) -> Page:
    """The page of a network's picture."""
    drawing = drawing_of(graph)
    left = 2.2 * EDGE + max((_label_width(row) for row in drawing.rows), default=0.0)
    width = max(LEAST_WIDTH, left + drawing.width + RIGHT)
    plan = tuple(_plan_lines(graph, drawing.plan, width - 2 * EDGE))
    key = _placed(list(_key(drawing)), width - 2 * EDGE)
    lines = len(plan) + max((entry.line + 1 for entry in key), default=0)
    top = EDGE + 0.3 + _LINE * lines + 0.14
    foot = FOOT if drawing.regions else EDGE
    height = top + drawing.height + foot
    shown = graph.name if title is None else title
    return Page(drawing, shown, plan, key, left, top, width, height)


def _label_width(row: Row) -> float:
    resolution = text_width(row.label.resolution, ROW_POINTS + 1.5)
    return max(0.55, resolution, text_width(row.label.size, ROW_POINTS - 1))


def _plan_lines(graph: Graph, plan: NormPlan, room: float) -> Iterator[str]:
    said = f"plan: {plan}"
    if plan.residue:
        norms = "normalization" if len(plan.residue) == 1 else "normalizations"
        said += f"  (and {len(plan.residue)} {norms} outside any plan)"
    parameters = total_parameters(graph)
    count = "parameters unknown" if parameters is None else f"{parameters.total:,} parameters"
    both = f"{said}   ·   {count}"
    if text_width(both, PLAN_POINTS) <= room:
        yield both
        return
    yield from wrap(said.replace(",", ", "), int(room / text_width("n", PLAN_POINTS)))
    yield count


def _key(drawing: Drawing) -> Iterator[KeyEntry]:
    kinds = Counter(box.part.kind for box in drawing.boxes if box.part.name == "norm")
    for kind in (*KINDS, None):
        if kinds[kind]:
            name = kind or "other normalization"
            yield KeyEntry(f"{name} ({kinds[kind]})", colour_of(kind), "box")
    skips = {wire.skip.kind for wire in drawing.wires if wire.skip}
    for kind in (*KINDS, "other"):
        if kind in skips:
            yield KeyEntry(f"skip, {kind}-normalized", colour_of(kind), "line")
    if None in skips:
        yield KeyEntry("skip, un-normalized", RAW_SKIP, "dashed")
    if not drawing.sizes.bar_text:
        parts = {box.part.name for box in drawing.boxes}
        for name, words in _PART_WORDS.items():
            if name in parts:
                yield KeyEntry(words, PART_COLOURS[name], "box")


def _placed(entries: Sequence[KeyEntry], room: float) -> tuple[KeyEntry, ...]:
    placed: list[KeyEntry] = []
    left, line = 0.0, 0
    for entry in entries:
        width = 0.38 + text_width(entry.text, KEY_POINTS) + 0.2
        if left and left + width > room:
            left, line = 0.0, line + 1
        placed.append(KeyEntry(entry.text, entry.colour, entry.mark, left, line))
        left += width
    return tuple(placed)

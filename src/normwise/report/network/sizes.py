"""Sizes of the boxes in a network drawing, in inches, from roomy to tiny."""

import re
from dataclasses import dataclass

from normwise.report.network.parts import Part

POINTS = 72.0
TRACK = 0.17
"""From one connection above a row to the next."""
LANE_GAP = 0.14
"""Between the boxes of parallel branches."""
ROW_PAD = 0.15
"""Between the boxes of a row and the row's edges."""

_NORM_SHARE = 1.1
_NARROW, _WIDE = frozenset("fijlrt.,:;'|I ()[]/-"), frozenset("mwMW@%")


@dataclass(frozen=True)
class Sizes:
    """A scale of drawing.

    Attributes:
        text: Points of the words on linear layers and inputs.
        bar_text: Points of the words inside bars; 0 leaves them out.
        line: Characters a line before a linear layer's name is wrapped; 0 turns it upright.
        linear: Least width of a linear layer.
        bar: Width of a normalization.
        slim: Width of an activation and of all other bars.
        height: Height of a linear layer.
        gap: Between blocks.
        tight: Between a linear layer and the norm or activation that follows it.
    """

    text: float
    bar_text: float
    line: int
    linear: float
    bar: float
    slim: float
    height: float
    gap: float
    tight: float

    @property
    def tallest(self) -> float:
        """Height of a normalization, the tallest box."""
        return self.height * _NORM_SHARE

    def width(self, part: Part) -> float:
        """Width of a call's box."""
        if part.name == "norm":
            return self.bar
        if part.name == "merge":
            return self.slim * (1 + 0.4 * max(0, part.inputs - 2))
        if part.name != "linear":
            return self.slim
        strip = self.slim if part.fused else 0.0
        if not self.line:
            return self.linear + strip
        words = [text_width(line, self.text) for line in self.lines(part)]
        return max(self.linear, max(words) + 0.12) + strip

    def tallness(self, part: Part) -> float:
        """Height of a call's box; normalizations stand out."""
        shares = {"norm": _NORM_SHARE, "linear": 1.0, "input": 0.9, "merge": 0.72}
        return self.height * shares.get(part.name, 0.78)

    def lines(self, part: Part) -> tuple[str, ...]:
        """The words on a linear layer, line by line."""
        name = wrapped(part.words, self.line) if self.line else (part.words,)
        return (*name, part.channels) if part.channels else name

    def space(self, before: Part, after: Part) -> float:
        """Between two boxes, the second reading the first."""
        belongs = after.name in ("norm", "activation") and before.name in ("linear", "norm")
        return self.tight if belongs else self.gap


ROOMY = Sizes(7.0, 6.5, 10, 0.46, 0.2, 0.15, 0.86, 0.13, 0.03)
COMPACT = Sizes(6.5, 6.5, 0, 0.3, 0.17, 0.14, 1.22, 0.1, 0.02)
SMALL = Sizes(5.0, 5.0, 0, 0.23, 0.13, 0.1, 0.98, 0.07, 0.015)
TINY = Sizes(0.0, 0.0, 0, 0.09, 0.06, 0.04, 0.5, 0.03, 0.01)


def text_width(text: str, points: float) -> float:
    """About how wide a text is in DejaVu Sans, in inches."""
    ems = sum(0.36 if c in _NARROW else 0.92 if c in _WIDE else 0.63 for c in text)
    return ems * points / POINTS


def wrapped(text: str, limit: int) -> tuple[str, ...]:
    """A layer's name in lines of at most `limit` characters, broken behind `_`, `/`, `-` and `.`

    A piece that is longer keeps a line for itself.
    """
    lines = [""]
    for piece in re.findall(r"[^_/.\-]*[_/.\-]+|[^_/.\-]+", text):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip("_")) > limit:
            lines.append("")
        lines[-1] += piece
    return tuple(line.rstrip("_") or line for line in lines)


def shortened(text: str, points: float, room: float) -> str:
    """The text, cut with an ellipsis where it is wider than `room` inches."""
    if text_width(text, points) <= room:
        return text
    while text and text_width(f"{text}…", points) > room:
        text = text[:-1]
    return f"{text}…" if text else ""

"""What the geometry of a network drawing consists of.

Lengths are inches; x grows to the right and y downwards.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from normwise.graph.regions import Layout
from normwise.norms.plan import NormPlan
from normwise.report.network.parts import Part
from normwise.report.network.rows import RowLabel
from normwise.report.network.sizes import Sizes
from normwise.report.network.skips import Skip

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """One call's box: `part` says what it shows, `left` and `top` where."""

    node: int
    name: str
    part: Part
    region: str
    row: int
    lane: int
    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Right end."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Lower end."""
        return self.top + self.height

    @property
    def centre(self) -> Point:
        """The middle of the box."""
        return self.left + self.width / 2, self.top + self.height / 2


@dataclass(frozen=True)
class Row:
    """A band of one resolution; `middle` is the height of its first lane's boxes."""

    label: RowLabel
    top: float
    bottom: float
    middle: float


@dataclass(frozen=True)
class Wire:
    """A connection: its corners from source to target, and the skip that it is, if any."""

    source: int
    target: int
    points: tuple[Point, ...]
    skip: Skip | None


@dataclass(frozen=True)
class Drawing:
    """Everything that a picture of a network shows, each thing with its place.

    Attributes:
        layout: The network, nested models opened.
        plan: Its norm plan.
        sizes: The scale of drawing.
        folded: Whether every row begins at the left again.
        boxes: One for each node, in order.
        rows: Bands of one resolution, the finest first.
        wires: The connections.
        regions: Left and right end of each region; empty where they can't be told apart.
        width: Of the boxes, from x = 0.
        height: Of the rows, from y = 0.
    """

    layout: Layout
    plan: NormPlan
    sizes: Sizes
    folded: bool
    boxes: tuple[Box, ...]
    rows: tuple[Row, ...]
    wires: tuple[Wire, ...]
    regions: Mapping[str, tuple[float, float]]
    width: float
    height: float

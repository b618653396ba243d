"""What the page of a comparison shows, as plain values; it judges nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from normwise.report.page.facts import Cell, Row

STOPPED: Final = (
    "No final numbers: what stands here was measured on the way, at a learning rate that hadn't "
    "come down, and can't be compared with the numbers of variants that were trained to the end."
)


@dataclass(frozen=True)
class Table:
    """Columns with their meaning, and a row for each variant.

    Attributes:
        head: Name and meaning of each column.
        rows: By letter of the variant.
    """

    head: tuple[tuple[str, str], ...]
    rows: Mapping[str, tuple[Cell, ...]]


@dataclass(frozen=True)
class Curve:
    """How a variant's metric went: epochs, and over its trials the mean, least and greatest."""

    letter: str
    epochs: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Gap:
    """The paired difference of two variants, first minus second.

    Attributes:
        letters: Of both.
        names: Of both.
        mean: Of the differences.
        interval: 95 % for the mean; NaN where there is none.
        values: The differences themselves.
        adjusted: p, adjusted for all comparisons; NaN where it can't be judged.
        effect: In standard deviations of the differences.
        verdict: In words.
        decided: Whether it is beyond chance.
    """

    letters: tuple[str, str]
    names: tuple[str, str]
    mean: float
    interval: tuple[float, float]
    values: tuple[float, ...]
    adjusted: float
    effect: float
    verdict: str
    decided: bool


@dataclass(frozen=True)
class Point:
    """What a variant costs and gives, and whether no other beats it in both."""

    letter: str
    cost: float
    quality: float
    on_front: bool


@dataclass(frozen=True)
class Drawing:
    """The network of a variant, as SVG."""

    letter: str
    name: str
    svg: str = field(repr=False)


@dataclass(frozen=True)
class Facts:
    """All that stands on the page.

    Attributes:
        title: The data and the metric.
        answer: The answer in a paragraph.
        variants: From letter to name, in the order of the colours.
        table: What each variant reaches and costs.
        measured: What its trained networks are like.
        stopped: Variants that were stopped early, a row by name; None without any.
        metric: What is compared, such as `IoU of test images, higher is better`.
        lower_is_better: Whether it is an error.
        curve_metric: What the curves show.
        curves: How training went.
        gaps: All paired differences.
        better: What a positive and a negative difference speak for, in this order.
        intervals: How the intervals were made and corrected.
        points: Quality and cost.
        axes: What the points show: cost and quality.
        examples: Pictures by row: what each row shows, and its pictures.
        drawings: The networks.
        equal: What was held equal.
        limits: What the numbers can't say.
        command: Repeats the comparison.
        versions: Versions and fingerprints by name.
    """

    title: str
    answer: str
    variants: Mapping[str, str]
    table: Table
    measured: Table
    metric: str
    lower_is_better: bool
    curve_metric: str
    curves: tuple[Curve, ...]
    gaps: tuple[Gap, ...]
    better: tuple[str, str]
    intervals: str
    points: tuple[Point, ...]
    axes: tuple[str, str]
    examples: tuple[Row, ...]
    drawings: tuple[Drawing, ...]
    equal: tuple[str, ...]
    limits: tuple[str, ...]
    command: str
    versions: Mapping[str, str]
    stopped: Table | None = None

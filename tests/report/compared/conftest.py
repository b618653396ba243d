"""A page of a comparison that nobody made."""

import math

import numpy as np
import pytest

from normwise.report.compared.facts import Curve, Drawing, Facts, Gap, Point, Table
from normwise.report.page.facts import Cell, Tile
from normwise.report.page.numbers import MISSING
from normwise.report.page.pictures import image_png, wrong_png

NAN = math.nan


def curve(letter, *values):
    epochs = tuple(float(number + 1) for number in range(len(values)))
    low, high = (tuple(v + d for v in values) for d in (-0.02, 0.02))
    return Curve(letter, epochs, values, low, high)


@pytest.fixture
def facts():
    ok = np.ones((8, 8), bool)
    tile = Tile("input", image_png(np.random.default_rng(0).normal(size=(8, 8, 3))), "red")
    other = Tile("A: errors", wrong_png(ok.astype(int), ok.astype(int), ok))
    gap = Gap(("A", "B"), ("a", "b"), 0.05, (0.01, 0.09), (0.04, 0.06), 0.03, 1.2, "better", True)
    none = Gap(("A", "C"), ("a", "c"), NAN, (NAN, NAN), (), NAN, NAN, "nothing", False)
    cells = (Cell("0.71 ± 0.01", 0.71), Cell("none", 0))
    return Facts(
        title="3 variants on <rivers>",
        answer="“A” is best & “B” isn't.",
        variants={"A": "batch@skip", "B": "<script>alert(1)</script>", "C": "a|b"},
        table=Table(
            (("iou", "mean"), ("findings", "of check")),
            {"A": cells, "B": (Cell("0.62", 0.62), cells[1]), "C": (Cell(MISSING, NAN), Cell("x"))},
        ),
        measured=Table(
            (("modes", "how far"),), {k: (Cell(f"0.{n}", n),) for n, k in enumerate("ABC")}
        ),
        metric="iou of test images, higher is better",
        lower_is_better=False,
        curve_metric="validation iou",
        curves=(curve("A", -40.0, 0.5, 0.6, 0.7), curve("B", 0.2, 0.4, 0.5, 0.6), curve("C")),
        gaps=(gap, none),
        better=("the first is better", "the second is better"),
        intervals="By the t-distribution.",
        points=(
            Point("A", 10.0, 0.7, True),
            Point("B", 5.0, 0.6, True),
            Point("C", NAN, NAN, False),
        ),
        axes=("seconds", "mean iou"),
        examples=(("scene1", (tile, other)),),
        drawings=(Drawing("A", "batch@skip", "<svg viewBox='0 0 9 9'></svg>"),),
        equal=("Seeds 0 to 2.",),
        limits=("One split.",),
        command="normwise compare rivers --norm 'batch@skip'",
        versions={"keras": "3.15"},
    )

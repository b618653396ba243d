"""The page of a comparison: complete, by itself, and safe against names from outside."""

import math
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from normwise.report.compared.charts import (
    curves_chart,
    gaps_chart,
    letter_of,
    place,
    points_chart,
)
from normwise.report.compared.facts import Curve, Point, Table
from normwise.report.compared.markdown import markdown_page
from normwise.report.compared.page import html_page
from normwise.report.page.axis import axis_of, written
from normwise.report.page.chart import FOOT, HEIGHT, TOP, Line, lines_chart
from normwise.report.page.facts import Cell
from normwise.report.page.numbers import MINUS, MISSING
from normwise.report.page.pictures import (
    classes_png,
    error_png,
    image_png,
    values_png,
    wrong_png,
)
from normwise.report.preview import Meaning
from tests.report.tags import text_of

NAN = math.nan


def test_what_was_stopped_early_stands_apart(facts):
    rows = {"<b>none</b>": (Cell("500 of 1,000 steps", 500), Cell("0.4", 0.4))}
    shown = replace(facts, stopped=Table((("stopped after", "of all"), ("iou", "mean")), rows))
    page, text = html_page(shown), markdown_page(shown)
    text_of(page, loaded=3)
    for told in ("Stopped early", "500 of 1,000 steps", "No final numbers"):
        assert told in page
        assert told in text
        assert told not in html_page(facts) + markdown_page(facts)
    assert "<b>none</b>" not in page


def test_the_page_is_whole_and_asks_no_server(facts):
    page = html_page(facts)
    text = text_of(page, loaded=3)
    for part in (facts.answer, "Seeds 0 to 2.", facts.command, "One split.", "scene1", "+0.01 to"):
        assert part in text


def test_long_names_break_in_headings_answers_and_lists(facts):
    """A plan has no spaces; the browser, where there is one, measures what comes of the rule."""
    assert re.search(r"^h1, \.answer, li \{ overflow-wrap: anywhere; \}$", html_page(facts), re.M)


def test_the_chart_of_an_error_says_that_low_is_good(facts):
    assert "Up and left is better" in html_page(facts)
    page = html_page(replace(facts, metric="rmse", lower_is_better=True))
    assert "Down and left is better" in page
    assert "Up and left" not in page


def test_the_table_tells_the_script_what_to_sort_by(facts):
    page = html_page(facts)
    assert page.count("<button>") == 3 + 2
    assert 'data-sorts="0.71"' in page
    assert page.count('data-sorts=""') == 2, "NaN and None go last"


def test_charts_are_well_formed_and_show_each_variant(facts):
    drawn = [
        curves_chart(facts.curves, "iou"),
        gaps_chart(facts.gaps, "iou", facts.better),
        points_chart(facts.points, facts.axes),
    ]
    roots = [ElementTree.fromstring(chart) for chart in drawn]
    assert len(roots[0].findall(".//polyline")) == 2
    assert len(roots[0].findall(".//polygon")) == 2
    assert len(roots[1].findall(".//line[@class='interval decided']")) == 1
    assert len(roots[2].findall(".//circle")) == 2
    assert not any("nan" in chart.lower() for chart in drawn)


def test_an_epoch_that_was_far_off_does_not_flatten_the_curves(facts):
    root = ElementTree.fromstring(curves_chart(facts.curves, "iou"))
    ends = [float(line.get("points").split()[-1].split(",")[1]) for line in root.iter("polyline")]
    assert abs(ends[0] - ends[1]) > 50


@pytest.mark.parametrize(("count", "room"), [(8, 16), (40, 260 / 39)])
@pytest.mark.parametrize("end", [0.1, 0.9])
def test_names_of_lines_that_end_together_stay_in_the_chart_apart(count, room, end):
    lines = [Line(f"c{i % 8}", (1.0, 2.0), (1.0 - end, end), f"V{i}") for i in range(count)]
    root = ElementTree.fromstring(lines_chart(lines, ("epoch", "iou"), "many"))
    names = [one for one in root.iter() if "name" in one.get("class", "").split()]
    tops = [float(one.get("y")) for one in names]
    assert [one.text for one in names] == [line.name for line in lines]
    assert all(TOP + 5 <= top <= HEIGHT - FOOT + 5 for top in tops), tops
    assert np.diff(tops) == pytest.approx(room, abs=0.11)


def test_charts_of_little(facts):
    for curves in (
        (),
        (Curve("A", (1.0,), (0.5,), (0.4,), (0.6,)),),
        (Curve("A", (), (), (), ()),),
    ):
        ElementTree.fromstring(curves_chart(curves, "iou"))
    ElementTree.fromstring(points_chart((Point("A", 1.0, 0.5, True),), facts.axes))
    ElementTree.fromstring(points_chart((), facts.axes))
    html_page(replace(facts, gaps=(), examples=(), drawings=(), curves=()))


def test_markdown_says_the_same(facts):
    text = markdown_page(facts)
    assert "| A | `batch@skip` | 0.71 ± 0.01 | none |" in text
    assert r"`a\|b`" in text
    assert f"| A {MINUS} B | +0.05 | +0.01 to +0.09 | 1.20 | 0.03 | better |" in text
    assert f"| A {MINUS} C | {' | '.join([MISSING] * 4)} | nothing |" in text
    assert facts.answer in text
    assert "| B | `<script>alert(1)</script>` | 0.1 |" in text


def test_letters():
    names = [letter_of(number) for number in range(60)]
    assert names[:2] == ["A", "B"]
    assert names[25:28] == ["Z", "AA", "AB"]
    assert [place(name) for name in names] == list(range(60))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (-2.0, 2.0, ["-2", "-1", "0", "1", "2"]),
        (0.0, 9000.0, ["0", "2,000", "4,000", "6,000", "8,000"]),
        (0.70, 0.712, ["0.700", "0.702", "0.704", "0.706", "0.708", "0.710", "0.712"]),
    ],
)
def test_axes_have_round_numbers(low, high, expected):
    axis = axis_of([low, high, math.nan], 0, 100, room=0.0)
    assert written(axis.ticks()) == expected


def test_an_axis_of_one_value_has_a_range():
    axis = axis_of([5.0], 0, 100)
    assert axis.low < 5.0 < axis.high
    assert axis_of([], 0, 100).ticks()


def test_pictures_are_png():
    rng = np.random.default_rng(0)
    truth, valid = rng.integers(0, 2, (5, 7)), rng.random((5, 7)) > 0.2
    values = rng.normal(size=(5, 7))
    meaning = Meaning(classes=("land", "river"))
    for png in (
        classes_png(truth, valid, meaning),
        wrong_png(truth, 1 - truth, valid),
        values_png(values, valid, 0.0, 0.0),
        error_png(np.where(valid, values, np.nan), valid, 1.0),
        image_png(values[..., None]),
    ):
        assert png.startswith(b"\x89PNG")

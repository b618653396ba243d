"""The page of a run: complete, by itself, and safe against names from outside."""

import math
from dataclasses import replace

import numpy as np
import pytest

from normwise.report.page.facts import Tile
from normwise.report.page.pictures import image_png
from normwise.report.trained.facts import Choice, Course, Fault, RunFacts, Scores, Shown
from normwise.report.trained.page import html_page
from tests.report.browser import needs_browser, opened, seen
from tests.report.tags import text_of

NAN = math.nan


@pytest.fixture
def facts():
    tile = Tile("input", image_png(np.random.default_rng(0).normal(size=(8, 8, 3))), "red")
    scores = Scores(
        title="2 test images",
        note="Over all 1,000 pixels.",
        head=("class", "iou", "dice"),
        rows=(("land", "0.9", "0.95"), ("<b>river</b>", "0.5", "-")),
        foot=(("mean", "0.7", "0.95"), ("simplest answer: land everywhere", "0.45", "-")),
        confusion={"land": (0.9, 0.1), "<b>river</b>": (NAN, NAN)},
    )
    epochs, loss = (1.0, 2.0, 3.0), (40.0, 0.5, 0.4)
    return RunFacts(
        title="unet on <rivers>",
        plan="batch@skip",
        answer="It reaches iou 0.5 & more. `normwise <x>` goes on.",
        troubled=False,
        scores=(scores,),
        course=Course("dice", "iou", epochs, loss, (NAN, 0.6, 0.5), (0.1, 0.4, 0.5), 3, "3 s."),
        shown=Shown((("scene1", (tile,)),), "The first test images.", (("<i>", "#0072b2"),)),
        network='<svg viewBox="0 0 9 9"></svg>',
        faults=(
            Fault("warning", "NW109 unnormalized-skip", ("a", "b"), "What.", "Why.", "Mend it."),
        ),
        choices=(Choice("training.epochs", "3", "3 <epochs> take a minute"),),
        recipe="data:\n  path: <rivers>\n",
        command="normwise train rivers -o 'runs/first'",
        versions={"keras": "3.15"},
    )


def test_the_page_is_whole_and_asks_no_server(facts):
    page = html_page(facts)
    text = text_of(page, loaded=2)
    for part in (
        facts.title, "It reaches iou 0.5 & more.", "normwise <x>", "2 test images", "<b>river</b>",
        "simplest answer",
        "NW109 unnormalized-skip", "Mend it.", "3 <epochs> take a minute", "  path: <rivers>",
        facts.command, "The first test images.", "Marked: epoch 3", "90.0%", "<i>",
    ):  # fmt: skip
        assert part in text, part
    assert page.count('class="chart"') == 2
    assert 'class="answer"' in page
    assert "<code>normwise &lt;x&gt;</code> goes on." in page


def test_a_page_of_little(facts):
    course = Course("dice", "iou", (), (), (), (), 0, "")
    page = html_page(
        replace(facts, troubled=True, scores=(), course=course, shown=None, faults=(), network="")
    )
    assert 'class="answer troubled"' in page
    assert 'class="chart"' not in page
    assert "no rule has anything to say" in page
    once = replace(course, epochs=(1.0,), training=(NAN,), validation=(0.5,), values=(NAN,))
    assert html_page(replace(facts, course=once)).count('class="chart"') == 2


@needs_browser
def test_the_page_in_a_browser(facts, tmp_path):
    path = opened(html_page(facts), tmp_path)
    phone = seen(path, "--window-size=390,800", "--blink-settings=preferredColorScheme=0")
    assert phone["problems"] == []
    assert phone["loaded"]
    assert phone["asked"] == 0
    assert phone["page"] <= phone["window"] <= 500
    assert len(phone["charts"]) == 2
    assert all(width > 250 and height > 100 for width, height in phone["charts"])

"""The pages in docs/rules are those of the rules."""

from pathlib import Path

import pytest

from normwise.rules import BY_NAME, RULES
from normwise.rules.markdown import markdown
from normwise.rules.page import HEADINGS, Page
from tools.make_rule_pages import pages

ROOT = Path(__file__).parents[2]


def test_the_pages_are_up_to_date():
    expected = pages()
    for path, text in expected.items():
        assert (ROOT / path).read_text() == text, f"{path}: run python tools/make_rule_pages.py"
    assert {p.name for p in (ROOT / "docs/rules").iterdir()} == {p.name for p in expected}


def test_a_page_says_what_its_examples_show():
    text = markdown(BY_NAME["wrong-axis"])
    assert text.startswith("# wrong-axis (NW101)\n\n**error**")
    for heading in (*HEADINGS, "Reported", "Not reported"):
        assert f"\n## {heading}\n" in text
    assert "- A batch norm with `axis=1` after a channels-last convolution." in text


def test_the_index_names_every_rule():
    index = pages()[Path("docs/rules/README.md")]
    assert all(f"[{rule.name}]({rule.name}.md)" in index for rule in RULES)


def test_the_first_sentence_says_why():
    document = "T.\n" + "".join(f"\n## {h}\nOne, e.g. 1.5 of\nit. Two.\n" for h in HEADINGS)
    assert Page.of(document).why == "One, e.g. 1.5 of it."
    with pytest.raises(ValueError, match="headings"):
        Page.of("T.\n\n## What it does\nx\n")

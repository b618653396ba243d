"""`normwise explain`: pages for people and for other programs."""

import json

import pytest

from normwise.rules import BY_NAME, RULES
from normwise.rules.page import HEADINGS
from tests.commands import normwise


def told(*words):
    done = normwise("explain", *words, "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_all_rules_as_json():
    listed = told()
    assert [one["code"] for one in listed] == [rule.code for rule in RULES]
    rule = BY_NAME["tile-mismatch"]
    assert listed[RULES.index(rule)] == {
        "code": "NW304",
        "name": "tile-mismatch",
        "severity": str(rule.severity),
        "title": rule.page.title,
        "needs_data": True,
    }


@pytest.mark.parametrize("word", ["wrong-axis", "NW101"])
def test_the_page_of_a_rule_as_json(word):
    page = told(word)
    sections = page.pop("sections")
    assert page == told()[0] and page["code"] == "NW101"
    assert [*sections] == [*HEADINGS, "Automatic fix", "Reported", "Not reported"]
    assert sections["Evidence"] == BY_NAME["wrong-axis"].page.section("Evidence")
    assert all(sections.values())


def test_the_answer_as_json():
    answer = told("question")
    assert answer["name"] == "question" and answer["title"] == "The question, point by point"
    assert answer["introduction"].startswith("*How do I include batch normalization")
    assert [heading.partition(". ")[0] for heading in answer["sections"]] == [
        str(number) for number in range(1, len(answer["sections"]) + 1)
    ]


def test_an_unknown_rule_prints_nothing():
    done = normwise("explain", "wrong-axs", "--format", "json")
    assert done.returncode == 2 and not done.stdout and "wrong-axis" in done.stderr


def test_all_rules_as_text():
    text = normwise("explain").stdout
    assert all(rule.code in text and rule.name in text for rule in RULES)

"""What the rules say about themselves, and the answer to the question that all began with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from normwise.rules import RULES
from normwise.rules.catalogue import named
from normwise.rules.markdown import markdown

if TYPE_CHECKING:
    from normwise.rules import Rule

_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)


def all_rules() -> Sequence[Rule]:
    """Every rule, in the order of the codes."""
    return RULES


QUESTION = "question"


def page_of(rule: str) -> str:
    """The page of a rule as Markdown, or the answer to the question.

    Args:
        rule: Its name or code, or `"question"`, in capitals or not.

    Raises:
        CheckError: There is no such rule.
    """
    if _is_question(rule):
        from normwise.workflows.question import answer  # noqa: PLC0415 - reads a network

        return answer()
    return markdown(named(rule, (QUESTION,)))


def facts_of(rule: Rule) -> dict[str, Any]:
    """What a list of all rules says of one, for JSON."""
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": str(rule.severity),
        "title": rule.page.title,
        "needs_data": rule.needs_data,
    }


def parts_of(rule: str) -> dict[str, Any]:
    """The same page in its parts, for JSON.

    Args:
        rule: As for `page_of`.

    Returns:
        What the list says of the rule and `sections`, the text below each heading; of the question
        name, title, `introduction` and `sections`.

    Raises:
        CheckError: There is no such rule.
    """
    head, *rest = _HEADING.split(page_of(rule))
    texts = (text.strip() for text in rest[1::2])
    sections = dict(zip(rest[::2], texts, strict=True))
    if not _is_question(rule):
        return {**facts_of(named(rule)), "sections": sections}
    title, _, introduction = head.strip().partition("\n\n")
    about = {"name": QUESTION, "title": title.removeprefix("# "), "introduction": introduction}
    return {**about, "sections": sections}


def _is_question(rule: str) -> bool:
    return rule.strip().lower() == QUESTION

"""What the rules say about themselves, and the answer to the question that all began with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from normwise.rules import RULES
from normwise.rules.catalogue import named
from normwise.rules.markdown import markdown

if TYPE_CHECKING:
    from normwise.rules import Rule


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
    if rule.strip().lower() == QUESTION:
        from normwise.workflows.question import answer  # noqa: PLC0415 - reads a network

        return answer()
    return markdown(named(rule, (QUESTION,)))

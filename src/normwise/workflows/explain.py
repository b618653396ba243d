"""What the rules say about themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from normwise.rules import RULES
from normwise.rules.allowing import Allowance
from normwise.rules.page import markdown

if TYPE_CHECKING:
    from normwise.rules import Rule


def all_rules() -> Sequence[Rule]:
    """Every rule, in the order of the codes."""
    return RULES


def page_of(rule: str) -> str:
    """The page of a rule as Markdown.

    Args:
        rule: Its name or code.

    Raises:
        CheckError: There is no such rule.
    """
    named = Allowance(rule).rule
    return markdown(next(each for each in RULES if named in (each.name, each.code)))

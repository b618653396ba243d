"""All rules, and looking at a network through them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType

from normwise.errors import CheckError
from normwise.rules import export, measured, structure, training
from normwise.rules.context import Context
from normwise.rules.report import Report
from normwise.rules.rule import Rule

RULES: tuple[Rule, ...] = tuple(
    sorted(
        (*structure.RULES, *training.RULES, *measured.RULES, *export.RULES),
        key=lambda rule: rule.code,
    )
)
"""Every rule, in the order of the codes."""

BY_NAME: Mapping[str, Rule] = MappingProxyType({rule.name: rule for rule in RULES})
"""Every rule by its name."""

_LIKE = 0.6
"""Share of letters from which on a word is taken for another one that was mistyped."""


def named(word: str, others: Sequence[str] = ()) -> Rule:
    """The rule of a name or a code, in capitals or not.

    Args:
        word: What a person wrote.
        others: What else could have been meant where it was written.

    Raises:
        CheckError: There is no such rule; the nearest names are said.
    """
    wanted = word.strip().lower()
    for rule in RULES:
        if wanted in (rule.name, rule.code.lower()):
            return rule
    near = _near(wanted, others)
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    raise CheckError(f"there is no rule {word!r}.{meant} `normwise explain` lists all rules.")


def _near(wanted: str, others: Sequence[str]) -> list[str]:
    """The name that looks most alike, else the few that hold a part of the word."""
    names = [*others, *BY_NAME]
    word = wanted.replace("_", "-").replace(" ", "-")
    parts = {part for part in word.split("-") if len(part) > 2}
    holding = [name for name in names if parts & set(name.split("-"))]
    return get_close_matches(word, names, 1, _LIKE) or holding[:3]


def check(context: Context, rules: Sequence[Rule] = RULES) -> Report:
    """What the rules find in a network.

    Args:
        context: The network, with what else is known.
        rules: The rules to apply.
    """
    findings = [finding for rule in rules for finding in rule.check(context)]
    return Report.of(context.model.name, context.model.source, findings, context.unread)

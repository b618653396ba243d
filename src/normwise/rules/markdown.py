"""A rule's page as Markdown: its text, and what its examples show."""

from __future__ import annotations

import inspect

from normwise.rules.rule import Example, Finding, Rule


def markdown(rule: Rule) -> str:
    """The page of a rule as Markdown, with the examples that its tests run."""
    needs = " · needs data (`--data`)" if rule.needs_data else ""
    title = f"**{rule.severity}**{needs} · {rule.page.title}"
    lines = [f"# {rule.name} ({rule.code})", "", title, ""]
    for heading, text in rule.page.sections:
        lines += [f"## {heading}", text, ""]
    lines += ["## Automatic fix", _automatic(rule), ""]
    lines += ["## Reported", *(_said(i.example) for i in rule.invalid), ""]
    lines += ["## Not reported", *(_said(example) for example in rule.valid), ""]
    return "\n".join(lines)


_MADE = {
    "safe": "`normwise check MODEL --fix -o OUT` makes it; that the outputs stay is verified.",
    "unsafe": "`normwise check MODEL --fix unsafe -o OUT` makes it; train the model again then.",
}


def levels_of(rule: Rule) -> list[str]:
    """What `--fix` has to be told to make the fix, `safe`, `unsafe` or both, as examples show."""
    levels = {finding.mended_by for finding in _reported(rule)}
    return [level for level in _MADE if level in levels]


def _reported(rule: Rule) -> list[Finding]:
    return [f for invalid in rule.invalid for f in rule.check(invalid.example())]


def _automatic(rule: Rule) -> str:
    """Whether `--fix` makes the fix, as the examples show."""
    found = _reported(rule)
    lines = [_MADE[level] for level in levels_of(rule)]
    head = "Not everywhere" if lines else "Not made"
    reasons = dict.fromkeys(finding.by_hand for finding in found if finding.by_hand)
    told = [*lines, *(f"{head}: {reason}" for reason in reasons)]
    return "\n\n".join(told or ["Not made: what data show is mended by data or by training."])


def _said(example: Example) -> str:
    return f"- {' '.join(inspect.cleandoc(example.__doc__ or '').split())}"

"""A rule's page: the docstring of its file, taken apart, and written as Markdown."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from normwise.rules.rule import Example, Finding, Rule

HEADINGS = (
    "What it does",
    "Why is this bad",
    "Evidence",
    "Example",
    "Use instead",
    "Fix safety",
)
"""What every page has, in this order."""

_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_SENTENCE = re.compile(r"(.+?[.!?])(?=\s+[A-Z(`]|\s*$)", re.DOTALL)
_BULLET = re.compile(r"^- ", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """The text of a rule.

    Attributes:
        title: The first line.
        sections: The text below each heading, in order.
    """

    title: str
    sections: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, document: str) -> Page:
        """Takes a docstring apart.

        Raises:
            ValueError: It doesn't have exactly the headings that pages have.
        """
        title, *rest = _HEADING.split(inspect.cleandoc(document))
        found = tuple(zip(rest[::2], (part.strip() for part in rest[1::2]), strict=True))
        if tuple(heading for heading, _ in found) != HEADINGS:
            raise ValueError(f"a page has the headings {HEADINGS}, not {[h for h, _ in found]}")
        return cls(title.strip(), found)

    def section(self, heading: str) -> str:
        """The text below a heading."""
        return dict(self.sections)[heading]

    @property
    def why(self) -> str:
        """The first sentence below "Why is this bad"."""
        text = " ".join(self.section("Why is this bad").split())
        found = _SENTENCE.match(text)
        return found[1] if found else text

    @property
    def evidence(self) -> tuple[str, ...]:
        """The points below "Evidence"."""
        parts = _BULLET.split(self.section("Evidence"))
        return tuple(" ".join(part.split()) for part in parts if part.strip())


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

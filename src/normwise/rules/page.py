"""A rule's page: the docstring of its file, taken apart."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass

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

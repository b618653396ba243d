"""What a check found in one model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from normwise.norms.mends import Mend
from normwise.rules.rule import Finding, Severity
from normwise.rules.words import named


@dataclass(frozen=True)
class Report:
    """The findings in one model.

    Attributes:
        model: The model's name.
        source: The file or object it was read from.
        findings: The worst first, then by code and layers; each once.
        unread: Layers whose weights were too many to look at; rules that need them are silent.
    """

    model: str
    source: str
    findings: tuple[Finding, ...]
    unread: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, model: str, source: str, findings: Iterable[Finding], unread: Iterable[str] = ()
    ) -> Report:
        """A report with its findings in order."""
        once: dict[Finding, list[Finding]] = {}
        for found in findings:
            once.setdefault(found, []).append(found)
        ordered = sorted(
            (found if len(same) == 1 else _joined(same) for found, same in once.items()),
            key=lambda f: (f.severity.rank, f.code, f.layers, f.message),
        )
        return cls(model, source, tuple(ordered), tuple(unread))

    @property
    def worst(self) -> Severity | None:
        """The severity of the worst finding, None if there are none."""
        return self.findings[0].severity if self.findings else None

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of a severity and worse."""
        return tuple(f for f in self.findings if f.severity.rank <= severity.rank)

    @property
    def left_out(self) -> str:
        """What was not looked at, as a sentence; empty if all was."""
        if not self.unread:
            return ""
        return (
            f"The weights of {named(self.unread)} are too many to look at; rules that need them "
            "say nothing of it."
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "model": self.model,
            "source": self.source,
            "worst": str(self.worst) if self.worst else None,
            "findings": [finding.to_dict() for finding in self.findings],
            "unread": list(self.unread),
        }


def _joined(same: Sequence[Finding]) -> Finding:
    """Findings that say the same, of calls of one layer: what mends them is done at each of them.

    No edits if one of them has none.
    """
    mends: dict[Mend, None] = dict.fromkeys(mend for finding in same for mend in finding.mends)
    by_hand = next((finding.by_hand for finding in same if finding.by_hand), "")
    each = all(finding.mends for finding in same)
    return replace(same[0], mends=tuple(mends) if each else (), by_hand=by_hand)

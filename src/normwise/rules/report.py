"""What a check found in one model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from normwise.norms.mends import Mend
from normwise.rules.rule import Finding, Severity


@dataclass(frozen=True)
class Report:
    """The findings in one model.

    Attributes:
        model: The model's name.
        source: The file or object it was read from.
        findings: The worst first, then by code and layers; each once.
    """

    model: str
    source: str
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, model: str, source: str, findings: Iterable[Finding]) -> Report:
        """A report with its findings in order."""
        once: dict[Finding, Finding] = {}
        for found in findings:
            first = once.get(found)
            # Calls of one layer say the same; what mends them has to be done at each of them.
            once[found] = _joined(first, found) if first else found
        ordered = sorted(
            once.values(), key=lambda f: (f.severity.rank, f.code, f.layers, f.message)
        )
        return cls(model, source, tuple(ordered))

    @property
    def worst(self) -> Severity | None:
        """The severity of the worst finding, None if there are none."""
        return self.findings[0].severity if self.findings else None

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of a severity and worse."""
        return tuple(f for f in self.findings if f.severity.rank <= severity.rank)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "model": self.model,
            "source": self.source,
            "worst": str(self.worst) if self.worst else None,
            "findings": [finding.to_dict() for finding in self.findings],
        }


def _joined(one: Finding, two: Finding) -> Finding:
    """Two findings that say the same, with the edits of both; none if one of them has none."""
    both: tuple[Mend, ...] = (*one.mends, *two.mends) if one.mends and two.mends else ()
    by_hand = one.by_hand or two.by_hand
    return replace(one, mends=tuple(dict.fromkeys(both)), by_hand=by_hand)

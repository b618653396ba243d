"""What a change of a model brought about: findings that were not there before."""

from __future__ import annotations

from collections.abc import Mapping

from normwise.rules.report import Report
from normwise.rules.rule import Finding, Severity


def new_in(
    after: Report,
    before: Report,
    names: Mapping[str, str] | None = None,
    severity: Severity = Severity.WARNING,
) -> tuple[Finding, ...]:
    """The findings in a changed model that it didn't have before.

    A finding that concerns fewer layers than before, or that has become milder, is an old one.

    Args:
        after: The findings in the changed model.
        before: The findings in the model as it was.
        names: Layers that were called otherwise: from their names now to those before.
        severity: What is milder than this is left out.
    """
    called = names or {}
    known: dict[str, list[tuple[frozenset[str], Severity]]] = {}
    for old in before.findings:
        known.setdefault(old.name, []).append((frozenset(old.layers), old.severity))

    def is_old(finding: Finding) -> bool:
        layers = {called.get(layer, layer) for layer in finding.layers}
        return any(
            layers <= there and worst.rank <= finding.severity.rank
            for there, worst in known.get(finding.name, ())
        )

    return tuple(f for f in after.at_least(severity) if not is_old(f))

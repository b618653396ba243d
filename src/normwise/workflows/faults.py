"""What the rules of `check` object to in a rewritten model, told with the edits that brought it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from normwise.keras_format.reading import read_graph
from normwise.rules import Context, Severity
from normwise.rules import check as look

if TYPE_CHECKING:
    from normwise.rules import Finding
    from normwise.surgery.rewrite import Rewrite


def with_faults(source: Any, done: Rewrite) -> Rewrite:
    """The same rewrite, its report with the errors and warnings that the source didn't have.

    Args:
        source: The live model before.
        done: What was made of it. Each of its changes gets the findings that name its layer; what
            names none of them becomes a note.
    """
    if not done.report.changed:
        return done
    known = {(finding.name, finding.layers) for finding in _findings(source)}
    new = [f for f in _findings(done.model) if (f.name, f.layers) not in known]
    changed = tuple(
        replace(change, faults=tuple(_said(f) for f in new if change.layer in f.layers))
        for change in done.report.changed
    )
    layers = {change.layer for change in changed}
    notes = [_said(finding) for finding in new if layers.isdisjoint(finding.layers)]
    report = replace(done.report, changed=changed, notes=(*done.report.notes, *notes))
    return replace(done, report=report)


def _findings(model: Any) -> tuple[Finding, ...]:
    """Of the structure alone: new normalizations hold no statistics that could be judged."""
    return look(Context(read_graph(model))).at_least(Severity.WARNING)


def _said(finding: Finding) -> str:
    return f"{finding.severity} {finding.name} ({finding.code}): {finding.message}"

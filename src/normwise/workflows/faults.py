"""What the rules of `check` object to in a rewritten model, told with the edits that brought it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from normwise.keras_format.reading import read_graph
from normwise.rules import Context, Severity
from normwise.rules import check as look

if TYPE_CHECKING:
    from normwise.rules import Finding
    from normwise.surgery.rewrite import Change, Rewrite


def with_faults(source: Any, done: Rewrite) -> Rewrite:
    """The same rewrite, its report with the errors and warnings that the source didn't have.

    Args:
        source: The live model before.
        done: What was made of it. Each of its changes gets the findings that name its layer, or,
            where they name that of none, a layer that it is for; what names none of these becomes
            a note.
    """
    if not done.report.changed:
        return done
    known = {(finding.name, finding.layers) for finding in _findings(source)}
    new = [f for f in _findings(done.model) if (f.name, f.layers) not in known]
    edits = done.report.changed
    faults: list[list[str]] = [[] for _ in edits]
    notes = []
    for finding in new:
        meant = _meant(edits, finding)
        for place in meant:
            faults[place].append(_said(finding))
        notes += [] if meant else [_said(finding)]
    changed = tuple(replace(e, faults=tuple(f)) for e, f in zip(edits, faults, strict=True))
    report = replace(done.report, changed=changed, notes=(*done.report.notes, *notes))
    return replace(done, report=report)


def _meant(edits: Sequence[Change], finding: Finding) -> list[int]:
    """Which of the changes a finding is about."""
    named = [i for i, edit in enumerate(edits) if edit.layer in finding.layers]
    return named or [i for i, edit in enumerate(edits) if not edit.of.isdisjoint(finding.layers)]


def _findings(model: Any) -> tuple[Finding, ...]:
    """Of the structure alone: new normalizations hold no statistics that could be judged."""
    return look(Context(read_graph(model))).at_least(Severity.WARNING)


def _said(finding: Finding) -> str:
    return f"{finding.severity} {finding.name} ({finding.code}): {finding.message}"

"""What came of mending a model: what was mended, what was left and why, in one report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from normwise.norms.mends import names_in
from normwise.rules import Finding, Report

if TYPE_CHECKING:
    from normwise.surgery.rewrite import Change, RewriteReport

STALE = frozenset({"dropout-before-norm", "shared-batch-norm", "norm-before-pool"})
"""Rules whose fix keeps outputs, and leaves statistics that training would measure otherwise."""


@dataclass(frozen=True)
class Left:
    """A finding whose own fix was not made.

    Attributes:
        finding: The finding.
        reason: Why; or what ended it.
        ended: Whether it is gone all the same, because another fix removed its cause.
    """

    finding: Finding
    reason: str
    ended: bool = False


@dataclass(frozen=True)
class Fixed:
    """A mended model; the one it came from is as it was.

    Attributes:
        model: The mended model, not compiled; the source itself where nothing was mended.
        report: The edits, what they promise of the outputs, and what was left alone.
        mended: The findings that are gone because their fix was made.
        left: The others of the first check and of the last, each with the reason.
        after: What `check` finds now.
    """

    model: Any
    report: RewriteReport
    mended: tuple[Finding, ...]
    left: tuple[Left, ...]
    after: Report

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **self.report.to_dict(),
            "mended": [finding.to_dict() for finding in self.mended],
            "left": [
                {**one.finding.to_dict(), "reason": one.reason, "ended": one.ended}
                for one in self.left
            ],
        }


def ended_by(finding: Finding, mended: Sequence[Finding]) -> str:
    """What ended a finding whose own fix was not made: the fixes near it, if there are any."""
    layers = set(finding.layers)
    near = [f for f in mended if layers & {*f.layers, *touched(f)}]
    names = dict.fromkeys(f"{f.name} ({', '.join(f.layers[:3])})" for f in near[:2])
    if not names:
        return "ended: the other fixes together removed its cause"
    fixes = "fix" if len(names) == 1 else "fixes"
    return f"ended: the {fixes} of {' and '.join(names)} removed its cause"


def touched(finding: Finding) -> set[str]:
    """The calls and layers that the edits of a finding name."""
    return {name for mend in finding.mends for name in names_in(mend)}


def joined(
    reports: Sequence[RewriteReport], left: Sequence[Left], rules: set[str]
) -> RewriteReport:
    """One report of all stages."""
    from normwise.surgery.rewrite import Promise, RewriteReport, Skip  # noqa: PLC0415

    changed: dict[Change, None] = dict.fromkeys(c for r in reports for c in r.changed)
    kept = all(report.promise is not Promise.NOT_KEPT for report in reports)
    promise = Promise.KEPT if not reports else Promise.NOT_KEPT
    promise = Promise.KEPT_IN_INFERENCE if reports and kept else promise
    differences = [r.max_difference for r in reports if r.max_difference is not None]
    notes = dict.fromkeys(note for report in reports for note in report.notes)
    if rules & STALE:
        notes["statistics are as they were; `normwise recalibrate` measures them anew"] = None
    if not kept:
        notes["the model has to be trained again; compile it first"] = None
    skipped = tuple(
        Skip(", ".join(one.finding.layers), f"{one.finding.name}: {one.reason}") for one in left
    )
    difference = max(differences) if differences and kept else None
    return RewriteReport(promise, tuple(changed), skipped, difference, tuple(notes))

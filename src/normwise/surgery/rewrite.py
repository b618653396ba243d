"""What a rewrite hands back: the new model, and a report of what was done and what wasn't."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Promise(StrEnum):
    """What holds between the outputs of a model before and after a rewrite.

    The penalties in `model.losses` are no outputs: reports say where they change.
    """

    KEPT = "outputs kept"
    KEPT_IN_INFERENCE = "outputs kept in inference"
    NOT_KEPT = "outputs change"


@dataclass(frozen=True)
class Change:
    """An edit that was made.

    Attributes:
        layer: The layer that it made, changed or removed.
        action: What was done.
        faults: Errors and warnings of the rules of `check` that came with it, one line each.
        of: The layers that it is for, such as the convolution before a normalization.
    """

    layer: str
    action: str
    faults: tuple[str, ...] = ()
    of: frozenset[str] = field(default=frozenset(), compare=False)


@dataclass(frozen=True)
class Skip:
    """An edit that was wanted and not made, and why."""

    layer: str
    reason: str


@dataclass(frozen=True)
class RewriteReport:
    """What a rewrite did.

    Attributes:
        promise: What it promises of the outputs.
        changed: The edits, in the order of the network.
        skipped: What was left alone although it was asked for.
        max_difference: Largest difference of an output before and after, as a share of that
            output's largest value (of one of whole numbers: the share of those that differ), with
            randomized normalizations and random inputs; None where nothing is promised.
        notes: What else the reader should know, one line each.
    """

    promise: Promise
    changed: tuple[Change, ...] = ()
    skipped: tuple[Skip, ...] = ()
    max_difference: float | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "promise": str(self.promise),
            "changed": [
                {"layer": c.layer, "action": c.action, "faults": list(c.faults)}
                for c in self.changed
            ],
            "skipped": [{"layer": s.layer, "reason": s.reason} for s in self.skipped],
            "max_difference": self.max_difference,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Rewrite:
    """A rewritten model with its report; the source model is as it was.

    Attributes:
        model: The new model.
        report: What was done.
        names: Layers that are called otherwise: from their new names to those in the source.
    """

    model: Any
    report: RewriteReport
    names: Mapping[str, str] = field(default_factory=dict)

"""Findings that a team has looked at and allows, each by its rule and the layers concerned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

from normwise.errors import CheckError
from normwise.rules.catalogue import RULES
from normwise.rules.report import Report
from normwise.rules.rule import Finding

EVERYWHERE = "*"


@dataclass(frozen=True)
class Allowance:
    """An exception from a rule.

    Attributes:
        rule: The rule's name or its code.
        layers: A pattern of layer paths with `*` and `?`; a finding is allowed if each of its
            layers matches that of an exception from its rule.
        reason: Why it is allowed.

    Raises:
        CheckError: There is no such rule, or the pattern is empty.
    """

    rule: str
    layers: str = EVERYWHERE
    reason: str = ""

    def __post_init__(self) -> None:
        known = [word for rule in RULES for word in (rule.name, rule.code)]
        if self.rule not in known:
            near = get_close_matches(self.rule, known, 1)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise CheckError(
                f"there is no rule {self.rule!r}.{meant} `normwise explain` lists all rules."
            )
        if not self.layers.strip():
            raise CheckError(
                f"the layers of {self.rule} are {self.layers!r}; expected a pattern such as "
                "'audio_*', or no layers where the exception holds everywhere."
            )

    @classmethod
    def parse(cls, text: str) -> Allowance:
        """Reads `wrong-axis`, `NW101` or `wrong-axis:audio_*`.

        Raises:
            CheckError: There is no such rule, or no pattern behind the colon.
        """
        rule, colon, layers = text.partition(":")
        return cls(rule.strip(), layers.strip() if colon else EVERYWHERE)

    def covers(self, layer: str) -> bool:
        """Whether it holds for a layer; brackets in a name stand for themselves."""
        return fnmatchcase(layer, self.layers.replace("[", "[[]"))


def allowed(
    report: Report, allowances: Sequence[Allowance]
) -> tuple[Report, tuple[tuple[Finding, Allowance], ...]]:
    """Takes what is allowed out of a report.

    Several exceptions from a rule add up: a finding goes if each of its layers has one.

    Returns:
        The report without it, and each allowed finding with what allows it (its first layer, where
        several exceptions do).
    """
    taken = tuple(
        (finding, one) for finding in report.findings if (one := _of(finding, allowances))
    )
    gone = {id(finding) for finding, _ in taken}
    left = tuple(finding for finding in report.findings if id(finding) not in gone)
    return replace(report, findings=left), taken


def _of(finding: Finding, allowances: Iterable[Allowance]) -> Allowance | None:
    """What allows a finding; None if one of its layers isn't allowed."""
    of_rule = [one for one in allowances if one.rule in (finding.name, finding.code)]
    if not finding.layers:
        return next(iter(of_rule), None)
    each = [next((a for a in of_rule if a.covers(layer)), None) for layer in finding.layers]
    return each[0] if all(each) else None

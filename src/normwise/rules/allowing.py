"""Findings that a team has looked at and allows, each by its rule and the layers concerned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from normwise.errors import CheckError
from normwise.rules.catalogue import named
from normwise.rules.report import Report
from normwise.rules.rule import Finding

EVERYWHERE = "*"


@dataclass(frozen=True)
class Allowance:
    """An exception from a rule.

    Attributes:
        rule: The rule's name or its code, in capitals or not; it is kept as the name.
        layers: A pattern of layer paths with `*` and `?`.
        reason: Why it is allowed.

    Raises:
        CheckError: There is no such rule, or the pattern is empty.
    """

    rule: str
    layers: str = EVERYWHERE
    reason: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rule", named(self.rule).name)
        if not self.layers.strip():
            raise CheckError(
                f"the layers of {self.rule} are {self.layers!r}; expected a pattern such as "
                "'audio_*', or no layers where the exception holds everywhere."
            )

    @classmethod
    def parse(cls, text: str) -> Allowance:
        """Reads `wrong-axis`, `NW101` or `wrong-axis:audio_*`.

        Raises:
            CheckError: There is no such rule, or no pattern after the colon.
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

    Several exceptions from a rule add up: a finding goes if each of its layers has one. One that
    lists layers of which each is a fault of its own stays for those that have none, and says so.

    Returns:
        The report without it, and each allowed finding with what allows it (its first layer, where
        several exceptions do).
    """
    left: list[Finding] = []
    taken: list[tuple[Finding, Allowance]] = []
    for finding in report.findings:
        stays, goes = _divided(finding, allowances)
        left += [] if stays is None else [stays]
        taken += [] if goes is None else [goes]
    return replace(report, findings=tuple(left)), tuple(taken)


def _divided(
    finding: Finding, allowances: Iterable[Allowance]
) -> tuple[Finding | None, tuple[Finding, Allowance] | None]:
    """What of a finding stays, and what is allowed with what allows it."""
    of_rule = [one for one in allowances if one.rule == finding.name]
    if not finding.layers:
        one = next(iter(of_rule), None)
        return (finding, None) if one is None else (None, (finding, one))
    each = {layer: _covering(layer, of_rule) for layer in finding.layers}
    covered = {layer: one for layer, one in each.items() if one is not None}
    first = next(iter(covered.values()), None)
    if first is None or (len(covered) < len(each) and finding.of_some is None):
        return finding, None
    if finding.of_some is None or len(covered) == len(each):
        return None, (finding, first)
    return finding.of_some(each.keys() - covered), (finding.of_some(covered), first)


def _covering(layer: str, allowances: Iterable[Allowance]) -> Allowance | None:
    return next((one for one in allowances if one.covers(layer)), None)

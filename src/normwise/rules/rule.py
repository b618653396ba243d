"""What a rule is, and what it reports.

A rule looks at a network through a `Context` and tells the spots that it objects to. Everything
that is the same at every spot (why it matters, the evidence) is read from the rule's page, the
docstring of its file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from normwise.norms.mends import Mend, names_in
from normwise.rules.page import Page

if TYPE_CHECKING:
    from normwise.rules.context import Context


IN_STEPS = (
    "it stands in a TimeDistributed layer, which surgery doesn't open: mend it where it is built."
)
"""Why surgery leaves what only the graph of rules opens."""


class Severity(StrEnum):
    """How much a finding matters, the worst first."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(frozen=True)
class Finding:
    """Something that an expert would object to, or want to know, in one network.

    Attributes:
        code: Permanent, such as `"NW101"`.
        name: The rule's, such as `"wrong-axis"`.
        severity: How much it matters here; the context may lower it.
        layers: The layers concerned, by their full paths.
        message: One sentence: what is wrong here, with this model's numbers.
        why: One sentence: why it matters.
        evidence: Papers, threads and measured numbers.
        fix: What to do.
        keeps_outputs: Whether the model's outputs in inference can stay the same.
        mends: The edits that make the fix; none where it isn't made automatically.
        by_hand: Why it isn't; empty where it is.
        of_some: Says the same of some of its layers alone, where each is a fault of its own; None
            where all of them together are one fault.
    """

    code: str
    name: str
    severity: Severity
    layers: tuple[str, ...]
    message: str
    why: str
    evidence: tuple[str, ...]
    fix: str
    keeps_outputs: bool
    mends: tuple[Mend, ...] = field(default=(), compare=False, repr=False)
    by_hand: str = field(default="", compare=False, repr=False)
    of_some: Callable[[Collection[str]], Finding] | None = field(
        default=None, compare=False, repr=False
    )

    def __getstate__(self) -> dict[str, Any]:
        """Without what can't be written: a copy in another process says all that this one says."""
        return {**vars(self), "of_some": None}

    @property
    def mended_by(self) -> str | None:
        """The least that `--fix` has to be told to make the fix; None where it can't."""
        if not self.mends:
            return None
        return "safe" if self.keeps_outputs else "unsafe"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "code": self.code,
            "name": self.name,
            "severity": str(self.severity),
            "layers": list(self.layers),
            "message": self.message,
            "why": self.why,
            "evidence": list(self.evidence),
            "fix": self.fix,
            "keeps_outputs": self.keeps_outputs,
            "mended_by": self.mended_by,
        }


@dataclass(frozen=True)
class Spot:
    """One place that a rule objects to; None stands for what the rule says in general.

    Attributes:
        layers: The layers concerned.
        message: What is wrong here.
        severity: Where the context lowers the rule's.
        fix: What to do here.
        why: Why it matters here.
        keeps_outputs: Whether outputs can stay here.
        mends: The edits that make the fix, none where that is left to a person.
        by_hand: Why it is left to a person here.
        of_some: As for `Finding`, of this spot.
    """

    layers: tuple[str, ...]
    message: str
    severity: Severity | None = None
    fix: str | None = None
    why: str | None = None
    keeps_outputs: bool | None = None
    mends: tuple[Mend, ...] = ()
    by_hand: str | None = None
    of_some: Callable[[Collection[str]], Spot] | None = None


def each_layer_by_itself(layers: Iterable[str], say: Callable[[tuple[str, ...]], Spot]) -> Spot:
    """A spot of several layers, each of which is a fault of its own.

    Args:
        layers: The layers that the rule objects to.
        say: What it says of some of them, in their order.
    """
    found = tuple(layers)
    return replace(
        say(found),
        of_some=lambda some: say(tuple(layer for layer in found if layer in some)),
    )


def each_by_itself(
    context: Context, nodes: Iterable[int], say: Callable[[list[int]], Spot]
) -> Spot:
    """Likewise, of nodes.

    Args:
        context: The network.
        nodes: The nodes that the rule objects to.
        say: What it says of some of them.
    """
    found = list(nodes)

    def of_some(layers: Collection[str]) -> Spot:
        return say([index for index in found if context.layer(index) in layers])

    return replace(say(found), of_some=of_some)


Example = Callable[[], "Context"]
"""A small network, with what is known of its training; its docstring says what it shows."""


@dataclass(frozen=True)
class Invalid:
    """An example that has to be reported.

    Attributes:
        example: The network.
        layers: The layers of the one finding.
        severity: Its severity, None for the rule's.
    """

    example: Example
    layers: tuple[str, ...]
    severity: Severity | None = None


@dataclass(frozen=True)
class Rule:
    """A rule of `normwise check`.

    Attributes:
        code: Permanent and never reused: NW1xx structure, NW2xx statistics and training, NW3xx
            export.
        name: Named after the fault, so that "allow wrong-axis" reads well.
        severity: Of its findings, where the context doesn't lower it.
        document: The docstring of its file, which is its page.
        look: Tells the spots in a network.
        fix: What to do, where a spot doesn't say more.
        keeps_outputs: Whether the fix keeps the outputs in inference, likewise.
        by_hand: Why the fix is left to a person, where a spot has no `mends` and doesn't say.
        invalid: Networks that it reports.
        valid: Networks that it must not report: those that naive versions get wrong.
        needs_data: Whether it judges what was measured on data, and is silent without.
    """

    code: str
    name: str
    severity: Severity
    document: str
    look: Callable[[Context], Iterable[Spot]]
    fix: str
    keeps_outputs: bool
    invalid: tuple[Invalid, ...]
    valid: tuple[Example, ...]
    needs_data: bool = False
    by_hand: str = ""

    @cached_property
    def page(self) -> Page:
        """The rule's page."""
        return Page.of(self.document)

    def check(self, context: Context) -> Iterator[Finding]:
        """The findings of this rule in a network."""
        for spot in self.look(context):
            yield self._finding(spot, context.closed_names)

    def _finding(self, spot: Spot, closed: AbstractSet[str]) -> Finding:
        spot, of_some = _within_reach(spot, closed), spot.of_some
        return Finding(
            self.code,
            self.name,
            spot.severity or self.severity,
            spot.layers,
            spot.message,
            spot.why or self.page.why,
            self.page.evidence,
            spot.fix or self.fix,
            self.keeps_outputs if spot.keeps_outputs is None else spot.keeps_outputs,
            spot.mends,
            "" if spot.mends else spot.by_hand or self.by_hand,
            None if of_some is None else lambda layers: self._finding(of_some(layers), closed),
        )


def _within_reach(spot: Spot, closed: AbstractSet[str]) -> Spot:
    """A spot without the edits that surgery can't make, as it doesn't open every layer."""
    if not closed:
        return spot
    mends = tuple(mend for mend in spot.mends if not closed & names_in(mend))
    if len(mends) == len(spot.mends):
        return spot
    return replace(spot, mends=mends, by_hand=spot.by_hand if mends else IN_STEPS)

"""Norm plans: what should be normalized, and where, as text and as data.

    KIND[(args)]@[REGION:]POSITION[/raw-skip][+...], clauses joined by commas

For example `batch@encoder:post-activation/raw-skip`, or `standardize@input,group(groups=8)@skip`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from normwise.errors import PlanError, did_you_mean
from normwise.graph.regions import BOTTLENECK, DECODER, ENCODER, REGIONS
from normwise.norms.kinds import KINDS, NormSpec, Value

PRE, POST, DOWN, SKIP, MERGE, INPUT = (
    "pre-activation",
    "post-activation",
    "before-downsampling",
    "skip",
    "after-merge",
    "input",
)
POSITIONS = (PRE, POST, DOWN, SKIP, MERGE, INPUT)
RAW_SKIP = "/raw-skip"
TAKES_RAW_SKIP = frozenset({POST, DOWN})
WHOLE = (ENCODER, BOTTLENECK, DECODER)
"""The regions that a position without a region means; the head is only ever normalized by name."""

_PRINT_ORDER = (INPUT, PRE, POST, DOWN, SKIP, MERGE)


@dataclass(frozen=True)
class Position:
    """A place for normalization: `where` is one of `POSITIONS`, `region` None means `WHOLE`."""

    where: str
    region: str | None = None
    raw_skip: bool = False

    def __str__(self) -> str:
        region = f"{self.region}:" if self.region else ""
        return f"{region}{self.where}{RAW_SKIP if self.raw_skip else ''}"

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions it covers."""
        return (self.region,) if self.region else WHOLE


@dataclass(frozen=True)
class Clause:
    """One kind of normalization at one or more positions."""

    spec: NormSpec
    positions: tuple[Position, ...]

    def __str__(self) -> str:
        return f"{self.spec}@{'+'.join(map(str, self.positions))}"


@dataclass(frozen=True)
class Residue:
    """A normalization that no plan describes: its layer, and why."""

    layer: str
    reason: str


@dataclass(frozen=True)
class NormPlan:
    """Which normalization stands where; `str()` is the canonical text and parses back.

    Attributes:
        clauses: In canonical order; none for a network without normalization.
        residue: For a plan read from a model: the normalizations that it does not describe. Plans
            are compared without it.
    """

    clauses: tuple[Clause, ...] = ()
    residue: tuple[Residue, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return ",".join(map(str, self.clauses)) or "none"

    @classmethod
    def parse(cls, text: str) -> NormPlan:
        """Reads a plan from its text.

        Args:
            text: For example `"batch@encoder:post-activation/raw-skip"`, or `"none"`.

        Returns:
            The plan in canonical form: clauses of one kind joined, positions in order.

        Raises:
            PlanError: The text is no plan, or it names two normalizations for one place.

        Example:
            >>> str(NormPlan.parse("batch@after-merge+input"))
            'batch@input+after-merge'
        """
        if not isinstance(text, str):
            raise PlanError(
                f"a norm plan is a text such as 'batch@pre-activation'; got {type(text).__name__} "
                f"{text!r}."
            )
        stripped = text.strip()
        if stripped == "none":
            return cls()
        return cls.of(_clause(part, text) for part in _split(stripped, text))

    @classmethod
    def of(cls, clauses: Iterable[Clause], residue: Sequence[Residue] = ()) -> NormPlan:
        """A plan in canonical form from clauses in any order.

        Raises:
            PlanError: Two clauses normalize the same place.
        """
        joined: dict[NormSpec, list[Position]] = {}
        for clause in clauses:
            joined.setdefault(_ordered(clause.spec), []).extend(clause.positions)
        canonical = [Clause(spec, _canonical(places)) for spec, places in joined.items()]
        _refuse_conflicts(canonical)
        return cls(tuple(sorted(canonical, key=_clause_order)), tuple(residue))

    @property
    def input_kind(self) -> str | None:
        """The kind that the plan puts at the input, None for none."""
        for clause in self.clauses:
            if any(position.where == INPUT for position in clause.positions):
                return clause.spec.kind
        return None

    def allows(self, other: NormPlan) -> bool:
        """Whether `other` is this plan, arguments that this one doesn't state being free."""
        if len(self.clauses) != len(other.clauses):
            return False
        return all(
            a.spec.kind == b.spec.kind
            and set(a.spec.args) <= set(b.spec.args)
            and a.positions == b.positions
            for a, b in zip(self.clauses, other.clauses, strict=True)
        )

    def without_raw_skips(self) -> NormPlan:
        """The same plan with every skip on the normalized tensor."""
        return NormPlan.of(
            Clause(c.spec, tuple(Position(p.where, p.region) for p in c.positions))
            for c in self.clauses
        )


def with_standardized_input(plan: NormPlan) -> NormPlan:
    """The plan with `standardize@input`, unless it names another normalization there."""
    if plan.input_kind is not None:
        return plan
    return NormPlan.of([*plan.clauses, Clause(NormSpec("standardize"), (Position(INPUT),))])


def _split(text: str, whole: str) -> list[str]:
    parts, depth, current = [], 0, ""
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += character
    if depth != 0:
        raise PlanError(f"plan {whole!r}: a parenthesis is not closed.")
    return [*parts, current]


_CLAUSE = re.compile(r"\s*([\w-]+)\s*(?:\(([^()]*)\))?\s*@\s*(.+?)\s*", re.DOTALL)


def _clause(text: str, whole: str) -> Clause:
    match = _CLAUSE.fullmatch(text)
    if match is None:
        raise PlanError(
            f"plan {whole!r}: {text.strip()!r} is no clause. Expected KIND@POSITION, for example "
            "'batch@pre-activation' or 'batch(momentum=0.9)@encoder:post-activation', or 'none' "
            "alone."
        )
    name, arguments, places = match.groups()
    if name == "none":
        raise PlanError(f"plan {whole!r}: 'none' stands alone, without a position.")
    kind = _choose(name, KINDS, "kind", whole)
    positions = tuple(_position(place, whole) for place in places.split("+"))
    spec = NormSpec(kind, _arguments(kind, arguments or "", whole))
    _refuse_impossible(spec, positions, whole)
    return Clause(spec, positions)


def _choose(name: str, known: Iterable[str], what: str, whole: str) -> str:
    names = list(known)
    if name in names:
        return name
    hint = did_you_mean(name, names)
    raise PlanError(f"plan {whole!r}: {name!r} is no {what}; known are {', '.join(names)}.{hint}")


def _position(text: str, whole: str) -> Position:
    place = text.strip()
    raw = place.endswith(RAW_SKIP)
    place = place.removesuffix(RAW_SKIP)
    if "/" in place:
        raise PlanError(
            f"plan {whole!r}: {text.strip()!r} has an unknown suffix; the only one is {RAW_SKIP}."
        )
    region, separator, where = place.rpartition(":")
    where = _choose(where.strip(), POSITIONS, "position", whole)
    if separator:
        region = _choose(region.strip(), REGIONS, "region", whole)
    if raw and where not in TAKES_RAW_SKIP:
        raise PlanError(f"plan {whole!r}: {RAW_SKIP} belongs to {POST} or {DOWN}, not to {where}.")
    if region and where == INPUT:
        raise PlanError(f"plan {whole!r}: the position 'input' has no region; write '{INPUT}'.")
    return Position(where, region or None, raw)


def _arguments(kind: str, text: str, whole: str) -> tuple[tuple[str, Value], ...]:
    found: dict[str, Value] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, separator, value = (p.strip() for p in part.partition("="))
        if not separator:
            raise PlanError(f"plan {whole!r}: argument {part!r} of {kind}: write name=value.")
        if not KINDS[kind].defaults:
            raise PlanError(f"plan {whole!r}: {kind} takes no arguments.")
        _choose(name, KINDS[kind].defaults, f"argument of {kind}", whole)
        if name in found:
            raise PlanError(f"plan {whole!r}: {kind} has the argument {name!r} twice.")
        found[name] = _value(name, value, whole)
    return _ordered(NormSpec(kind, tuple(found.items()))).args


def _value(name: str, text: str, whole: str) -> Value:
    problem = f"plan {whole!r}: {name}={text}: expected "
    if name in {"center", "scale"}:
        if text.lower() not in {"true", "false"}:
            raise PlanError(f"{problem}true or false.")
        return text.lower() == "true"
    try:
        number = int(text) if name == "groups" else float(text)
    except ValueError as error:
        what = "a whole number" if name == "groups" else "a number"
        raise PlanError(f"{problem}{what}.") from error
    if name == "groups" and number < 1:
        raise PlanError(f"{problem}1 or more (one group a channel is the kind 'instance').")
    if name == "epsilon" and not 0 < number < 1:
        raise PlanError(f"{problem}a small positive number such as 1e-3.")
    if name.endswith("momentum") and not 0 <= number < 1:
        raise PlanError(
            f"{problem}0 or more and less than 1: the share of the moving statistics that is kept."
        )
    limits = _LIMITS.get(name)
    if limits is not None and not limits[0] <= number <= limits[1]:
        raise PlanError(f"{problem}{limits[2]}.")
    return number


_LIMITS: Final = {
    "rmin": (0.0, 1.0, "from 0 to 1, the lower bound of the correction r"),
    "rmax": (1.0, sys.float_info.max, "1 or more, the upper bound of the correction r"),
    "dmax": (0.0, sys.float_info.max, "0 or more, the bound of the correction d"),
}


def _refuse_impossible(spec: NormSpec, positions: Sequence[Position], whole: str) -> None:
    if KINDS[spec.kind].input_only and any(p.where != INPUT for p in positions):
        raise PlanError(
            f"plan {whole!r}: {spec.kind} holds fixed statistics of the data and stands only at "
            f"the input; write '{spec.kind}@{INPUT}'."
        )


def _ordered(spec: NormSpec) -> NormSpec:
    order = list(KINDS[spec.kind].defaults)
    return NormSpec(spec.kind, tuple(sorted(spec.args, key=lambda item: order.index(item[0]))))


def _canonical(positions: Iterable[Position]) -> tuple[Position, ...]:
    found = set(positions)
    for where in POSITIONS:
        for raw in (False, True):
            everywhere = {Position(where, region, raw) for region in WHOLE}
            whole = Position(where, None, raw)
            if where != INPUT and (whole in found or everywhere <= found):
                found = (found - everywhere) | {whole}
    return tuple(sorted(found, key=_position_order))


def _position_order(position: Position) -> tuple[int, int, bool]:
    region = -1 if position.region is None else REGIONS.index(position.region)
    return (_PRINT_ORDER.index(position.where), region, position.raw_skip)


def _clause_order(clause: Clause) -> tuple[bool, int, str]:
    at_input = any(position.where == INPUT for position in clause.positions)
    return (not at_input, list(KINDS).index(clause.spec.kind), str(clause))


def _refuse_conflicts(clauses: Sequence[Clause]) -> None:
    taken: dict[tuple[str, str], tuple[NormSpec, Position]] = {}
    for clause in clauses:
        for position in clause.positions:
            for region in position.regions if position.where != INPUT else ("",):
                other = taken.setdefault((position.where, region), (clause.spec, position))
                if other != (clause.spec, position):
                    raise PlanError(_conflict(clause.spec, position, *other))


def _conflict(spec: NormSpec, position: Position, other: NormSpec, there: Position) -> str:
    if spec == other:
        return (
            f"plan: '{there}' and '{position}' contradict each other: the skip can't read both "
            "the normalized and the raw tensor."
        )
    return (
        f"plan: '{other}@{there}' and '{spec}@{position}' both normalize the same place; name "
        f"regions ({', '.join(REGIONS)}) so that they don't overlap."
    )

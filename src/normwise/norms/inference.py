"""Reads a norm plan from a network: the shortest plan that holds in it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

from normwise.errors import PlanError
from normwise.graph.catalogue import Role, activation_of, role_of
from normwise.graph.channels import channel_axis, channels_of
from normwise.graph.graph import Graph
from normwise.graph.regions import REGIONS, layout_of
from normwise.norms.kinds import NormSpec, spec_of
from normwise.norms.plan import (
    DOWN,
    INPUT,
    MERGE,
    POSITIONS,
    POST,
    PRE,
    SKIP,
    TAKES_RAW_SKIP,
    Clause,
    NormPlan,
    Position,
    Residue,
)
from normwise.norms.positions import Placement

MAX_EXACT = 4
"""Covers of up to so many positions are searched exhaustively, larger ones greedily."""


@dataclass(frozen=True)
class _Candidate:
    """A position that holds throughout the network for one kind, and the norms it explains."""

    position: Position
    norms: frozenset[int]


_Groups = dict[NormSpec, frozenset[int]]


def infer_plan(graph: Graph) -> NormPlan:
    """The plan that a network's normalizations follow.

    Every clause holds: each place that it means is normalized in that way. Of several plans that
    describe the same network it is the one with the fewest clauses and positions, ties going
    first to the one without suffix, then without region, then by the order of `POSITIONS`.

    Args:
        graph: Any graph.

    Returns:
        The plan; normalizations that no position describes are in its `residue`.
    """
    return plan_in(Placement(layout_of(graph)))


def plan_in(placement: Placement) -> NormPlan:
    """The same for a network whose places are known."""
    certain, either = _by_spec(placement)
    shared = [spec for spec in certain if spec in either]
    # Beyond a few such kinds, which no network of ours has, groups take what they can.
    choices = product((True, False), repeat=len(shared)) if len(shared) <= MAX_EXACT else ()
    plans = [_plan(placement, certain, either, shared)]
    for choice in choices:
        taking = [spec for spec, takes in zip(shared, choice, strict=True) if takes]
        plans += [_plan(placement, certain, either, taking)] if taking != shared else []
    return min(plans, key=_length)


def _length(plan: NormPlan) -> tuple[Any, ...]:
    positions = [position for clause in plan.clauses for position in clause.positions]
    return (len(plan.residue), len(plan.clauses) + len(positions), *_rank(positions))


def _plan(
    placement: Placement, certain: _Groups, either: _Groups, taking: Sequence[NormSpec]
) -> NormPlan:
    """The plan in which the group clauses `taking` explain all norms that they can."""
    clauses, explained = [], set()
    for spec, norms in certain.items():
        either_way = either.get(spec, frozenset()) if spec in taking else frozenset()
        cover = _group_cover(placement, norms, norms | either_way)
        clauses += [Clause(spec, tuple(c.position for c in cover))] if cover else []
        explained |= {n for c in cover for n in c.norms}
    for spec, norms in _instance_norms(either, explained).items():
        cover = _cover(norms, _candidates(placement, norms))
        clauses += [Clause(spec, tuple(c.position for c in cover))] if cover else []
        explained |= {n for c in cover for n in c.norms}
    unexplained = [i for i in placement.norms if i not in explained]
    return NormPlan.of(clauses, [_residue(placement, i) for i in unexplained])


def _group_cover(
    placement: Placement, certain: frozenset[int], both: frozenset[int]
) -> tuple[_Candidate, ...]:
    """One clause for all of them where it can be, else one for the certain ones."""
    candidates = _candidates(placement, both)
    cover = _cover(both, candidates)
    if both <= frozenset().union(*(c.norms for c in cover)):
        return cover
    return _cover(certain, candidates)


def _instance_norms(either: _Groups, explained: set[int]) -> _Groups:
    """The norms with a group for each channel that no group clause needs, by their arguments."""
    found: dict[NormSpec, frozenset[int]] = {}
    for spec, norms in either.items():
        instance = NormSpec("instance", tuple(a for a in spec.args if a[0] != "groups"))
        left = found.get(instance, frozenset()) | (norms - explained)
        found.update({instance: left} if left else {})
    return found


def _by_spec(placement: Placement) -> tuple[_Groups, _Groups]:
    """Norms by kind and arguments: those of a certain kind, and those that can be either of two.

    Keras saves an instance norm as a group norm with as many groups as channels, which also is
    what `group(groups=C)` builds for C channels. The second mapping has these by their group
    kind; they are an instance norm unless a group clause needs them.
    """
    certain: dict[NormSpec, set[int]] = {}
    either: dict[NormSpec, set[int]] = {}
    for index in placement.norms:
        spec = spec_of(placement.graph.nodes[index])
        if spec is not None and _wrong_axis(placement, index) is None:
            one_each = spec.kind == "group" and _group_for_each_channel(placement, index)
            (either if one_each else certain).setdefault(spec, set()).add(index)
    return tuple({k: frozenset(v) for k, v in found.items()} for found in (certain, either))  # type: ignore[return-value]


def _group_for_each_channel(placement: Placement, index: int) -> bool:
    channels = channels_of(placement.graph, index)
    groups = placement.graph.nodes[index].config.get("groups", 32)
    return channels is not None and groups == channels


def _candidates(placement: Placement, norms: frozenset[int]) -> list[_Candidate]:
    """The positions that hold for these norms, the preferred of equal ones first."""
    found: dict[frozenset[int], Position] = {}
    for position in _positions():
        slots = placement.slots(position)
        needed = [slot.norms & norms for slot in slots if not slot.optional]
        filled = [*needed, *(slot.norms & norms for slot in slots if slot.optional)]
        if needed and all(needed):
            found.setdefault(frozenset().union(*filled), position)
    return [_Candidate(position, covered) for covered, position in found.items()]


def _positions() -> Iterator[Position]:
    """All positions, in the order in which ties are settled."""
    for raw in (False, True):
        for region in (None, *REGIONS):
            for where in POSITIONS:
                if (raw and where not in TAKES_RAW_SKIP) or (region and where == INPUT):
                    continue
                yield Position(where, region, raw)


def _cover(norms: frozenset[int], candidates: Sequence[_Candidate]) -> tuple[_Candidate, ...]:
    """The fewest candidates that explain all the norms that any candidates explain."""
    useful = [c for c in candidates if c.norms & norms]
    wanted = frozenset().union(*(c.norms for c in useful)) & norms
    for size in range(1, min(len(useful), MAX_EXACT) + 1):
        for chosen in _ranked(combinations(useful, size)):
            if wanted <= frozenset().union(*(c.norms for c in chosen)) and _legal(chosen):
                return chosen
    return _greedy(wanted, useful)


def _ranked(choices: Iterable[tuple[_Candidate, ...]]) -> list[tuple[_Candidate, ...]]:
    """Fewest suffixes first, then fewest regions, then the order of the positions."""
    return sorted(choices, key=lambda chosen: _rank([c.position for c in chosen]))


def _rank(positions: Sequence[Position]) -> tuple[Any, ...]:
    return (
        sum(p.raw_skip for p in positions),
        sum(p.region is not None for p in positions),
        sorted(POSITIONS.index(p.where) for p in positions),
    )


def _legal(chosen: Sequence[_Candidate]) -> bool:
    try:
        NormPlan.of([Clause(NormSpec("batch"), tuple(c.position for c in chosen))])
    except PlanError:
        return False
    return True


def _greedy(wanted: frozenset[int], candidates: Sequence[_Candidate]) -> tuple[_Candidate, ...]:
    chosen: list[_Candidate] = []
    missing = set(wanted)
    for candidate in sorted(candidates, key=lambda c: -len(c.norms)):
        if missing & candidate.norms and _legal([*chosen, candidate]):
            chosen.append(candidate)
            missing -= candidate.norms
    return tuple(chosen)


def _wrong_axis(placement: Placement, index: int) -> str | None:
    """Why the normalization doesn't treat each channel by itself, None if it does."""
    node = placement.graph.nodes[index]
    axis = node.config.get("axis", -1)
    axes = tuple(axis) if isinstance(axis, tuple) else (axis,)
    shape = placement.graph.spec(node.inputs[0]).shape if node.inputs else None
    if shape is None:
        return None if axes != (None,) else "it normalizes over all axes"
    expected = channel_axis(placement.graph, index) % len(shape)
    if all(isinstance(a, int) for a in axes) and {a % len(shape) for a in axes} == {expected}:
        return None
    return f"its axis is {axis}, but the channels are axis {expected}"


def _residue(placement: Placement, index: int) -> Residue:
    node = placement.graph.nodes[index]
    return Residue(node.name, _wrong_axis(placement, index) or _reason(placement, index))


def _reason(placement: Placement, index: int) -> str:
    graph = placement.graph
    if spec_of(graph.nodes[index]) is None:
        return f"{graph.nodes[index].class_name} is no kind that plans name"
    if not graph.producers[index]:
        return "it reads nothing"
    producer = graph.producers[index][0]
    if producer in placement.norms_set:
        return f"it follows another normalization, {graph.nodes[producer].name}"
    where = places_of(placement, index)
    if where:
        return f"it stands {' and '.join(where)}, but not every such place has the same"
    source = graph.nodes[producer]
    if role_of(source) is Role.LINEAR and activation_of(source) is None:
        return f"{source.name} has no activation after it"
    return f"no position means the output of {source.name}"


def places_of(placement: Placement, index: int) -> tuple[str, ...]:
    """The positions that one normalization takes, whatever the others do.

    For example `("post-activation/raw-skip", "before-downsampling/raw-skip")`.
    """
    found: dict[str, None] = {}
    for where in (INPUT, PRE, POST, DOWN, SKIP, MERGE):
        for raw in (False, True) if where in TAKES_RAW_SKIP else (False,):
            for region in REGIONS if where != INPUT else (None,):
                position = Position(where, region, raw)
                if index in placement.taking(position):
                    found[str(Position(where, None, raw))] = None
    plain = {name for name in found if "/" not in name}
    return tuple(n for n in found if n in plain or n.partition("/")[0] not in plain)

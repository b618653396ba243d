"""What a plan wants, compared with what stands: the fewest edits from one to the other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from normwise.errors import PlanError
from normwise.graph.catalogue import activation_of
from normwise.graph.channels import channels_of
from normwise.graph.graph import Graph
from normwise.graph.regions import HEAD
from normwise.norms.kinds import KINDS, NormSpec, allows, spec_of
from normwise.norms.plan import DOWN, POST, PRE, SKIP, NormPlan, Position
from normwise.norms.positions import Placement


class Where(StrEnum):
    """How a wanted normalization lies to the node it is for."""

    BEFORE_ACTIVATION = "before the activation of"
    AFTER = "after"
    ON_SKIP = "on the skip from"


@dataclass(frozen=True)
class Want:
    """A place that a plan wants normalized.

    Attributes:
        where: How it lies to `tensor`.
        tensor: A node of the flattened graph (see `Slot.tensor`).
        spec: The kind.
        raw: Whether skips keep the un-normalized tensor.
        stands: Normalizations that take this place already.
    """

    where: Where
    tensor: int
    spec: NormSpec
    raw: bool = False
    stands: frozenset[int] = field(default=frozenset(), compare=False)


class How(StrEnum):
    """The passes."""

    INSERT = "insert"
    MOVE = "move"
    SWAP = "swap"
    REMOVE = "remove"


@dataclass(frozen=True)
class Edit:
    """One edit, in terms of the flattened graph.

    Attributes:
        how: The pass that makes it.
        want: The place that it fills, None for a removal.
        norm: The normalization that it moves, swaps or removes, None for an insertion.
    """

    how: How
    want: Want | None = None
    norm: int | None = None


def wants_of(placement: Placement, plan: NormPlan) -> list[Want]:
    """The places that a plan wants normalized, in the order of the network.

    Raises:
        PlanError: Positions that this network doesn't have, or two kinds for one place.
    """
    found: dict[tuple[Where, int], tuple[Want, Position]] = {}
    for clause in plan.clauses:
        for position in clause.positions:
            slots = placement.slots(position)
            if not slots:
                raise PlanError(
                    f"plan '{plan}' can't hold in this network: it has no place '{position}'."
                )
            for slot in slots:
                if slot.optional and not slot.norms:
                    continue
                want = _want(placement, position, clause.spec, slot.tensor, slot.norms)
                key = (want.where, want.tensor)
                other, there = found.setdefault(key, (want, position))
                if (other.spec, other.raw) != (want.spec, want.raw):
                    raise _two_for_one(placement, plan, want, (there, position))
                if not other.stands and want.stands:
                    found[key] = (want, position)
    return _in_order(_without_doubles(placement, plan, found))


_Wanted = Mapping[tuple[Where, int], tuple[Want, Position]]
"""Places that a plan wants normalized, each with the first position that means it."""


def _two_for_one(
    placement: Placement, plan: NormPlan, want: Want, positions: tuple[Position, Position]
) -> PlanError:
    name = placement.graph.nodes[want.tensor].name
    return PlanError(
        f"plan '{plan}': '{positions[0]}' and '{positions[1]}' mean the same place {want.where} "
        f"{name}, but with different kinds or suffixes. Name regions so that they don't meet, or "
        "keep one of them."
    )


def _want(
    placement: Placement, position: Position, spec: NormSpec, tensor: int, norms: frozenset[int]
) -> Want:
    where = {PRE: Where.BEFORE_ACTIVATION, SKIP: Where.ON_SKIP}.get(position.where, Where.AFTER)
    # The suffix says nothing where nothing skips.
    raw = position.raw_skip and placement.coverage(tensor).has_skips
    raw = raw if position.where in (POST, DOWN) else False
    return Want(where, tensor, spec, raw, norms)


def _without_doubles(placement: Placement, plan: NormPlan, found: _Wanted) -> list[Want]:
    """The places, of those before an activation and after the same layer only one.

    Where the activation is a layer of its own, one normalization takes both. A place before the
    activation may be taken after an add, too; then they are two.

    Raises:
        PlanError: Two kinds for one of them.
    """
    left = {key: want for key, (want, _) in found.items()}
    for (where, tensor), (behind, position) in found.items():
        before, there = found.get((Where.BEFORE_ACTIVATION, tensor), (None, position))
        if where is not Where.AFTER or before is None or not _one(placement, before, behind):
            continue
        if before.spec != behind.spec:
            raise _two_for_one(placement, plan, behind, (there, position))
        # Skips that are to stay raw are named by the place after alone.
        del left[Where.BEFORE_ACTIVATION if behind.raw else Where.AFTER, tensor]
    return list(left.values())


def _one(placement: Placement, before: Want, behind: Want) -> bool:
    """Whether a normalization after a layer is the one before its activation, too."""
    tensor = behind.tensor
    fused = activation_of(placement.graph.nodes[tensor]) is not None
    if fused or any(placement.skeleton(norm) != tensor for norm in before.stands):
        return False
    if not behind.raw:
        return before.stands == behind.stands
    ways = {site.activation for site in placement.sites_by_node[tensor]}
    skips = [reader.node for reader in placement.readers(tensor) if reader.skip]
    added = any(placement.graph.nodes[skip].class_name == "Add" for skip in skips)
    return not added and ways.isdisjoint(skips)


def _in_order(wants: list[Want]) -> list[Want]:
    order = list(Where)
    return sorted(wants, key=lambda w: (w.tensor, order.index(w.where)))


def edits_of(
    placement: Placement,
    plan: NormPlan,
    chosen: Callable[[frozenset[int]], bool],
    residue: Collection[str],
) -> list[Edit]:
    """The fewest edits that make a network follow a plan.

    Normalizations that no plan describes stay, unless they stand in a place that is wanted; so do
    those of the head and the fixed scaling of an input, unless the plan names these.

    Args:
        placement: What stands.
        plan: What is wanted.
        chosen: Whether an edit may be made, given the nodes that it is for.
        residue: Names of normalizations that no plan describes.

    Returns:
        Edits, none of them for a place that is as wanted.

    Raises:
        PlanError: The plan can't hold in this network.
    """
    wants = wants_of(placement, plan)
    used: set[int] = set()
    edits: list[Edit] = []
    missing: list[Want] = []
    for want in wants:
        if not want.stands:
            missing.append(want)
            continue
        used |= want.stands
        edits += [
            Edit(How.SWAP, want, norm)
            for norm in sorted(want.stands)
            if not _fits(placement.graph, want.spec, norm)
        ]
    left = left_in_head(placement, plan) | left_at_input(placement, plan)
    spare = _Spare(placement, _explained(placement, residue) - used - left)
    for want in missing:
        norm = spare.take(want)
        edits.append(Edit(How.INSERT if norm is None else How.MOVE, want, norm))
    edits += [Edit(How.REMOVE, None, norm) for norm in sorted(spare.norms)]
    return [edit for edit in _unique(edits) if chosen(edit_owners(placement, edit))]


class _Spare:
    """Normalizations that the plan doesn't name where they stand."""

    def __init__(self, placement: Placement, norms: frozenset[int]) -> None:
        self.placement = placement
        self.norms = dict.fromkeys(sorted(norms))
        self._by_owner: dict[int, list[int]] = {}
        for norm in self.norms:
            for owner in _owners(placement, norm):
                self._by_owner.setdefault(owner, []).append(norm)

    def take(self, want: Want) -> int | None:
        """One of the wanted kind that stands at another place of the same layers."""
        graph, width = self.placement.graph, channels_of(self.placement.graph, want.tensor)
        for owner in sorted(_family(self.placement, want.tensor)):
            for norm in self._by_owner.get(owner, ()):
                fits = norm in self.norms and _fits(graph, want.spec, norm)
                if fits and channels_of(graph, norm) == width:
                    del self.norms[norm]
                    return norm
        return None


def _unique(edits: list[Edit]) -> Iterator[Edit]:
    """A norm that takes two wanted places is swapped once."""
    seen: set[int] = set()
    for edit in edits:
        if edit.how is How.SWAP and edit.norm is not None:
            if edit.norm in seen:
                continue
            seen.add(edit.norm)
        yield edit


def _fits(graph: Graph, spec: NormSpec, norm: int) -> bool:
    there = spec_of(graph.nodes[norm])
    return there is not None and allows(spec, there, channels_of(graph, norm))


def _explained(placement: Placement, residue: Collection[str]) -> frozenset[int]:
    return frozenset(n for n in placement.norms if placement.graph.nodes[n].name not in residue)


def left_in_head(placement: Placement, plan: NormPlan) -> frozenset[int]:
    """The normalizations of the head, none of them if the plan names it."""
    if any(p.region == HEAD for clause in plan.clauses for p in clause.positions):
        return frozenset()
    regions = placement.layout.regions
    return frozenset(n for n in placement.norms if regions[placement.skeleton(n)] == HEAD)


def left_at_input(placement: Placement, plan: NormPlan) -> frozenset[int]:
    """The fixed scaling of the inputs, none of it if the plan names the input.

    It is part of how the network reads its data, as an input's `Rescaling` is: plans for training
    have it unless they name another normalization there (`with_standardized_input`).
    """
    if plan.input_kind is not None:
        return frozenset()
    specs = ((n, spec_of(placement.graph.nodes[n])) for n in placement.norms)
    return frozenset(n for n, spec in specs if spec is not None and KINDS[spec.kind].input_only)


def _owners(placement: Placement, norm: int) -> frozenset[int]:
    """The layers that a normalization is for: what it reads, and the layers of that site."""
    return _family(placement, placement.skeleton(norm))


def _family(placement: Placement, tensor: int) -> frozenset[int]:
    sites = placement.sites_by_node.get(tensor, ())
    return frozenset({tensor, *(n for s in sites for n in (s.linear, s.activation))})


def edit_owners(placement: Placement, edit: Edit) -> frozenset[int]:
    """The nodes that an edit is for: the normalization and the layers it belongs to."""
    found: set[int] = set()
    if edit.want is not None:
        found |= _family(placement, edit.want.tensor)
    if edit.norm is not None:
        found |= {edit.norm} | _owners(placement, edit.norm)
    return frozenset(found)

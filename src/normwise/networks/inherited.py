"""A plan for a network whose encoder brings its own normalizations."""

from collections.abc import Iterator

from normwise.errors import PlanError
from normwise.graph.graph import Graph
from normwise.graph.regions import BOTTLENECK, DECODER, ENCODER, layout_of
from normwise.norms.inference import infer_plan
from normwise.norms.kinds import KINDS, NormSpec, spec_of
from normwise.norms.plan import DOWN, INPUT, SKIP, Clause, NormPlan, Position
from normwise.norms.positions import Placement

_INHERITED = (ENCODER, BOTTLENECK)


def own_part(plan: NormPlan) -> NormPlan:
    """What of a plan is built anew: the input, the skips and the decoder."""
    clauses = []
    for clause in plan.clauses:
        positions = tuple(part for p in clause.positions if (part := _own(p)) is not None)
        if positions:
            clauses.append(Clause(clause.spec, positions))
    return NormPlan.of(clauses)


def _own(position: Position) -> Position | None:
    if position.where in (INPUT, SKIP) or position.region not in (None, *_INHERITED):
        return position
    if position.region is None and position.where != DOWN:
        return Position(position.where, DECODER, position.raw_skip)
    return None


def check_inherited(plan: NormPlan, graph: Graph, encoder: str) -> None:
    """Refuses a plan that says of the encoder what isn't so.

    Args:
        plan: The whole plan.
        graph: The network.
        encoder: The encoder's name, for the error.

    Raises:
        PlanError: Names the position, and says what stands in the encoder.
    """
    placement = Placement(layout_of(graph))
    for clause in plan.clauses:
        for position in clause.positions:
            for part in _reaching(position):
                if not _holds(placement, clause.spec, part, explicit=position.region is not None):
                    raise PlanError(
                        f"plan '{plan}' can't hold: '{clause.spec}@{part}' reaches the encoder, "
                        f"and the normalizations of {encoder} are its own: '{infer_plan(graph)}' "
                        f"stands in this network. Name the decoder ('{clause.spec}@{DECODER}:"
                        f"{position.where}'), or change the encoder afterwards with nw.place."
                    )


def _reaching(position: Position) -> Iterator[Position]:
    if position.where in (INPUT, SKIP):
        return
    for region in _INHERITED:
        if position.region in (None, region):
            yield Position(position.where, region, position.raw_skip)


def _holds(placement: Placement, spec: NormSpec, position: Position, explicit: bool) -> bool:
    slots = placement.slots(position)
    if not slots:
        return not explicit
    return all(
        any(_is(spec_of(placement.graph.nodes[norm]), spec) for norm in slot.norms)
        for slot in slots
    )


def _is(found: NormSpec | None, wanted: NormSpec) -> bool:
    """Whether a normalization is of a kind, arguments that aren't stated being free."""
    if found is None or found.kind != wanted.kind:
        return False
    values = {**KINDS[found.kind].defaults, **dict(found.args)}
    return all(values.get(name) == value for name, value in wanted.args)

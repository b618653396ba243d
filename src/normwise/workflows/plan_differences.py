"""In what a model departs from a norm plan, in words."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase

from normwise.errors import PlanError
from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph
from normwise.graph.regions import layout_of
from normwise.norms.inference import plan_in
from normwise.norms.kinds import spec_of
from normwise.norms.plan import NormPlan
from normwise.norms.positions import Placement
from normwise.surgery.edits import Edit, How, edits_of, left_at_input, left_in_head


def plan_differences(
    graph: Graph, plan: NormPlan, outside: Collection[str] = ()
) -> tuple[str, ...]:
    """What would have to change for a model to follow a plan; nothing if it does.

    The plan has to hold whole: every place that it names is normalized as it says, and nothing
    else is. Several plans can describe one network; each of them holds in it.

    Args:
        graph: The model's.
        plan: What should hold.
        outside: Patterns of layer paths that may be normalizations outside of the plan.

    Returns:
        A line for each difference, with its layer.
    """
    placement = Placement(layout_of(flatten(graph)))
    residue = {left.layer: left.reason for left in plan_in(placement).residue}
    try:
        edits = edits_of(placement, plan, lambda _: True, residue)
    except PlanError as error:
        return (str(error),)
    lines = [
        *(_needed(placement, edit) for edit in edits if not _is_allowed(placement, edit, outside)),
        *_left_over(placement, plan, residue, {edit.norm for edit in edits}, outside),
    ]
    return tuple(dict.fromkeys(lines))


def _is_allowed(placement: Placement, edit: Edit, outside: Collection[str]) -> bool:
    return edit.how is How.REMOVE and _matches(_norm(placement, edit), outside)


def _matches(layer: str, outside: Collection[str]) -> bool:
    return any(fnmatchcase(layer, pattern) for pattern in outside)


def _norm(placement: Placement, edit: Edit) -> str:
    return "" if edit.norm is None else placement.graph.nodes[edit.norm].layer


def _needed(placement: Placement, edit: Edit) -> str:
    """An edit, told as what is not as it should be."""
    norm, want = _norm(placement, edit), edit.want
    if want is None:
        return f"{norm} is not in the plan."
    place = f"{want.where} {placement.graph.nodes[want.tensor].layer}"
    if edit.how is How.INSERT:
        return f"nothing stands {place}; wanted is {want.spec}."
    if edit.how is How.MOVE:
        return f"{norm} does not stand {place}, where it is wanted."
    found = None if edit.norm is None else spec_of(placement.graph.nodes[edit.norm])
    return f"{norm} is {found}; wanted is {want.spec}."


def _left_over(
    placement: Placement,
    plan: NormPlan,
    residue: dict[str, str],
    edited: set[int | None],
    outside: Collection[str],
) -> Iterator[str]:
    """Normalizations that `place` would leave alone, and that the plan doesn't name."""
    head, scaling = left_in_head(placement, plan), left_at_input(placement, plan)
    for index in placement.norms:
        node = placement.graph.nodes[index]
        if index in edited or _matches(node.layer, outside):
            continue
        if node.name in residue:
            yield f"{node.layer} is outside of any plan: {residue[node.name]}."
        elif index in scaling:
            yield f"{node.layer} scales the input, which the plan does not name."
        elif index in head:
            yield f"{node.layer} stands in the head, which the plan does not name."

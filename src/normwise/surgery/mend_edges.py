"""Edits that mend what reads what, and where activations stand.

None of them but `move_behind` can promise anything of the outputs: a dropout or a batch norm that
is moved after what it changes places with in inference keeps them, which is verified. It stays
where a penalty of the training is one of what it makes, or of what it would change places with.
"""

from __future__ import annotations

from normwise.graph.catalogue import Role, activation_of, regularizes_activity, role_of
from normwise.graph.editing import ENDS, Draft
from normwise.graph.graph import Node, Tensor
from normwise.norms.mends import AddActivation, DropActivation, MoveBefore, MoveBehind, Reread
from normwise.surgery.levels import Cut, Spot
from normwise.surgery.rewrite import Change
from normwise.surgery.sites import penalty_moves
from normwise.surgery.work import Work

OVERTAKEN = "another edit has changed what stands there"
SHARED = "others read it too, and would read what stands before it"
_BETWEEN = frozenset({Role.PASS, Role.ACTIVATION})
"""What may come between a norm and what was made to read it: dropout, an added activation."""


def reread(work: Work, mend: Reread) -> Change | str:
    """Has a call read another tensor; what nothing reads any more goes."""
    reader, old, new = (spot_of(work, name) for name in mend.calls)
    draft = work.levels.draft(reader.level)
    if not all(spot.index in draft.nodes for spot in (reader, old, new)):
        return OVERTAKEN
    if Tensor(old.index) not in draft.nodes[reader.index].inputs:
        return OVERTAKEN
    if draft.depends(new.index, reader.index):
        return f"{mend.new} is made from what it reads"
    draft.reroute(Tensor(old.index), Tensor(new.index), [reader.index])
    _drop_unread(draft, old.index)
    return Change(_layer(work, reader), f"reads {mend.new} instead of {mend.old}")


def still_reads(work: Work, mend: Reread) -> bool:
    """Whether a call reads what it was made to read, after all edits."""
    reader, _, new = (spot_of(work, name) for name in mend.calls)
    nodes = work.levels.draft(reader.level).nodes
    if reader.index not in nodes:
        return False
    pending = [tensor.node for tensor in nodes[reader.index].inputs]
    while pending:
        index = pending.pop()
        if index == new.index:
            return True
        if role_of(nodes[index]) in _BETWEEN:
            pending += [tensor.node for tensor in nodes[index].inputs]
    return False


def _drop_unread(draft: Draft, index: int) -> None:
    if role_of(draft.nodes[index]) is not Role.INPUT and not draft.readers(Tensor(index)):
        draft.remove(index)


def move_behind(work: Work, mend: MoveBehind) -> Change | str:
    """Takes a call that has one reader out and puts it after another one."""
    moved, target = (spot_of(work, name) for name in mend.calls)
    draft = work.levels.draft(moved.level)
    if not all(spot.index in draft.nodes for spot in (moved, target)):
        return OVERTAKEN
    if draft.depends(moved.index, target.index):
        return OVERTAKEN
    if len(draft.readers(Tensor(moved.index))) != 1:
        return SHARED
    if work.settings.keep:
        penalized = next(filter(regularizes_activity, _with_others(draft, moved, target)), None)
        if penalized is not None:
            return penalty_moves(penalized)
    tensor = Tensor(target.index)
    draft.move(moved.index, tensor, draft.readers(tensor))
    return Change(_layer(work, moved), f"moved, now after {mend.target}")


def _with_others(draft: Draft, moved: Spot, target: Spot) -> list[Node]:
    """The calls that make other numbers in inference once one of them stands after another."""
    index, found = moved.index, [draft.nodes[moved.index]]
    while index != target.index and role_of(found[0]) is not Role.PASS:
        readers = draft.readers(Tensor(index))
        if len(readers) != 1 or readers[0] == ENDS:
            break
        index = readers[0]
        found.append(draft.nodes[index])
    return found


def move_before(work: Work, mend: MoveBefore) -> Change | str:
    """Takes a call out and puts it before another one."""
    moved, target = (spot_of(work, name) for name in mend.calls)
    draft = work.levels.draft(moved.level)
    if not all(spot.index in draft.nodes for spot in (moved, target)):
        return OVERTAKEN
    tensor = draft.nodes[target.index].inputs[0]
    if draft.depends(tensor.node, moved.index):
        return OVERTAKEN
    draft.move(moved.index, tensor, [target.index])
    return Change(_layer(work, moved), f"moved, now before {mend.target}")


def add_activation(work: Work, mend: AddActivation) -> Change | str:
    """Puts an activation after a call: into a linear layer, else as a layer of its own.

    One that is called several times, or in several models, has the same activation in all of its
    calls, so there it is a layer of its own, too.
    """
    index, spot = work.flat.index[mend.behind], spot_of(work, mend.behind)
    node = work.flat.nodes[index]
    calls = work.levels.draft(spot.level).graph.calls[work.levels.node(spot).layer]
    if role_of(node) is Role.LINEAR and activation_of(node) is not None:
        return OVERTAKEN
    alone = len(calls) == 1 and node.layer not in work.shared
    if role_of(node) is Role.LINEAR and alone:
        work.configure(spot, {"activation": mend.activation})
        return Change(node.layer, f"applies {mend.activation} now")
    draft, tensor = work.levels.draft(spot.level), Tensor(spot.index)
    if spot.index not in draft.nodes:
        return OVERTAKEN
    name = draft.free_name(f"{work.label(index)}_{mend.activation}")
    config = {"activation": mend.activation, "dtype": work.policy(index)}
    cut = Cut(spot.level, tensor, tuple(draft.readers(tensor)))
    path = work.insert(cut, tensor, name, "Activation", config)
    return Change(path, f"Activation {mend.activation} inserted after {node.name}")


def drop_activation(work: Work, mend: DropActivation) -> Change | str:
    """Takes the fused activation from a linear layer."""
    index = work.flat.calls[mend.layer][0]
    name = activation_of(work.flat.nodes[index])
    if name is None:
        return OVERTAKEN
    work.unbend(index)
    return Change(mend.layer, f"activation {name} dropped")


def spot_of(work: Work, name: str) -> Spot:
    """Where a call of the flattened graph is."""
    return work.levels.spot(work.flat.index[name])


def _layer(work: Work, spot: Spot) -> str:
    return work.levels.layer_path(spot)

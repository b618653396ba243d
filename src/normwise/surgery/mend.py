"""Makes the edits that mend normalization mistakes, and proves what they promise.

Two steps, so that the edited graph can be looked at before anything is built: `bench` makes the
edits in a draft of the graph, `finish` builds the model and verifies it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph
from normwise.graph.shapes import with_shapes
from normwise.norms.mends import (
    AddActivation,
    AddBias,
    Configure,
    DropActivation,
    DropBias,
    Mend,
    MoveBefore,
    MoveBehind,
    RemoveNorm,
    Reread,
    Restart,
    SetArguments,
    SplitNorm,
    WriteAnew,
)
from normwise.surgery.bias import add_bias, drop_bias
from normwise.surgery.copying import copied, verified, verified_plain_copy
from normwise.surgery.mend_edges import (
    OVERTAKEN,
    add_activation,
    drop_activation,
    move_before,
    move_behind,
    reread,
    spot_of,
    still_reads,
)
from normwise.surgery.mend_norms import configure, remove_norm, restart, set_arguments, split
from normwise.surgery.outputs import keep_output_names
from normwise.surgery.penalties import penalty_notes
from normwise.surgery.rewrite import Change, Promise, Rewrite, RewriteReport
from normwise.surgery.sites import IN_ANOTHER, IN_SEVERAL
from normwise.surgery.work import EditSettings, Work


def _bias(work: Work, mend: AddBias) -> Change | str:
    return add_bias(work, work.flat.calls[mend.layer][0])


def _written(work: Work, mend: WriteAnew) -> Change | str:
    return Change(mend.layer, "written without what older Keras refuses (by `normwise`)")


MAKERS: Mapping[type[Any], Callable[[Work, Any], Change | str]] = MappingProxyType(
    {
        SetArguments: set_arguments,
        Configure: configure,
        Restart: restart,
        SplitNorm: split,
        Reread: reread,
        MoveBehind: move_behind,
        MoveBefore: move_before,
        DropActivation: drop_activation,
        AddActivation: add_activation,
        RemoveNorm: remove_norm,
        AddBias: _bias,
        WriteAnew: _written,
    }
)
"""What makes each sort of edit or says why it can't, in the order in which they are made; biases
are dropped last."""


@dataclass(frozen=True)
class Bench:
    """A model with edits made in a draft.

    Attributes:
        work: The rewrite.
        edited: The edited graph.
        done: What came of each edit: the change, or why it can't be made.
        renamed: Changes that keep the names of outputs.
    """

    work: Work
    edited: Graph
    done: Mapping[Mend, Change | str]
    renamed: tuple[Change, ...]

    @property
    def names(self) -> Mapping[str, str]:
        """Layers that the edited graph calls otherwise, or that are copies: to the old names."""
        return {**self.work.names, **self.work.copies}


def bench(
    graph: Graph, mends: Sequence[Mend], keep: bool, shared: frozenset[str] = frozenset()
) -> Bench:
    """Makes edits in a draft of a graph.

    Args:
        graph: The model's graph, nested models closed.
        mends: The edits, in terms of the opened graph.
        keep: Whether outputs must stay.
        shared: Paths of layers that stand elsewhere in the model too (`shared_paths`).
    """
    work = Work(graph, EditSettings(keep), shared)
    gone = (mend.norm for mend in mends if isinstance(mend, RemoveNorm))
    work.leaving = frozenset(work.flat.index[norm] for norm in gone)
    done: dict[Mend, Change | str] = {}
    for kind, make in MAKERS.items():
        same = [mend for mend in dict.fromkeys(mends) if type(mend) is kind]
        for group in _groups(work, same):
            reason = _problem(work, group)
            made = make(work, group[0]) if reason is None else reason
            done.update(dict.fromkeys(group, made))
    biases = [mend for mend in dict.fromkeys(mends) if isinstance(mend, DropBias)]
    if biases:
        # Which of them are dead is seen once all normalizations are in their places.
        edited = flatten(work.freeze())
        done.update({mend: drop_bias(work, mend.layer, edited) for mend in biases})
    rereads = [mend for mend in done if isinstance(mend, Reread)]
    lost = [m for m in rereads if isinstance(done[m], Change) and not still_reads(work, m)]
    if lost:
        # A later edit took away what they read: they were never made, the others are.
        other = bench(graph, [mend for mend in mends if mend not in lost], keep, shared)
        return replace(other, done={**other.done, **dict.fromkeys(lost, OVERTAKEN)})
    renamed = keep_output_names(work)
    return Bench(work, with_shapes(work.freeze()), done, tuple(renamed))


def _groups(work: Work, mends: Sequence[Mend]) -> list[list[Mend]]:
    """Edits that are one: the same inside a nested model, seen from each of its calls."""
    found: dict[Any, list[Mend]] = {}
    for mend in mends:
        calls: tuple[str, ...] = getattr(mend, "calls", ())
        spots = [spot_of(work, name) for name in calls]
        key = tuple((work.levels.path(spot.level), spot.index) for spot in spots)
        found.setdefault(key or mend, []).append(mend)
    return list(found.values())


def _problem(work: Work, group: Sequence[Mend]) -> str | None:
    """Why an edit of calls can't be made where they stand."""
    calls: tuple[str, ...] = getattr(group[0], "calls", ())
    if _sets(group[0]) in work.shared:
        return IN_SEVERAL
    levels = [spot_of(work, name).level for name in calls]
    if len(set(levels)) > 1:
        return IN_ANOTHER
    if not levels or len(group) == work.levels.calls(levels[0]):
        return None
    model = work.levels.path(levels[0]).rstrip("/")
    return (
        f"model {model!r} is called {work.levels.calls(levels[0])} times, and its layers are the "
        "same in all of them"
    )


def _sets(mend: Mend) -> str | None:
    """The layer whose settings an edit changes, in all its calls; None for other edits."""
    if isinstance(mend, SetArguments | Restart | SplitNorm):
        return mend.norm
    return mend.layer if isinstance(mend, Configure | DropActivation) else None


def finish(bench: Bench, model: Any) -> Rewrite:
    """Builds the edited model and verifies it.

    Args:
        bench: The edits.
        model: The live model that the graph was read from. It stays as it is.

    Raises:
        SurgeryError: A layer can't be copied, or the model can't be run.
        PromiseError: The outputs differ although they should stay, or, where they change, those of
            a copy without edits do.
    """
    work = bench.work
    changed = (*(c for c in bench.done.values() if isinstance(c, Change)), *bench.renamed)
    changed = tuple(dict.fromkeys(changed))
    notes = [] if work.settings.keep else verified_plain_copy(work.graph, model)
    copy = copied(work, bench.edited, model)
    difference = None
    if work.settings.keep:
        proof = verified(work.graph, model, copy, len(changed))
        difference, notes = proof.difference, [*penalty_notes(copy), *proof.notes]
    promise = Promise.KEPT_IN_INFERENCE if work.settings.keep else Promise.NOT_KEPT
    report = RewriteReport(promise, changed, (), difference, (*copy.notes, *notes))
    return Rewrite(copy.model, report, bench.names)

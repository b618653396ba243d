"""Brings a model to a norm plan: the fewest edits, each checked, the result verified."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import ModuleType
from typing import Any

from normwise.errors import PlanError, SurgeryError
from normwise.graph.graph import Graph
from normwise.keras_format.paths import layers_by_path, shared_paths
from normwise.keras_format.reading import read_graph
from normwise.norms.plan import NormPlan
from normwise.surgery import insert, move, remove, swap
from normwise.surgery.bias import drop_biases
from normwise.surgery.calibrate import calibrate, standardize
from normwise.surgery.copying import copied, verified, verified_plain_copy
from normwise.surgery.edits import Edit, How, Want, Where, edits_of, left_in_head, unmet, wants_of
from normwise.surgery.outputs import keep_output_names
from normwise.surgery.rewrite import Change, Promise, Report, Rewrite, Skip
from normwise.surgery.sites import Site, name_of, site_of
from normwise.surgery.work import Settings, Work, placement_of

PASSES: Mapping[How, ModuleType] = {
    How.SWAP: swap,
    How.INSERT: insert,
    How.MOVE: move,
    How.REMOVE: remove,
}
"""The pass that makes each sort of edit; each has `check` and `rewrite`."""


@dataclass
class Done:
    """What was done so far, and what was left out."""

    changed: list[Change] = field(default_factory=list)
    skipped: list[Skip] = field(default_factory=list)


def place(
    model: Any,
    plan: NormPlan,
    settings: Settings | None = None,
    data: Any = None,
    layers: str | None = None,
) -> Rewrite:
    """Makes a model follow a norm plan, with the fewest edits.

    Args:
        model: A live functional or Sequential model, built. It stays as it is.
        plan: What should hold.
        settings: Whether outputs must be kept, and whether dead biases are dropped.
        data: Batches of raw input from which new batch normalizations get their statistics.
        layers: A pattern such as `"decoder_*"`: only edits for layers of such names are made.

    Returns:
        The new model and what was done.

    Raises:
        PlanError: The plan can't hold in this network.
        SurgeryError: The model can't be copied, or can't be run for verification.
        PromiseError: The outputs aren't kept: a fault of normwise, or of a layer that isn't a
            function of its inputs. Where they may change, those of a copy without edits aren't.
    """
    settings = settings or Settings()
    graph = read_graph(model)
    work = Work(graph, settings, shared_paths(layers_by_path(model)))
    _refuse_missing_kinds(plan)
    edited, done = edited_graph(work, plan, layers)
    notes = [*_residue_notes(work), *_head_notes(work, plan), *_name_notes(graph, edited)]
    doubts = [] if settings.keep else verified_plain_copy(graph, model)
    copy = copied(work, edited, model)
    notes += copy.notes
    if data is not None and work.standardized and not settings.keep:
        standardize(work, copy, data)
        del copy  # its layers have settings that are others now
        gc.collect()
        copy = copied(work, work.freeze(), model)
    if data is not None:
        notes += calibrate(work, copy, data)
    difference = None
    if settings.keep:
        proof = verified(graph, model, copy, len(done.changed))
        difference, doubts = proof.difference, list(proof.notes)
    notes += doubts
    promise = Promise.KEPT_IN_INFERENCE if settings.keep else Promise.NOT_KEPT
    promise = promise if done.changed else Promise.KEPT
    report = Report(promise, tuple(done.changed), tuple(done.skipped), difference, tuple(notes))
    return Rewrite(copy.model, report, dict(work.names))


def edited_graph(work: Work, plan: NormPlan, layers: str | None = None) -> tuple[Graph, Done]:
    """The graph that follows a plan, and what was done to it: all of placing that needs no Keras.

    Args:
        work: The model on the bench.
        plan: What should hold.
        layers: As for `place`.
    """
    done = Done()
    edits = edits_of(work.placement, plan, _chosen(work, layers), work.residue)
    for site in _sites(work, edits, done):
        _make(work, site, done)
    if work.settings.drop_bias:
        done.changed += drop_biases(work, wants_of(work.placement, plan))
    done.changed += keep_output_names(work)
    edited = work.freeze()
    _find_unmet(edited, plan, layers, done)
    return edited, done


def _refuse_missing_kinds(plan: NormPlan) -> None:
    import keras  # noqa: PLC0415 - after the backend is chosen

    backend = keras.backend.backend()
    if backend != "tensorflow" and any(c.spec.kind == "sync-batch" for c in plan.clauses):
        raise PlanError(
            f"sync-batch needs the TensorFlow backend, got {backend}. Use 'batch': on JAX with "
            "keras.distribution its statistics are over the global batch anyway."
        )


def _chosen(work: Work, pattern: str | None) -> Any:
    """Whether an edit is for a layer of that name."""
    if pattern is None:
        return lambda owners: True
    nodes = work.flat.nodes
    hits = {i for i, node in enumerate(nodes) if _matches(node.layer, pattern)}
    if not hits:
        raise SurgeryError(
            f"no layer of model {work.graph.name!r} matches the pattern {pattern!r}; its layers "
            f"are {', '.join(dict.fromkeys(node.layer for node in nodes[:20]))}..."
        )
    return lambda owners: bool(owners & hits)


def _matches(layer: str, pattern: str) -> bool:
    return fnmatchcase(layer, pattern) or fnmatchcase(layer.rpartition("/")[2], pattern)


def _sites(work: Work, edits: Sequence[Edit], done: Done) -> list[Site]:
    """Where edits are made, each once, splits before what stands behind them."""
    groups: dict[Any, list[Site]] = {}
    for edit in edits:
        site = site_of(work, edit)
        if isinstance(site, str):
            done.skipped.append(Skip(_subject(work, edit), site))
        else:
            groups.setdefault(site.key, []).append(site)
    chosen = []
    for sites in groups.values():
        first = sites[0]
        level = (first.spot or first.cut).level  # type: ignore[union-attr]
        if len(sites) == work.levels.calls(level):
            chosen.append(first)
        else:
            name = first.path.rstrip("/")
            reason = f"model {name!r} is called {work.levels.calls(level)} times, and only "
            reason += f"{len(sites)} of these should be so; its layers are the same in all of them"
            done.skipped.append(Skip(_subject(work, first.edit), reason))
    return sorted(chosen, key=_order)


def _order(site: Site) -> tuple[int, int, int]:
    edit = site.edit
    rank = [How.SWAP, How.INSERT, How.MOVE, How.REMOVE].index(edit.how)
    where = list(Where).index(edit.want.where) if edit.want is not None else 0
    return (max(rank, 1) if rank < 3 else rank, where, rank)


def _make(work: Work, site: Site, done: Done) -> None:
    chosen = PASSES[site.edit.how]
    reason = chosen.check(work, site)
    made = chosen.rewrite(work, site) if reason is None else reason
    if isinstance(made, Change):
        done.changed.append(made)
    else:
        done.skipped.append(Skip(_subject(work, site.edit), str(made)))


def _subject(work: Work, edit: Edit) -> str:
    """The layer that an edit is about."""
    if edit.norm is not None:
        return work.flat.nodes[edit.norm].layer
    assert edit.want is not None
    return name_of(work, edit.want)


def _residue_notes(work: Work) -> list[str]:
    return [
        f"{layer} is outside of any plan and was left alone: {reason}"
        for layer, reason in work.residue.items()
    ]


def _head_notes(work: Work, plan: NormPlan) -> list[str]:
    placement = work.placement
    left = left_in_head(placement, plan)
    wanted = frozenset().union(*(want.stands for want in wants_of(placement, plan)))
    names = [work.flat.nodes[norm].name for norm in sorted(left - wanted)]
    return [
        f"{name} is in the head, which the plan doesn't name, and was left alone"
        for name in names
        if name not in work.residue
    ]


def _name_notes(graph: Graph, edited: Graph) -> list[str]:
    """Which outputs a saved file calls otherwise, because their names are needed elsewhere."""
    if graph.class_name == "Sequential":
        return []
    before, after = (
        [one.nodes[tensor.node].layer for tensor in one.output_tensors] for one in (graph, edited)
    )
    return [
        f"output {old!r} is called {new!r} once the model is saved and loaded: losses and metrics "
        "that go by its name need that one then"
        for old, new in zip(before, after, strict=True)
        if old != new
    ]


def _find_unmet(edited: Graph, plan: NormPlan, layers: str | None, done: Done) -> None:
    """Says which places still aren't as wanted although no edit was skipped for them."""
    if done.skipped or layers is not None:
        return
    placement = placement_of(edited)
    try:
        left: list[Want] = unmet(placement, plan)
    except PlanError as error:
        done.skipped.append(Skip(edited.name, str(error)))
        return
    for want in left:
        name = placement.graph.nodes[want.tensor].layer
        reason = f"it isn't normalized as wanted {want.where} it, whatever is edited"
        done.skipped.append(Skip(name, reason))

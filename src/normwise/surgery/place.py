"""Brings a model to a norm plan: the fewest edits, each checked, the result verified."""

from __future__ import annotations

import gc
from typing import Any

from normwise.errors import PromiseError, SurgeryError
from normwise.graph.graph import Graph
from normwise.keras_format.paths import layers_by_path, shared_paths
from normwise.keras_format.reading import read_graph
from normwise.norms.kinds import refuse_missing_kind
from normwise.norms.plan import NormPlan
from normwise.surgery.calibrate import FirstBatch, calibrate, standardize
from normwise.surgery.copying import copied, verified, verified_on, verified_plain_copy
from normwise.surgery.edits import left_at_input, left_in_head, wants_of
from normwise.surgery.penalties import penalty_notes
from normwise.surgery.planning import edited_graph
from normwise.surgery.rewrite import Promise, Rewrite, RewriteReport
from normwise.surgery.work import EditSettings, Work

WITHOUT_PROOF = "With keep_outputs=False (--retrain) the edits are made without a proof."


def place(
    model: Any,
    plan: NormPlan,
    settings: EditSettings | None = None,
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
    settings = settings or EditSettings()
    graph = read_graph(model)
    _refuse_missing_kinds(plan)
    done = edited_graph(Work(graph, settings, shared_paths(layers_by_path(model))), plan, layers)
    work = done.work
    notes = [
        *_residue_notes(work, plan),
        *_left_notes(work, plan),
        *_name_notes(graph, done.edited),
    ]
    doubts = [] if settings.keep else verified_plain_copy(graph, model)
    copy = copied(work, done.edited, model)
    notes += copy.notes
    if data is not None and work.standardized and not settings.keep:
        standardize(work, copy, data)
        del copy  # its layers have settings that are others now
        gc.collect()
        copy = copied(work, work.freeze(), model)
    difference = None
    if settings.keep:
        # As the identity first: of random inputs, statistics of data leave few digits.
        try:
            proof = verified(graph, model, copy, len(done.changed))
        except PromiseError:
            raise
        except SurgeryError as error:
            raise SurgeryError(f"{error} {WITHOUT_PROOF}") from error
        difference, doubts = proof.difference, [*penalty_notes(copy), *proof.notes]
    if data is not None:
        first = FirstBatch(settings.measure)
        notes += calibrate(work, copy, data, first.settings)
        if settings.keep and first.seen:
            difference = max(difference or 0.0, verified_on(graph, model, copy, first.inputs))
    elif not settings.keep:
        notes += _unscaled_notes(work)
    notes += doubts
    promise = Promise.KEPT_IN_INFERENCE if settings.keep else Promise.NOT_KEPT
    promise = promise if done.changed else Promise.KEPT
    report = RewriteReport(promise, done.changed, done.skipped, difference, tuple(notes))
    return Rewrite(copy.model, report, dict(work.names))


def _refuse_missing_kinds(plan: NormPlan) -> None:
    import keras  # noqa: PLC0415 - after the backend is chosen

    for clause in plan.clauses:
        refuse_missing_kind(clause.spec.kind, keras.backend.backend())


def _residue_notes(work: Work, plan: NormPlan) -> list[str]:
    """What no plan describes; not what stands in a place that this one names."""
    wanted = {work.flat.nodes[norm].name for norm in _standing(work, plan)}
    return [
        f"{layer} is outside of any plan and was left alone: {reason}"
        for layer, reason in work.residue.items()
        if layer not in wanted
    ]


def _standing(work: Work, plan: NormPlan) -> frozenset[int]:
    """The normalizations that stand where the plan wants some."""
    return frozenset().union(*(want.stands for want in wants_of(work.placement, plan)))


def _unscaled_notes(work: Work) -> list[str]:
    return [
        f"{path} has mean 0 and variance 1, so it scales nothing; with --data it takes theirs"
        for path in work.standardized
    ]


def _left_notes(work: Work, plan: NormPlan) -> list[str]:
    """What stays because the plan doesn't name its place."""
    placement = work.placement
    scaling = left_at_input(placement, plan)
    left = sorted((scaling | left_in_head(placement, plan)) - _standing(work, plan))
    return [
        f"{node.name} {'scales the input' if norm in scaling else 'is in the head'}, which the "
        "plan doesn't name, and was left alone"
        for norm in left
        if (node := work.flat.nodes[norm]).name not in work.residue
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

"""Folding: batch normalizations become part of the linear layers beside them.

Before:  conv -> norm -> relu            After:  conv' -> relu
Before:  relu -> norm -> conv (same)     After:  relu -> + t / s -> conv'

In inference a batch normalization is a fixed scale and shift of every channel, which a linear
layer before it, or every linear layer that reads it, can do itself (`surgery.algebra`; through
which layers, says `surgery.passing`). In training it is not, so the promise is for inference only:
a folded model has lost its statistics. Regularizers penalize what weights and activities are then,
so the report names those in `model.losses` that change (`surgery.penalties`), and the constraints
that a training would apply to what was folded.

Conditions: the norm and the layer are called once and don't run in training mode; no activation
between; the same channel axis and precision. What a norm's readers can't all take over stays, and
the report says why. So does one whose fold would lose so many digits that outputs differed
(`surgery.ill_conditioned`): that is seen once they do, and then the others are folded without it.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from normwise.errors import PromiseError
from normwise.graph.editing import Draft
from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph, thaw
from normwise.keras_format.paths import layers_by_path
from normwise.keras_format.reading import read_graph
from normwise.keras_format.replay import replay
from normwise.keras_format.replayed import Replayed
from normwise.keras_format.weights import Array, Weights
from normwise.surgery.amplified import advice
from normwise.surgery.fold_plan import Plan
from normwise.surgery.ill_conditioned import farthest, ill_conditioned, may_be_rounding
from normwise.surgery.penalties import penalty_notes
from normwise.surgery.rewrite import Promise, Rewrite, RewriteReport, Skip
from normwise.surgery.running import Pair
from normwise.surgery.statistics import batch_norms
from normwise.surgery.verify import STRENGTHS, Verification, compared


def fold(model: Any, seed: int = 0) -> Rewrite:
    """Folds every batch normalization that can be folded exactly.

    Args:
        model: A live functional or Sequential model; it is not changed.
        seed: For the inputs and statistics of the verification.

    Returns:
        The folded model and its report: what each norm became part of, what stays and why.

    Raises:
        PromiseError: The outputs differ; the layer and the difference are named.
        SurgeryError: A layer can't be copied, or the model can't be run.
        ModelReadError: The model has no graph.

    Example:
        >>> fold(model).report.changed[0]
        Change(layer='conv1_bn', action='folded into conv1')
    """
    graph = read_graph(model)
    stays: dict[str, str] = {}
    least = math.inf
    while True:
        done = _folded(graph, model, {}, stays)
        for strength in STRENGTHS:
            shaken = other_statistics(model, seed, strength)
            trial = _folded(graph, model, shaken, stays)
            tried = _proved_copy(graph, model, shaken, trial, done, seed)
            if isinstance(tried, Rewrite):
                return tried
            found = tried
            gc.collect()
        # The real statistics first: others were made up for the proof, and may be worse.
        blamed = ill_conditioned(done.plan) or ill_conditioned(trial.plan)
        if not blamed and may_be_rounding(found.difference, found.tolerance):
            blamed = farthest(done.plan) if found.difference < least else {}
            least = found.difference
        if not blamed:
            raise PromiseError(
                f"model {model.name!r}: after folding, layer {found.layer!r} differs by "
                f"{found.difference:.2g} of its largest value; {found.tolerance:.0e} would count "
                f"as the same. Nothing was changed.{advice(graph, model, seed)}"
            )
        stays |= blamed


def _proved_copy(
    graph: Graph, model: Any, shaken: Mapping[int, Array], trial: _Folded, done: _Folded, seed: int
) -> Rewrite | Verification:
    """The folded copy, compared with other statistics first and then as it is; else what failed."""
    copy = replay(trial.graph, model, trial.plan.rules(), original=graph, replaced=shaken)
    proof = [compared(Pair(graph, model, copy, shaken, everywhere=False), seed)]
    if not proof[0].kept:
        return proof[0]
    shifts = _shifts(trial.graph, done.graph)
    if shifts is None or not shifts.keys() <= copy.layers.keys():
        del copy
        gc.collect()  # a Keras model refers to itself, and two copies are enough
        copy = replay(done.graph, model, done.plan.rules(), original=graph)
    else:
        for path, offset in shifts.items():
            copy.layers[path].offset = offset
        touched = copy.touched(shaken)
        copy.rules = done.plan.rules()
        copy.transfer(Weights(copy.sources), touched | copy.touched(shaken))
    proof.append(compared(Pair(graph, model, copy, everywhere=False), seed))
    if not proof[-1].kept:
        return proof[-1]
    return Rewrite(copy.model, _report(graph, model, copy, done, proof))


def other_statistics(model: Any, seed: int, strength: float = 1.0) -> dict[int, Array]:
    """Other statistics, gammas and betas for all batch norms, by the variable's `id`.

    Their signs and zeros stay, and a channel that isn't shifted isn't then, so that the model is
    folded in the same way. Means move by less than the channel varies, so that none is far from 0
    that wasn't.

    Args:
        model: The model.
        seed: For the random numbers.
        strength: Of the change; 0 would leave what is there.
    """
    rng = np.random.default_rng(seed)
    found: dict[int, Array] = {}
    for layer in batch_norms(model).values():
        values = {variable.name: Weights({}).array(variable) for variable in layer.variables}
        shifted = (values["moving_mean"] != 0) | (values.get("beta", 0) != 0)
        deviation = np.sqrt(np.abs(values["moving_variance"]) + layer.epsilon)
        moves = {"moving_mean": deviation, "renorm_mean": deviation, "beta": 1.0}
        for variable in layer.variables:
            value = values[variable.name]
            factor = rng.uniform(0.6, 1.5, value.shape) ** strength
            moved = 0.3 * strength * rng.normal(size=value.shape) * shifted
            other = value * factor + moved * moves.get(variable.name, 0.0)
            found[id(variable)] = other.astype(value.dtype)
    return found


def _shifts(trial: Graph, done: Graph, path: str = "") -> dict[str, Any] | None:
    """The shifts that stay alone, which are settings of layers; None if more differs.

    Args:
        trial: The model folded with other statistics.
        done: The model folded.
        path: Path of the layers that lead there.
    """
    found: dict[str, Any] = {}
    if replace(trial, nodes=()) != replace(done, nodes=()) or len(trial.nodes) != len(done.nodes):
        return None
    for other, node in zip(trial.nodes, done.nodes, strict=True):
        where = f"{path}{node.layer}"
        if other.model is not None and node.model is not None:
            inner = _shifts(other.model, node.model, f"{where}/")
            if inner is None or replace(other, model=None) != replace(node, model=None):
                return None
            found |= inner
        elif other != node:
            if node.class_name != "Rescaling" or replace(other, config=node.config) != node:
                return None
            found[where] = thaw(node.config["offset"])
    return found


@dataclass(frozen=True)
class _Folded:
    """A folded graph, and the plan that led to it."""

    graph: Graph
    plan: Plan


def _folded(
    graph: Graph,
    model: Any,
    replaced: Mapping[int, Array],
    stays: Mapping[str, str] | None = None,
) -> _Folded:
    draft = Draft(graph)
    layers = layers_by_path(model)
    plan = Plan(layers, Weights(layers, replaced), stays)
    plan.level(graph, draft, "")
    return _Folded(draft.freeze(), plan)


def _report(
    graph: Graph, model: Any, replayed: Replayed, done: _Folded, proof: Sequence[Verification]
) -> RewriteReport:
    changed, skipped = done.plan.changed, done.plan.skipped
    norms = batch_norms(model)
    hidden = [
        Skip(path, "it is inside a layer that is no functional model")
        for path in norms
        if path not in changed and path not in skipped
    ]
    order = {path: place for place, path in enumerate(norms)}
    copy = replayed.model
    found = len(changed) + len(skipped) + len(hidden)
    notes = (
        f"{len(changed)} of {found} batch normalizations folded",
        f"parameters: {model.count_params():,} before, {copy.count_params():,} after",
        f"calls of layers and ops: {_calls(graph):,} before, {_calls(done.graph):,} after",
        *replayed.notes,
        *penalty_notes(replayed, done.plan.penalized),
        *_constraint_notes(done.plan.constrained),
        *dict.fromkeys(note for found in proof for note in found.notes),
    )
    return RewriteReport(
        Promise.KEPT_IN_INFERENCE,
        tuple(sorted(changed.values(), key=lambda c: order.get(c.layer, 0))),
        tuple(sorted([*skipped.values(), *hidden], key=lambda s: order.get(s.layer, 0))),
        max(found.difference for found in proof),
        notes,
    )


def _constraint_notes(constrained: Mapping[str, Sequence[str]]) -> list[str]:
    return [
        f"{path} has a {name}, which a training step would apply to the folded "
        + ("bias" if name == "bias_constraint" else "kernel")
        for path, names in constrained.items()
        for name in names
    ]


def _calls(graph: Graph) -> int:
    """Calls with nested models opened, inputs left out."""
    return sum(node.class_name != "InputLayer" for node in flatten(graph).nodes)

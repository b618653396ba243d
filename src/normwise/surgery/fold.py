"""Folding: batch normalizations become part of the linear layers beside them.

Before:  conv -> norm -> relu            After:  conv' -> relu
Before:  relu -> norm -> conv (same)     After:  relu -> + t / s -> conv'

In inference a batch normalization is a fixed scale and shift of every channel, which a linear
layer before it, or every linear layer that reads it, can do itself (`surgery.algebra`; through
which layers, says `surgery.passing`). In training it is not, so the promise is for inference only:
a folded model has lost its statistics.

Conditions: the norm and the layer are called once and don't run in training mode; no activation
between; the same channel axis and precision. What a norm's readers can't all take over stays, and
the report says why.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from normwise.errors import PromiseError
from normwise.graph.editing import Draft
from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph
from normwise.keras_format.paths import layers_by_path
from normwise.keras_format.reading import read_graph
from normwise.keras_format.replay import Replayed, replay
from normwise.keras_format.weights import LayerWeights, WeightRule, Weights
from normwise.surgery.fold_plan import Plan
from normwise.surgery.rewrite import Change, Promise, Report, Rewrite, Skip
from normwise.surgery.statistics import batch_norms
from normwise.surgery.verify import Verification, verify_as_it_is


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
    shaken = _shaken(graph, model, seed)
    proof = [_proved(graph, shaken, _folded(graph, shaken).replayed, seed)]
    del shaken
    done = _folded(graph, model)
    proof.append(_proved(graph, model, done.replayed, seed))
    worst = max(verification.difference for verification in proof)
    return Rewrite(done.replayed.model, _report(graph, model, done, worst))


def _proved(graph: Graph, source: Any, copy: Replayed, seed: int) -> Verification:
    found = verify_as_it_is(graph, source, copy, seed)
    if not found.kept:
        raise PromiseError(
            f"model {source.name!r}: after folding, layer {found.layer!r} differs by "
            f"{found.difference:.2g} of its largest value; {found.tolerance:.0e} would count as "
            "the same. Nothing was changed."
        )
    return found


def _shaken(graph: Graph, model: Any, seed: int) -> Any:
    """A copy with other statistics, gammas and betas.

    Their signs and zeros stay, so that it is folded in the same way.
    """
    rng = np.random.default_rng(seed)
    copy = replay(graph, model, original=graph).model
    for layer in batch_norms(copy).values():
        for variable in layer.variables:
            value = Weights({}).array(variable)
            factor = rng.uniform(0.6, 1.5, value.shape)
            moved = 0.3 * rng.normal(size=value.shape)
            signed = variable.name in ("moving_mean", "beta", "renorm_mean")
            other = value * factor + (moved if signed else 0.0)
            variable.assign(other.astype(value.dtype))
    return copy


@dataclass
class _Done:
    """A model that is folded, and what became of each norm."""

    replayed: Replayed
    changed: dict[str, Change] = field(default_factory=dict)
    skipped: dict[str, Skip] = field(default_factory=dict)


def _folded(graph: Graph, model: Any) -> _Done:
    draft = Draft(graph)
    layers = layers_by_path(model)
    plan = Plan(layers, Weights(layers))
    plan.level(graph, draft, "")
    rules: dict[str, WeightRule] = {path: _rule(kept) for path, kept in plan.arrays.items()}
    copy = replay(draft.freeze(), model, rules, original=graph)
    return _Done(copy, plan.changed, plan.skipped)


def _rule(arrays: LayerWeights) -> WeightRule:
    def rule(weights: Weights) -> LayerWeights:
        return arrays

    return rule


def _report(graph: Graph, model: Any, done: _Done, worst: float) -> Report:
    changed, skipped = done.changed, done.skipped
    norms = batch_norms(model)
    hidden = [
        Skip(path, "it is inside a layer that is no functional model")
        for path in norms
        if path not in changed and path not in skipped
    ]
    order = {path: place for place, path in enumerate(norms)}
    copy = done.replayed.model
    found = len(changed) + len(skipped) + len(hidden)
    notes = (
        f"{len(changed)} of {found} batch normalizations folded",
        f"parameters: {model.count_params():,} before, {copy.count_params():,} after",
        f"calls of layers and ops: {_calls(graph):,} before, {_calls(read_graph(copy)):,} after",
        *done.replayed.notes,
    )
    return Report(
        Promise.KEPT_IN_INFERENCE,
        tuple(sorted(changed.values(), key=lambda c: order.get(c.layer, 0))),
        tuple(sorted([*skipped.values(), *hidden], key=lambda s: order.get(s.layer, 0))),
        worst,
        notes,
    )


def _calls(graph: Graph) -> int:
    """Calls with nested models opened, inputs left out."""
    return sum(node.class_name != "InputLayer" for node in flatten(graph).nodes)

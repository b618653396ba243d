"""Drops the biases that a normalization right behind cancels.

Before: `batch(linear(x) + b)`. After: `batch'(linear(x))`, with moving_mean' = moving_mean - b.

Algebra: a batch norm subtracts the mean of each channel, in training the batch's, in inference
the moving one; a constant in its channel goes with it. So does one in each channel's own group.

Conditions: the normalization takes its mean over each channel alone and is the only reader of the
layer, at all of the layer's calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from normwise.graph.catalogue import has_bias
from normwise.graph.channels import channels_of
from normwise.keras_format.weights import Weights
from normwise.norms.kinds import cancels_bias, spec_of
from normwise.surgery.edits import Want, Where
from normwise.surgery.rewrite import Change
from normwise.surgery.routes import KINDS
from normwise.surgery.work import Step, Work


def drop_biases(work: Work, wants: Sequence[Want]) -> list[Change]:
    """Drops the biases of the layers that the plan normalizes before their activation.

    Args:
        work: The rewrite, all normalizations in their places.
        wants: The places that the plan wants normalized.
    """
    by_layer: dict[str, list[Want]] = {}
    for want in wants:
        if want.where is Where.BEFORE_ACTIVATION:
            by_layer.setdefault(work.flat.nodes[want.tensor].layer, []).append(want)
    changes = []
    for layer, places in by_layer.items():
        norms = [_norm_path(work, want) for want in places]
        if len(places) != len(work.flat.calls[layer]) or None in norms:
            continue
        if not _is_dead(work, places[0]):
            continue
        spot = work.levels.spot(places[0].tensor)
        path = work.levels.layer_path(spot)
        work.configure(spot, {"use_bias": False})
        work.rule(path, _without_bias)
        for norm in dict.fromkeys(norms):
            work.rule(str(norm), _shifted(path))
        changes.append(Change(path, f"bias dropped, {norms[0]} cancels it"))
    return changes


def _is_dead(work: Work, want: Want) -> bool:
    node, channels = work.flat.nodes[want.tensor], channels_of(work.flat, want.tensor)
    usable = node.class_name in KINDS and has_bias(node) and channels is not None
    return usable and cancels_bias(_spec(work, want), channels or 0)


def _spec(work: Work, want: Want) -> Any:
    if want.tensor in work.norm_before_activation or not want.stands:
        return want.spec
    return spec_of(work.flat.nodes[min(want.stands)]) or want.spec


def _norm_path(work: Work, want: Want) -> str | None:
    """The normalization that alone reads the layer, None if there is none."""
    edited = work.norm_before_activation.get(want.tensor)
    if edited is not None:
        return edited
    for norm in want.stands:
        if work.immediate(want.tensor) == {norm}:
            return work.levels.layer_path(work.levels.spot(norm))
    return None


def _without_bias(source: Weights, values: dict[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in values.items() if name != "bias"}


def _shifted(linear: str) -> Step:
    def step(source: Weights, values: dict[str, Any]) -> Mapping[str, Any]:
        bias = source.of(linear)["bias"]
        means = [name for name in ("moving_mean", "renorm_mean") if name in values]
        return {**values, **{name: np.asarray(values[name] - bias) for name in means}}

    return step

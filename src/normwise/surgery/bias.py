"""Drops the biases that a normalization right behind cancels.

Before: `batch(linear(x) + b)`. After: `batch'(linear(x))`, with moving_mean' = moving_mean - b.

Algebra: a batch norm subtracts the mean of each channel, in training the batch's, in inference
the moving one; a constant in its channel goes with it. So does one in each channel's own group.

Conditions: the normalization takes its mean over each channel alone and is the only reader of the
layer, at all of the layer's calls; it reads nothing else; no activation stands between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from normwise.graph.catalogue import activation_of, has_bias
from normwise.graph.channels import channels_of, output_channel_axis
from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph, Tensor
from normwise.keras_format.weights import Weights
from normwise.norms.kinds import cancels_bias, spec_of
from normwise.surgery.edits import Want, Where
from normwise.surgery.rewrite import Change
from normwise.surgery.routes import is_linear
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
    edited = flatten(work.freeze())
    changes = []
    for layer, places in by_layer.items():
        spot = work.levels.spot(places[0].tensor)
        if len(places) != len(work.flat.calls[layer]) or not _has_bias(work, places[0]):
            continue
        norms = _cancelling(edited, layer)
        if not norms:
            continue
        path = work.levels.layer_path(spot)
        work.configure(spot, {"use_bias": False})
        work.rule(path, _without_bias)
        for norm in norms:
            work.rule(norm, _shifted(path))
        changes.append(Change(path, f"bias dropped, {norms[0]} cancels it"))
    return changes


def _has_bias(work: Work, want: Want) -> bool:
    node = work.flat.nodes[want.tensor]
    return is_linear(node) and has_bias(node)


def _cancelling(edited: Graph, layer: str) -> list[str]:
    """The normalizations that cancel a layer's bias, none if anything else sees it.

    Args:
        edited: The flattened graph as it will be.
        layer: The layer, by its path.
    """
    calls = edited.calls[layer]
    norms: dict[str, None] = {}
    for index in calls:
        readers = edited.consumers[index]
        if len(readers) != 1 or Tensor(index) in edited.output_tensors:
            return []
        if not _cancels(edited, index, readers[0]):
            return []
        norms[edited.nodes[readers[0]].layer] = None
    # The mean of a normalization moves for all that it reads.
    read = [edited.producers[i][0] for norm in norms for i in edited.calls[norm]]
    return list(norms) if sorted(read) == sorted(calls) else []


def _cancels(edited: Graph, linear: int, norm: int) -> bool:
    before, node = edited.nodes[linear], edited.nodes[norm]
    spec, channels = spec_of(node), channels_of(edited, linear)
    if activation_of(before) is not None or spec is None or channels is None:
        return False
    if not cancels_bias(spec, channels):
        return False
    rank = len(before.shape or ())
    axis = node.config.get("axis", -1)
    axes = axis if isinstance(axis, tuple) else (axis,)
    own = output_channel_axis(edited, linear) % rank
    return [a % rank for a in axes] == [own]


def _without_bias(source: Weights, values: dict[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in values.items() if name != "bias"}


def _shifted(linear: str) -> Step:
    def step(source: Weights, values: dict[str, Any]) -> Mapping[str, Any]:
        bias = source.of(linear)["bias"]
        means = [name for name in ("moving_mean", "renorm_mean") if name in values]
        return {**values, **{name: np.asarray(values[name] - bias) for name in means}}

    return step

"""Drops the biases that a normalization right after them cancels, and puts biases back.

Before: `batch(linear(x) + b)`. After: `batch'(linear(x))`, with moving_mean' = moving_mean - b.
A bias that is put where none was is zero; where outputs needn't be kept, a layer gets one whose
norm has left its place right after it.

Algebra: a batch norm subtracts the mean of each channel, in training the batch's, in inference
the moving one; a constant in its channel goes with it. So does one in each channel's own group.

Conditions: the normalization takes its mean over each channel alone and is the only reader of the
layer, at all of the layer's calls; it reads nothing else; no activation stands between, and
nothing else that does anything, such as regularizing its activity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from normwise.graph.catalogue import (
    Role,
    activation_of,
    has_bias,
    regularizes_activity,
    role_of,
)
from normwise.graph.channels import channels_of, output_channel_axis
from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph, Node, Tensor
from normwise.keras_format.weights import Weights
from normwise.norms.kinds import KINDS, cancels_bias, spec_of
from normwise.surgery.edits import Want, Where
from normwise.surgery.rewrite import Change
from normwise.surgery.routes import is_linear
from normwise.surgery.sites import IN_SEVERAL
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
    made = (
        drop_bias(work, layer, edited)
        for layer, places in by_layer.items()
        if len(places) == len(work.flat.calls[layer])
    )
    return [change for change in made if isinstance(change, Change)]


def drop_bias(work: Work, layer: str, edited: Graph) -> Change | str:
    """Drops the bias of a layer.

    Args:
        work: The rewrite, all normalizations in their places.
        layer: Its path.
        edited: The flattened graph as it will be.

    Returns:
        The change, or why there is none.
    """
    first = work.flat.calls[layer][0]
    if not (is_linear(work.flat.nodes[first]) and has_bias(work.flat.nodes[first])):
        return "it has no bias"
    if regularizes_activity(edited.nodes[edited.calls[layer][0]]):
        return "its activity is regularized, which its bias is part of"
    norms = _cancelling(edited, layer)
    if not norms:
        return "no normalization right after all of its calls cancels its bias"
    if not work.shared.isdisjoint((layer, *norms)):
        return "it stands elsewhere in the model too, or the normalization does"
    work.configure(work.levels.spot(first), {"use_bias": False})
    work.rule(layer, _without_bias)
    for norm in norms:
        work.rule(norm, _shifted(layer))
    return Change(layer, f"bias dropped, {norms[0]} cancels it")


def add_bias(work: Work, index: int) -> Change | str:
    """Gives a layer without a bias one that is zero.

    Args:
        work: The rewrite.
        index: A call of the layer in the flattened graph.

    Returns:
        The change, or why there is none.
    """
    node, channels = work.flat.nodes[index], channels_of(work.flat, index)
    if not is_linear(node) or has_bias(node):
        return "it has a bias, or can't have one"
    if node.layer in work.shared:
        return IN_SEVERAL
    if channels is None:
        return "the number of its channels is not known"
    spot = work.levels.spot(index)
    work.configure(spot, {"use_bias": True})
    work.rule(node.layer, _with_zero_bias(channels))
    return Change(node.layer, "has a bias now, of zero")


def restore_bias(work: Work, norm: int, edited: Graph) -> str:
    """Gives the layer right before a norm that has left its place a bias, if it has no offset now.

    Args:
        work: The rewrite, all normalizations in their places.
        norm: A normalization of the source that was taken out or moved.
        edited: The flattened graph as it will be.

    Returns:
        The end of a sentence about the normalization; nothing where nothing was missing.
    """
    flat, before = work.flat, _read(work.flat, norm)
    linear = flat.nodes[before]
    if not is_linear(linear) or activation_of(linear) is not None or not _shifts(flat, norm):
        return ""
    calls = edited.calls.get(linear.layer, ())
    if not calls or has_bias(edited.nodes[calls[0]]) or _cancelling(edited, linear.layer):
        return ""
    return bias_again(work, before)


def bias_again(work: Work, index: int) -> str:
    """Gives a layer its bias back; says so, or why not, as the end of a sentence."""
    made, name = add_bias(work, index), work.flat.nodes[index].name
    if made == IN_SEVERAL:
        return f"; {name} has no bias and gets none: {made}"
    return f"; {name} has its bias again" if isinstance(made, Change) else ""


def _shifts(flat: Graph, norm: int) -> bool:
    """Whether a normalization has a beta, or makes a bias before it useless."""
    spec, channels = spec_of(flat.nodes[norm]), channels_of(flat, norm)
    if spec is None or channels is None:
        return False
    settings = {**KINDS[spec.kind].defaults, **dict(spec.args)}
    return bool(settings.get("center", False)) or cancels_bias(spec, channels)


def _cancelling(edited: Graph, layer: str) -> list[str]:
    """The normalizations that cancel a layer's bias, none if anything else sees it.

    Args:
        edited: The flattened graph as it will be.
        layer: The layer, by its path.
    """
    calls = edited.calls[layer]
    norms: dict[str, None] = {}
    for index in calls:
        reader = _only_reader(edited, index)
        if reader is None or not _cancels(edited, index, reader):
            return []
        norms[edited.nodes[reader].layer] = None
    # The mean of a normalization moves for all that it reads.
    read = [_read(edited, i) for norm in norms for i in edited.calls[norm]]
    return list(norms) if sorted(read) == sorted(calls) else []


def _only_reader(edited: Graph, index: int) -> int | None:
    """What reads a tensor, behind what does nothing; None if there are more."""
    while True:
        readers = edited.consumers[index]
        if len(readers) != 1 or Tensor(index) in edited.output_tensors:
            return None
        if not _does_nothing(edited.nodes[readers[0]]):
            return readers[0]
        index = readers[0]


def _read(edited: Graph, norm: int) -> int:
    """What makes the tensor that a normalization reads, before what does nothing."""
    index = edited.producers[norm][0]
    while _does_nothing(edited.nodes[index]):
        index = edited.producers[index][0]
    return index


def _does_nothing(node: Node) -> bool:
    """Whether a call changes nothing, in training neither."""
    if role_of(node) is not Role.PASS or len(node.inputs) != 1:
        return False
    if regularizes_activity(node):
        return False  # its penalty would be that of other numbers
    return node.class_name in {"Identity", "Activation"} or node.config.get("rate") == 0


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


def _with_zero_bias(channels: int) -> Step:
    def step(source: Weights, values: dict[str, Any]) -> Mapping[str, Any]:
        return {**values, "bias": np.zeros(channels, "float32")}

    return step


def _shifted(linear: str) -> Step:
    def step(source: Weights, values: dict[str, Any]) -> Mapping[str, Any]:
        bias = source.of(linear)["bias"]
        means = [name for name in ("moving_mean", "renorm_mean") if name in values]
        return {**values, **{name: np.asarray(values[name] - bias) for name in means}}

    return step

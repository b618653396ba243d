"""How a scale and a shift of every channel pass layers that are no linear layers.

A map s x + t of every channel changes places with average pooling, up-sampling, cropping, global
averages and what does nothing in inference; with maxima where s is positive; with zero padding
only if t is zero. A concatenation parts it, or widens it by channels that it leaves alone; behind
`Flatten` each value has the map of the channel that it came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from normwise.graph.catalogue import Role, activation_of, data_format, role_of
from normwise.graph.graph import Graph, Node, Tensor, TensorSpec
from normwise.surgery.algebra import Doubles


@dataclass(frozen=True)
class Affine:
    """A scale and a shift of every channel of a tensor.

    Attributes:
        axis: The axis of the channels, counted from the front.
        rank: Number of axes of the tensor, batch included.
        scale: float64 of shape `(channels,)`.
        shift: Likewise.
    """

    axis: int
    rank: int
    scale: Doubles
    shift: Doubles


class BlockedError(Exception):
    """A map can't go further; the text says why, to stand behind "layer ...: "."""


def makes_floats(read: TensorSpec) -> str | None:
    """Why a norm can't go without another in its place: it turns whole numbers into floats."""
    if (read.dtype or "float32").startswith(("float", "bfloat")):
        return None
    return f"it makes floating-point numbers of {read.dtype} values, as what reads it needs them"


_IDENTITIES = frozenset(
    ["Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout",
     "GaussianNoise", "AlphaDropout", "Identity", "ActivityRegularization"]
)  # fmt: skip
_LINEAR_RESIZES = frozenset({"nearest", "bilinear"})


def through(node: Node, affine: Affine, forward: bool) -> Affine:
    """The map on the other side of a layer with one input and one output.

    Args:
        node: A call of such a layer.
        affine: The map behind it, or before it if `forward`.
        forward: Whether the map goes on to the layer's result, or back to its input.

    Raises:
        BlockedError: The layer doesn't change places with it.
    """
    if not is_keras(node):
        raise BlockedError(f"{_said(node)} is in between")
    if in_training(node):
        raise BlockedError(f"{_said(node)} is called in training mode")
    name = node.class_name
    if name in _IDENTITIES or (name == "Activation" and activation_of(node) is None):
        return affine
    kind = name[:-2] if name.endswith(_RANKS) else ""
    if kind in _GLOBAL:
        return _global_pooling(node, affine, forward)
    if kind not in _SPATIAL:
        raise BlockedError(f"{_said(node)} is in between")
    if affine.axis != spatial_channel_axis(node, affine.rank):
        raise BlockedError(f"{_said(node)} has its channels on another axis")
    if kind == "MaxPooling":
        _check_maximum(node, affine)
    if kind == "UpSampling" and node.config.get("interpolation", "nearest") not in _LINEAR_RESIZES:
        raise BlockedError(f"{_said(node)} interpolates in another way than linearly")
    if kind == "ZeroPadding" and np.any(affine.shift):
        raise BlockedError(f"{_said(node)} pads zeros in between, which the shift would change")
    return affine


_RANKS = ("1D", "2D", "3D")
_GLOBAL = ("GlobalAveragePooling", "GlobalMaxPooling")
_SPATIAL = ("AveragePooling", "MaxPooling", "UpSampling", "Cropping", "ZeroPadding")


def is_keras(node: Node) -> bool:
    """Whether it is what its class name says: a user's class may have the name of one of Keras'."""
    return (node.module or "").partition(".")[0] == "keras"


def pads_zeros(node: Node) -> bool:
    """Whether a scale passes the layer and a shift doesn't."""
    return is_keras(node) and node.class_name.startswith("ZeroPadding")


def without_shift(affine: Affine) -> Affine:
    """The scale alone."""
    return replace(affine, shift=np.zeros_like(affine.shift))


def both(first: Affine, second: Affine) -> Affine:
    """Two maps of a tensor, one after the other."""
    shift = second.scale * first.shift + second.shift
    return replace(first, scale=second.scale * first.scale, shift=shift)


def spatial_channel_axis(node: Node, rank: int) -> int:
    """The channel axis of a layer over space."""
    return 1 if data_format(node) == "channels_first" else rank - 1


def parted(graph: Graph, node: Node, affine: Affine) -> list[tuple[Tensor, Affine]]:
    """A map behind a concatenation or a sum as maps of each of its inputs.

    Raises:
        BlockedError: A channel count isn't known.
    """
    if node.class_name == "Add":
        ranks = {len(graph.spec(tensor).shape or ()) for tensor in node.inputs}
        if ranks != {affine.rank}:
            raise BlockedError(f"{_said(node)} adds tensors of several ranks")
        rest, shifts = without_shift(affine), _ways_of_shifts(graph)
        # One of them takes the shift: the first before which no zeros are padded.
        ways = (i for i, tensor in enumerate(node.inputs) if shifts[tensor.node])
        chosen = next(ways, 0)
        return [(t, affine if i == chosen else rest) for i, t in enumerate(node.inputs)]
    if concatenated_axis(node, affine.rank) != affine.axis:
        return [(tensor, affine) for tensor in node.inputs]
    maps, start = [], 0
    for tensor, width in zip(node.inputs, _widths(graph, node, affine.axis), strict=True):
        part = slice(start, start + width)
        maps.append((tensor, replace(affine, scale=affine.scale[part], shift=affine.shift[part])))
        start += width
    return maps


def _ways_of_shifts(graph: Graph) -> Sequence[bool]:
    """For each node whether what lies before it, up to linear layers, lets a shift pass."""
    if _IN_GRAPH not in graph.memo:
        found: list[bool] = []
        for node, producers in zip(graph.nodes, graph.producers, strict=True):
            before = [found[index] for index in producers]
            passes = any(before) if node.class_name == "Add" else all(before)
            found.append(role_of(node) is Role.LINEAR or (passes and not pads_zeros(node)))
        graph.memo[_IN_GRAPH] = tuple(found)
    ways: Sequence[bool] = graph.memo[_IN_GRAPH]
    return ways


_IN_GRAPH = "ways of shifts back to linear layers"


def flattened(graph: Graph, node: Node, affine: Affine) -> Affine:
    """A map of what `Flatten` reads as a map of its result: each value has that of its channel.

    Raises:
        BlockedError: A size isn't known.
    """
    shape = graph.spec(node.inputs[0]).shape
    sizes = [size for size in (shape or ())[1:] if size is not None]
    if shape is None or len(sizes) != affine.rank - 1 or affine.axis == 0:
        raise BlockedError(f"{_said(node)} flattens axes of unknown sizes")
    along = [1] * len(sizes)
    along[affine.axis - 1] = -1
    channels = np.broadcast_to(np.arange(len(affine.scale)).reshape(along), sizes)
    if data_format(node) == "channels_first":  # then Keras puts the channels last before
        channels = np.moveaxis(channels, 0, -1)
    order = channels.reshape(-1)
    return Affine(1, 2, affine.scale[order], affine.shift[order])


def widened(graph: Graph, node: Node, tensor: Tensor, affine: Affine) -> Affine:
    """A map of one input of a concatenation as a map of its result.

    Raises:
        BlockedError: It joins other axes, or a channel count isn't known.
    """
    if concatenated_axis(node, affine.rank) != affine.axis:
        raise BlockedError(f"{_said(node)} joins it with others along another axis than channels")
    widths = _widths(graph, node, affine.axis)
    own = [t == tensor for t in node.inputs]
    return replace(
        affine,
        scale=np.concatenate(
            [affine.scale if mine else np.ones(w) for mine, w in zip(own, widths, strict=True)]
        ),
        shift=np.concatenate(
            [affine.shift if mine else np.zeros(w) for mine, w in zip(own, widths, strict=True)]
        ),
    )


def concatenated_axis(node: Node, rank: int) -> int:
    """The axis along which a concatenation joins, counted from the front."""
    return int(node.config.get("axis", -1)) % rank


def _widths(graph: Graph, node: Node, axis: int) -> Sequence[int]:
    found = []
    for tensor in node.inputs:
        shape = graph.spec(tensor).shape
        if shape is None or shape[axis] is None:
            raise BlockedError(f"{_said(node)} joins tensors whose channels aren't known")
        found.append(int(shape[axis] or 0))
    return found


def _global_pooling(node: Node, affine: Affine, forward: bool) -> Affine:
    if node.class_name.startswith("GlobalMax"):
        _check_maximum(node, affine)
    keeps = bool(node.config.get("keepdims"))
    spatial = int(node.class_name[-2])
    before = spatial_channel_axis(node, spatial + 2)
    here, there = (before, before if keeps else 1)
    if affine.axis != (here if forward else there):
        raise BlockedError(f"{_said(node)} has its channels on another axis")
    if forward:
        return replace(affine, axis=there, rank=spatial + 2 if keeps else 2)
    return replace(affine, axis=here, rank=spatial + 2)


def _check_maximum(node: Node, affine: Affine) -> None:
    negative = int((affine.scale <= 0).sum())
    if negative:
        raise BlockedError(
            f"{_said(node)} takes maxima in between, and gamma isn't positive in {negative} of "
            f"{len(affine.scale)} channels"
        )


def in_training(node: Node) -> bool:
    """Whether a call of a layer or model says that it is always in training mode."""
    return bool(node.kwargs.get("training")) or (not node.is_op and True in node.args[1:])


def _said(node: Node) -> str:
    return f"{node.class_name} {node.name!r}"

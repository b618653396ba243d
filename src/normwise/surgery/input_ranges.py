"""What range of values a model expects at an input, told by its own scaling.

A model that divides by 65535 at its input computes hardly anything of numbers around 1: its biases
hide whatever its kernels do. The first layers and ops that read an input say what it is made for,
as long as each of them is a fixed scale and shift: `Rescaling`, `Normalization`, a batch
normalization with its moving statistics, and sums and products with constants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from normwise.graph.catalogue import Role, role_of
from normwise.graph.graph import Graph, Node, Shape, Tensor
from normwise.surgery.moments import Array

UNCHANGED: tuple[Any, Any] = (1.0, 0.0)
"""Scale and shift of what changes nothing."""


@dataclass(frozen=True)
class InputRange:
    """What a model makes of an input first: `scale * x + shift`.

    Attributes:
        scale: Not 0 anywhere; shaped so that it can be multiplied with the input.
        shift: Likewise.
    """

    scale: Array
    shift: Array

    def raw(self, values: Array) -> Array:
        """The input of which the model makes these values.

        Args:
            values: What the first learned layer should read, for example of mean 0 and variance 1.
        """
        return np.asarray((values - self.shift) / self.scale)


def input_range(flat: Graph, layers: Mapping[str, Any], index: int) -> InputRange | None:
    """The range of an input, None where the model doesn't scale it.

    Args:
        flat: The model's graph, nested models opened.
        layers: Its live layers by path.
        index: The input's node.
    """
    scale, shift = (np.asarray(value, "float64") for value in UNCHANGED)
    scaled, following = False, _step(flat, layers, index)
    while following is not None:
        index, factor, offset = following
        scaled |= np.ndim(factor) > 0 or np.ndim(offset) > 0 or (factor, offset) != UNCHANGED
        scale, shift = np.asarray(scale * factor), np.asarray(shift * factor + offset)
        following = _step(flat, layers, index)
    usable = scaled and np.isfinite(scale).all() and np.isfinite(shift).all() and scale.all()
    return InputRange(scale, shift) if usable else None


_Step = tuple[int, Any, Any]


def _step(flat: Graph, layers: Mapping[str, Any], index: int) -> _Step | None:
    """The first reader of a tensor that is a fixed scale and shift of it, and these."""
    for reader in flat.consumers[index]:
        node = flat.nodes[reader]
        found = _affine(node, layers.get(node.layer), Tensor(index))
        if found is not None:
            return reader, *found
    return None


def _affine(node: Node, layer: Any, tensor: Tensor) -> tuple[Any, Any] | None:
    if node.is_op and node.class_name in _OPS:
        return _of_op(node, tensor)
    if role_of(node) is Role.PASS:
        return UNCHANGED
    if layer is None or node.inputs != (tensor,):
        return None
    if node.class_name == "Rescaling":
        return _of_rescaling(node, layer)
    statistics = _STATISTICS.get(node.class_name)
    return None if statistics is None else statistics(node, layer)


def _of_rescaling(node: Node, layer: Any) -> tuple[Any, Any] | None:
    """As Keras does it, which shapes the scale alone, and goes by the global setting."""
    import keras  # noqa: PLC0415 - after the backend is chosen

    scale, offset = (np.asarray(value, "float64") for value in (layer.scale, layer.offset))
    if scale.ndim and keras.config.image_data_format() == "channels_first":
        scale = scale.reshape(scale.shape + (1,) * (3 - scale.ndim))
    fits = all(_fits(value.shape, node.shape or ()) for value in (scale, offset))
    return (scale, offset) if fits else None


def _fits(shape: Sequence[int], tensor: Shape) -> bool:
    """Whether an array can be multiplied with a tensor of any size without making it larger."""
    pairs = zip(reversed(shape), reversed(tensor), strict=False)
    return len(shape) <= len(tensor) and all(a in (1, b) for a, b in pairs)


_OPS = frozenset({"Add", "Subtract", "Multiply", "Divide", "TrueDivide"})


def _of_op(node: Node, tensor: Tensor) -> tuple[Any, Any] | None:
    """A sum or product of a tensor and a constant: the 255 in `x / 255`."""
    if len(node.args) != 2 or node.args.count(tensor) != 1:
        return None
    first = node.args[0] == tensor
    constant = node.args[1] if first else node.args[0]
    if isinstance(constant, bool) or not isinstance(constant, (int, float)):
        return None
    if node.class_name == "Add":
        return 1.0, float(constant)
    if node.class_name == "Multiply":
        return float(constant), 0.0
    if node.class_name == "Subtract":
        return (1.0, -float(constant)) if first else (-1.0, float(constant))
    return (1.0 / constant, 0.0) if first and constant else None


def _of_normalization(node: Node, layer: Any) -> tuple[Any, Any] | None:
    mean, variance = (getattr(layer, name, None) for name in ("mean", "variance"))
    if mean is None or variance is None:  # not adapted yet
        return None
    deviation = np.maximum(np.sqrt(_array(variance)), 1e-7)
    if node.config.get("invert"):
        return deviation, _array(mean)
    return 1 / deviation, -_array(mean) / deviation


def _of_batch_normalization(node: Node, layer: Any) -> tuple[Any, Any] | None:
    rank, axis = len(node.shape or ()), layer.axis
    if not rank or not isinstance(axis, int):
        return None
    shape = [1] * rank
    shape[axis] = -1
    mean, variance = (_array(v).reshape(shape) for v in (layer.moving_mean, layer.moving_variance))
    deviation = np.sqrt(np.abs(variance) + layer.epsilon)
    return 1 / deviation, -mean / deviation


_STATISTICS: Mapping[str, Any] = {
    "Normalization": _of_normalization,
    "BatchNormalization": _of_batch_normalization,
    "SyncBatchNormalization": _of_batch_normalization,
}


def _array(value: Any) -> Array:
    import keras  # noqa: PLC0415 - after the backend is chosen

    return np.asarray(keras.ops.convert_to_numpy(value), "float64")

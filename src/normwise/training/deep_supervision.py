"""Heads on coarser levels of a decoder, each taught with labels of its own size.

The first output of a network is its main one; with deep supervision there are others behind it.
They help the gradients in training (Lee et al. 2015, arXiv:1409.5185; here as in nnU-Net) and are
left out of the finished model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from normwise.errors import NetworkError
from normwise.training.loading import Array, Batch

Size = tuple[int, ...]


def head_weights(count: int) -> tuple[float, ...]:
    """The weights of the heads' losses, from the main one on: 1, 1/2, 1/4, ... with sum 1."""
    halves = [0.5**index for index in range(count)]
    return tuple(half / sum(halves) for half in halves)


def head_sizes(model: keras.Model, patch: Sequence[int]) -> tuple[Size, ...]:
    """The spatial size of each output for patches of a size, the main one first.

    Args:
        model: A model with linear outputs.
        patch: The size of a patch along each spatial axis, in pixels.

    Raises:
        NetworkError: If the main output is not of the patch's size, or another is no whole part
            of it.
    """
    shapes = model.compute_output_shape((1, *patch, model.inputs[0].shape[-1]))
    shapes = shapes if isinstance(shapes, list) else [shapes]
    sizes = tuple(tuple(int(side) for side in shape[1:-1]) for shape in shapes)
    for index, size in enumerate(sizes):
        whole = all(side and not own % side for own, side in zip(patch, size, strict=True))
        if not whole or (index == 0 and size != tuple(patch)):
            raise NetworkError(
                f"Output {index + 1} of {model.name} has {size} pixels for a patch of "
                f"{tuple(patch)}; expected the patch's size for the first output, and a whole "
                "part of it for the others."
            )
    return sizes


@dataclass(frozen=True)
class Supervised:
    """Brings the labels of a batch to the size of each head.

    Class ids are taken at the nearest pixel, whose weight they keep; values are the mean of their
    block under their weights, and the mean of those is their weight.

    Args:
        sizes: The spatial size of each head.
        values: Whether labels are values, with channels, and no class ids.
        prepare: What is done to a batch before.
    """

    sizes: tuple[Size, ...]
    values: bool
    prepare: Callable[[Batch], Batch]

    def __call__(self, batch: Batch) -> Any:
        """Images, and the labels and the weights of every head."""
        images, labels, weights = self.prepare(batch)
        shrink = _mean if self.values else _nearest
        each = [shrink(labels, weights, size) for size in self.sizes]
        # Tuples: Keras takes a list in a batch for one array on TensorFlow.
        return images, tuple(label for label, _ in each), tuple(weight for _, weight in each)


def _nearest(labels: Array, weights: Array, size: Size) -> tuple[Array, Array]:
    for axis, side in enumerate(size, start=1):
        step = labels.shape[axis] // side
        places = np.arange(side) * step + step // 2
        labels, weights = labels.take(places, axis), weights.take(places, axis)
    return labels, weights


def _mean(labels: Array, weights: Array, size: Size) -> tuple[Array, Array]:
    if labels.shape[1:-1] == size:
        return labels, weights
    total = _blocks(np.where(weights > 0, labels, 0) * weights, size)
    weight = _blocks(weights, size)
    mean = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    return mean.astype(np.float32), weight.astype(np.float32)


def _blocks(values: Array, size: Size) -> Array:
    """The mean of each block, where the last axis holds channels."""
    shape = [values.shape[0]]
    for side, own in zip(size, values.shape[1:-1], strict=True):
        shape += [side, own // side]
    blocks = values.reshape(*shape, values.shape[-1])
    mean: Array = blocks.mean(axis=tuple(range(2, 2 * len(size) + 1, 2)), dtype=np.float64)
    return mean

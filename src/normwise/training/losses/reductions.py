"""What every loss does with weights, whatever the number of spatial axes."""

from typing import Any

from keras import ops

Tensor = Any


def valid(truth: Tensor, weight: Tensor) -> Tensor:
    """Truth with zeros where it is ignored.

    Zero times NaN is NaN, and an ignored class id such as 255 has no channel.
    """
    return ops.where(ops.cast(weight, "float32") > 0, truth, ops.zeros_like(truth))


def weighted_mean(each: Tensor, weight: Tensor) -> Tensor:
    """The mean of `each` under weights of the same shape; 0 if all of them are 0."""
    weight = ops.cast(weight, each.dtype)
    return ops.divide_no_nan(ops.sum(each * weight), ops.sum(weight))


def channel_sums(values: Tensor) -> Tensor:
    """Sums over the batch and all spatial axes, shape (channels,)."""
    return ops.sum(values, axis=tuple(range(len(values.shape) - 1)))

"""From linear outputs to the units of the targets, in layers of Keras alone and in NumPy."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from normwise.training.distribution import MEAN_AND_STD, Distribution
from normwise.training.losses.regression import LARGEST_LOG_VARIANCE

Values = npt.NDArray[Any]
_FLOAT: Any = "float32"


def unit_layers(
    linear: Any, distribution: Distribution, mean: Sequence[float], std: Sequence[float]
) -> Any:
    """Puts the layers behind a linear output that bring it to the units of the targets.

    Several quantiles of a target are sorted, so that they never cross.

    Args:
        linear: A Keras tensor, shape (batch, *space, targets x outputs).
        distribution: What stands for each target.
        mean: Of each target, in its units.
        std: Of each target, likewise.

    Returns:
        A float32 Keras tensor of the same shape, made by a layer of the distribution's name.
    """
    if distribution.gaussian:
        return _mean_and_std(linear, np.array(mean), np.array(std))
    count = distribution.outputs
    if count > 1:
        linear = _ascending(linear, len(mean))
    units = keras.layers.Normalization(
        axis=-1,
        mean=np.repeat(mean, count).tolist(),
        variance=(np.repeat(std, count) ** 2).tolist(),
        invert=True,
        name=distribution.layer_name,
        dtype=_FLOAT,
    )
    return units(linear)


def in_units(
    linear: Values, distribution: Distribution, mean: Sequence[float], std: Sequence[float]
) -> Values:
    """The same in NumPy: finished outputs of a linear output, shape (..., targets x outputs)."""
    each = distribution.of_each_target(np.asarray(linear, np.float64))
    offset, factor = np.array(mean)[:, None], np.array(std)[:, None]
    if distribution.gaussian:
        bounded = np.tanh(each[..., 1:] / LARGEST_LOG_VARIANCE) * LARGEST_LOG_VARIANCE
        spread = np.exp(0.5 * bounded) * factor
        each = np.concatenate([each[..., :1] * factor + offset, spread], axis=-1)
    else:
        each = np.sort(each, axis=-1) * factor + offset
    return np.asarray(each.reshape(linear.shape), np.float32)


def _ascending(linear: Any, targets: int) -> Any:
    """The quantiles of each target in ascending order: a higher level never lies below a lower one.

    Outputs that were learnt one by one may cross. Sorted they are, summed over the levels, never
    farther from the true quantiles (Chernozhukov, Fernandez-Val & Galichon 2010, Quantile and
    Probability Curves Without Crossing, Econometrica 78, 1093), nor is their pinball loss larger.
    """
    parts = keras.ops.split(linear, targets, axis=-1) if targets > 1 else [linear]
    ordered = [keras.ops.sort(part, axis=-1) for part in parts]
    if targets == 1:
        return ordered[0]
    return keras.layers.Concatenate(name="ascending_quantiles", dtype=_FLOAT)(ordered)


def _mean_and_std(linear: Any, mean: Values, std: Values) -> Any:
    """Every other channel a mean and a standard deviation, by channelwise layers.

    Slices are no layers; here each branch is 0 on the channels of the other.
    """
    count, zero, half = len(std), np.zeros(len(std)), LARGEST_LOG_VARIANCE / 2
    value = _rescaled(linear, _pairs(std, zero), _pairs(mean, zero), "target_mean")
    share = _rescaled(linear, [0.0, 0.5 / half] * count, 0.0, "log_std_share")
    bounded = _activated(share, "tanh", "log_std_bounded")
    logs = _rescaled(bounded, [0.0, half] * count, _pairs(zero, np.log(std)), "log_std")
    spread = _activated(logs, "exponential", "std_or_one")
    spread = _rescaled(spread, [0.0, 1.0] * count, 0.0, "target_std")
    return keras.layers.Add(name=MEAN_AND_STD, dtype=_FLOAT)([value, spread])


def _pairs(one: Values, two: Values) -> list[float]:
    pairs: list[float] = np.stack([one, two], axis=-1).ravel().tolist()
    return pairs


def _rescaled(tensor: Any, scale: list[float], offset: Any, name: str) -> Any:
    return keras.layers.Rescaling(scale, offset, name=name, dtype=_FLOAT)(tensor)


def _activated(tensor: Any, activation: str, name: str) -> Any:
    return keras.layers.Activation(activation, name=name, dtype=_FLOAT)(tensor)

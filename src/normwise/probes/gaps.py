"""How far the statistics of data are from those that a normalization holds: on arrays alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from normwise.rules.context.measurements import Gap
from normwise.surgery.moments import Moments

Doubles = npt.NDArray[np.float64]

FEWEST = 4
"""Batches below which nobody knows how much a batch varies by chance."""

ERRORS = 2.0
"""Standard errors of an average over batches that count as chance."""

MOST = 3.0
"""The most that one channel counts, in standard deviations: further off makes nothing worse, and
one odd channel is no fault of a layer."""


@dataclass(frozen=True)
class Held:
    """The statistics that a norm holds, each of shape `(channels,)`.

    Attributes:
        mean: The moving mean.
        variance: The moving variance.
        epsilon: What is added to the variance.
        gamma: None if it doesn't scale.
    """

    mean: Doubles
    variance: Doubles
    epsilon: float
    gamma: Doubles | None = None


def gap(layer: str, seen: Sequence[Moments], held: Held) -> Gap | None:
    """How far what was seen in batches is from what a norm holds.

    A moving variance may be the average of batch variances, as training leaves it, or the variance
    of all data, as recalibration does; whatever lies between the two is right.

    Args:
        layer: The norm's path.
        seen: The moments of each batch.
        held: The norm's statistics.

    Returns:
        The gap; None where there are too few batches to tell it from chance, or values that are no
        numbers.
    """
    seen = [moments for moments in seen if moments.count > 1]
    if len(seen) < FEWEST:
        return None
    means = np.stack([moments.mean for moments in seen])
    variances = np.stack([moments.variance for moments in seen])
    if not (np.isfinite(means).all() and np.isfinite(variances).all()):
        return None
    deviation = np.sqrt(held.variance + held.epsilon)
    off = np.maximum(np.abs(means.mean(axis=0) - held.mean) - ERRORS * _error(means), 0)
    mean = off / deviation
    ratio = np.sqrt(_nearest(means, variances, held) + held.epsilon) / deviation
    total = np.minimum(np.hypot(mean, ratio - 1), MOST)
    weight = _weights(held)
    return Gap(
        layer,
        _rms(mean, weight),
        float(np.exp((np.log(ratio) * weight).sum())),
        _rms(total, weight),
    )


def _nearest(means: Doubles, variances: Doubles, held: Held) -> Doubles:
    """The held variance, or the end of what the data allow that is nearest to it."""
    chance = ERRORS * _error(variances)
    lowest = variances.mean(axis=0)
    highest = lowest + means.var(axis=0)
    found: Doubles = np.clip(held.variance, np.maximum(lowest - chance, 0), highest + chance)
    return found


def _error(values: Doubles) -> Doubles:
    """Standard error of the average over batches."""
    return np.asarray(values.std(axis=0, ddof=1) / np.sqrt(len(values)))


def _weights(held: Held) -> Doubles:
    """What each channel matters behind the norm, summing up to 1."""
    squares = np.ones(held.mean.shape) if held.gamma is None else held.gamma.astype(float) ** 2
    total = squares.sum()
    return np.asarray(squares / total if total > 0 else np.full(squares.shape, 1 / squares.size))


def _rms(values: Doubles, weight: Doubles) -> float:
    return float(np.sqrt((values**2 * weight).sum()))


def held_by(layer: Any) -> Held | None:
    """What a live batch normalization or adapted `Normalization` holds; None if it isn't 1-D."""
    import keras  # noqa: PLC0415 - with the live layer

    def array(value: Any) -> Doubles:
        return np.asarray(keras.ops.convert_to_numpy(value), np.float64)

    if hasattr(layer, "moving_mean"):
        gamma = array(layer.gamma) if layer.scale else None
        return Held(array(layer.moving_mean), array(layer.moving_variance), layer.epsilon, gamma)
    mean, variance = (getattr(layer, name, None) for name in ("mean", "variance"))
    if mean is None or variance is None or getattr(layer, "invert", False):
        return None
    means = array(mean)
    if means.ndim == 0 or means.size != means.shape[-1]:
        return None  # over another axis than the last
    # The layer's deviation is at least epsilon, its variance at least that squared.
    return Held(means.reshape(-1), array(variance).reshape(-1), float(keras.config.epsilon()) ** 2)


def is_new(layer: Any) -> bool:
    """Whether a batch normalization is as Keras makes it, so that nobody knows its data yet."""
    import keras  # noqa: PLC0415 - with the live layer

    starts = {"moving_mean": 0, "moving_variance": 1, "beta": 0}
    for name, start in starts.items():
        value = getattr(layer, name, None)
        if value is not None and (keras.ops.convert_to_numpy(value) != start).any():
            return False
    gamma = getattr(layer, "gamma", None)
    gamma = None if gamma is None else keras.ops.convert_to_numpy(gamma)
    return gamma is None or bool((gamma == 1).all() or (gamma == 0).all())

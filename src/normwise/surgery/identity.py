"""Weights with which a batch normalization changes nothing: on arrays alone."""

from __future__ import annotations

from typing import Any

import numpy as np


def identity(channels: int, epsilon: float) -> dict[str, Any]:
    """Weights with which a batch normalization changes nothing in inference."""
    return calibrated(np.zeros(channels), np.full(channels, 1.0 - epsilon), epsilon)


def calibrated(mean: Any, variance: Any, epsilon: float) -> dict[str, Any]:
    """Weights with which a batch normalization changes nothing, in training neither.

    Training normalizes by the batch's statistics: for data whose mean and variance these are, it
    subtracts and divides by what beta and gamma add and multiply again.

    Args:
        mean: Population mean of what it reads, one for each channel.
        variance: Population variance, likewise.
        epsilon: Its epsilon.
    """
    deviation = np.sqrt(np.asarray(variance, "float64") + epsilon)
    found = {
        "gamma": deviation,
        "beta": mean,
        "moving_mean": mean,
        "moving_variance": variance,
        "moving_stddev": deviation,
        "renorm_mean": mean,
        "renorm_stddev": deviation,
    }
    return {name: np.asarray(value, "float32") for name, value in found.items()}

"""Statistics and networks in plain NumPy, float64, without any of normwise or Keras."""

import numpy as np

EPSILON = 1e-3


def population(values, valid=None):
    """Mean and variance of all rows, everything in memory at once."""
    rows = values.reshape(-1, values.shape[-1]).astype(np.float64)
    if valid is not None:
        rows = rows[valid.reshape(-1)]
    return rows.mean(axis=0), rows.var(axis=0)


def normalize(values, mean, variance, gamma, beta):
    return (values - mean) / np.sqrt(variance + EPSILON) * gamma + beta


def relu(values):
    return np.maximum(values, 0)

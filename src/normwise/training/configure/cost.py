"""What a training step costs, measured on this machine with the network in question."""

import time
from math import prod
from typing import Any, Final

import keras
import numpy as np

from normwise.networks import build
from normwise.training.configure.situation import Chosen, Cost

_TIMED: Final = 4
# Activations are held for the way back, with their gradients and what the backend needs beside.
_COPIES: Final = 3


def measured_cost(channels: int, outputs: int, filters: int, chosen: Chosen) -> Cost:
    """Trains a network of the recipe's making for a few steps on noise.

    Args:
        channels: Image channels.
        outputs: Channels of its output.
        filters: Channels of the first level.
        chosen: The choices so far, among them patch, depth and batch size.

    Returns:
        The fastest of the timed steps, as other work on the machine only slows them down; and an
        estimate of the memory.
    """
    patch, batch = tuple(chosen["data.patch"]), int(chosen["training.batch_size"])
    network = build(
        str(chosen["network.name"]),
        (*patch, channels),
        outputs,
        "batch@pre-activation",
        filters=filters,
        depth=int(chosen["network.depth"]),
    )
    elements = sum(_elements(layer) for layer in network.layers)
    return Cost(_seconds(network, (batch, *patch), channels, outputs), 4 * _COPIES * elements)


def _elements(layer: Any) -> int:
    shape = getattr(getattr(layer, "output", None), "shape", ())
    return prod(side for side in shape[1:] if side is not None)


def _seconds(network: keras.Model, shape: tuple[int, ...], channels: int, outputs: int) -> float:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((*shape, channels), dtype=np.float32)
    y = rng.standard_normal((*shape, outputs), dtype=np.float32)
    network.compile(optimizer=keras.optimizers.AdamW(1e-4), loss="mean_squared_error")
    network.train_on_batch(x, y)
    times = []
    for _ in range(_TIMED):
        started = time.perf_counter()
        network.train_on_batch(x, y)
        times.append(time.perf_counter() - started)
    return min(times)

"""What a training step costs, measured on this machine with the network in question."""

import time
from math import prod
from typing import Any, Final

import keras
import numpy as np

from normwise.errors import NetworkError
from normwise.training.configure.conflicts import impossible
from normwise.training.configure.situation import Chosen, Cost
from normwise.training.configure.structure import built

_TIMED: Final = 4
# Activations are held for the way back, with their gradients and what the backend needs beside.
_COPIES: Final = 3


def measured_cost(channels: int, outputs: int, filters: Any, chosen: Chosen) -> Cost:
    """Trains a network of the recipe's making for a few steps on noise.

    Args:
        channels: Image channels.
        outputs: Channels of its output.
        filters: Channels of the first level, or of each level.
        chosen: The choices so far, among them the network, the patch and the batch size.

    Returns:
        The fastest of the timed steps, as other work on the machine only slows them down; and an
        estimate of the memory.

    Raises:
        RecipeError: If the network can't be built like this.
    """
    patch, batch = tuple(chosen["data.patch"]), int(chosen["training.batch_size"])
    network = network_to_measure(channels, outputs, filters, chosen)
    elements = sum(_elements(layer) for layer in network.layers)
    return Cost(step_seconds(network, (batch, *patch, channels)), 4 * _COPIES * elements)


def network_to_measure(channels: int, outputs: int, filters: Any, chosen: Chosen) -> keras.Model:
    """The network of the choices so far at the size of a patch; arguments as for `measured_cost`.

    Raises:
        RecipeError: If the network can't be built like this.
    """
    shape = (*chosen["data.patch"], channels)
    try:
        return built(chosen, shape, outputs, filters)
    except NetworkError as error:
        raise impossible(error, chosen) from error


def _elements(layer: Any) -> int:
    shape = getattr(getattr(layer, "output", None), "shape", ())
    return prod(side for side in shape[1:] if side is not None)


def step_seconds(network: keras.Model, shape: tuple[int, ...]) -> float:
    """Trains a network for a few steps on noise; the time of the fastest.

    Args:
        network: It is compiled, and its weights change.
        shape: Of a batch of images.
    """
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape, dtype=np.float32)
    # With deep supervision there are several heads.
    made = network.compute_output_shape(shape)
    sizes = made if isinstance(made, list) else [made]
    labels = [rng.standard_normal(size, dtype=np.float32) for size in sizes]
    y = labels[0] if len(labels) == 1 else labels
    losses = ["mean_squared_error"] * len(labels)
    network.compile(keras.optimizers.AdamW(1e-4), losses[0] if len(losses) == 1 else losses)
    network.train_on_batch(x, y)
    times = []
    for _ in range(_TIMED):
        started = time.perf_counter()
        network.train_on_batch(x, y)
        times.append(time.perf_counter() - started)
    return min(times)

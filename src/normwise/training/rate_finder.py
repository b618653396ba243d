"""A learning rate from a short trial: the rate grows step by step until the loss goes up.

Smith 2017, "Cyclical learning rates for training neural networks" (arXiv:1506.01186), section 3.3.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import keras
import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from normwise.errors import RunError
from normwise.keras_format.precision import set_precision
from normwise.training.fit import compile_for_training, supervised
from normwise.training.loading import Batch, Batches, loaded
from normwise.training.recipe import Recipe
from normwise.training.twin import copy_variables

LOWEST: Final = 1e-6
HIGHEST: Final = 1.0
STEPS: Final = 100
_SMOOTHING: Final = 3.0
_BEGIN: Final = 5

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RateCurve:
    """How the loss went while the rate grew.

    Args:
        rates: The learning rate of each step.
        losses: The loss of each step, before its update.
        smoothed: The same without the noise from batch to batch.
        suggestion: The rate at which the loss fell fastest.
    """

    rates: Floats
    losses: Floats
    smoothed: Floats
    suggestion: float


def find_rate(
    network: keras.Model,
    batches: Batches,
    recipe: Recipe,
    prepare: Callable[[Batch], Batch] = lambda batch: batch,
) -> RateCurve:
    """Tries rates from 1e-6 to 1 on a copy of a network, one step each; the network stays as it is.

    Args:
        network: A model with linear output, not compiled.
        batches: Training batches.
        recipe: A resolved recipe; its learning rate, schedule and averaging mean nothing here.
        prepare: Done to each batch in its thread.

    Returns:
        The curve with its suggestion, a function of the seed.

    Raises:
        RunError: If the loss falls at no rate.
    """
    training = recipe.training.model_copy(update={"ema": None, "accumulate": 1})
    copy = type(network).from_config(network.get_config())
    copy_variables(network, copy)
    set_precision(copy, training.precision)
    growth = (HIGHEST / LOWEST) ** (1 / (STEPS - 1))
    schedule = keras.optimizers.schedules.ExponentialDecay(LOWEST, 1, growth)
    compile_for_training(copy, training, STEPS, schedule)
    batches.set_epoch(0)
    ready = loaded(batches, STEPS, training.workers, supervised(copy, batches, recipe, prepare))
    losses: list[float] = []
    try:
        for images, labels, weights in ready:
            copy.reset_metrics()
            logs = copy.train_on_batch(images, labels, sample_weight=weights, return_dict=True)
            losses.append(float(logs["loss"]))
            if _diverged(losses):
                break
    finally:
        ready.close()
    return curve_of(LOWEST * growth ** np.arange(STEPS), losses)


def _diverged(losses: list[float]) -> bool:
    begin = abs(float(np.mean(losses[:_BEGIN])))
    return not math.isfinite(losses[-1]) or losses[-1] > min(losses) + 3 * begin


def curve_of(rates: Floats, losses: list[float]) -> RateCurve:
    """The curve of a trial, and the rate at which its smoothed loss falls fastest.

    Args:
        rates: Growing by a constant factor.
        losses: Those of the first steps; a last one that is no number is left out.

    Raises:
        RunError: If the loss falls at no rate.
    """
    values = np.array([loss for loss in losses if math.isfinite(loss)])
    if len(values) > _BEGIN:
        smoothed = gaussian_filter1d(values, _SMOOTHING, mode="nearest")
        lowest = int(np.argmin(smoothed))
        if lowest >= _BEGIN:
            steepest = int(np.argmin(np.gradient(smoothed)[: lowest + 1]))
            tried = rates[: len(values)]
            return RateCurve(tried, values, smoothed, float(f"{tried[steepest]:.2g}"))
    raise RunError(
        f"No learning rate from {LOWEST:g} to {HIGHEST:g} lets the loss fall: it begins at "
        f"{losses[0]:.4g} and ends at {losses[-1]:.4g} after {len(losses)} steps. Look at the "
        "labels and the scaling of the images, or give training.learning_rate a number."
    )

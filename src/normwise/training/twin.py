"""A second network of the same making: it trains, while the first holds what is judged."""

from typing import Any

import keras
import numpy as np

from normwise.distributed.processes import all_devices, is_distributed
from normwise.surgery.population import Settings
from normwise.surgery.statistics import apply_statistics, batch_norms, population_statistics
from normwise.training.averaging import averages_of
from normwise.training.checkpoints import model_variables
from normwise.training.loading import Batches, loaded
from normwise.training.training_settings import TrainingSettings

_BATCHES = 8
"""Batches behind the statistics of averaged weights; each has thousands of pixels."""


def trainee_of(model: keras.Model, training: TrainingSettings) -> keras.Model:
    """The network that trains: the model, or a copy with variables of its own.

    A copy is needed where the weights that are judged are others, averages, and where the
    variables in training belong to many devices, with which one process can't predict.
    """
    if training.ema is None and not is_distributed():
        return model
    with all_devices():
        # `clone_model` would compile it too, if the model is compiled.
        copy = type(model).from_config(model.get_config())
        copy_variables(model, copy)
    return copy


def show(
    trainee: keras.Model, model: keras.Model, batches: Batches, training: TrainingSettings
) -> None:
    """Puts into the model what is judged and kept of the network in training.

    With averaged weights these are the averages. Their batch normalizations need statistics of
    their own: the moving ones belong to the weights in training, whose noise the average has not.

    Args:
        trainee: What `trainee_of` gave, compiled.
        model: The model.
        batches: Training batches, turned to the epoch.
        training: Says whether weights are averaged.
    """
    if trainee is model:
        return
    copy_variables(trainee, model)
    if training.ema is not None:
        averages = averages_of(trainee.optimizer)
        for own, average in zip(model.trainable_variables, averages, strict=True):
            own.assign(_values(average))
        _renew_statistics(model, batches, training.workers)


def _renew_statistics(model: keras.Model, batches: Batches, workers: int) -> None:
    norms = [path for path, norm in batch_norms(model).items() if norm.trainable]
    if not norms:
        return
    ready = loaded(batches, min(len(batches), _BATCHES), workers, lambda batch: batch)
    images = (batch[0] for batch in ready)
    found = population_statistics(model, images, norms, Settings(fast=True))
    apply_statistics(model, found.statistics)


def copy_variables(source: keras.Model, copy: keras.Model) -> None:
    """Copies weights, moving statistics and seeds between models of the same making.

    Through NumPy, for on JAX an assigned variable would share its buffer with the other.
    """
    for one, two in zip(model_variables(source), model_variables(copy), strict=True):
        two.assign(_values(one))


def _values(variable: Any) -> Any:
    return np.array(keras.ops.convert_to_numpy(variable))

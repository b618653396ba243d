"""A second network of the same making: it trains, while the first holds what is judged."""

from typing import Any

import keras
import numpy as np

from normwise.distributed.processes import all_devices, is_distributed
from normwise.training.averaging import average_statistics, averages_of, statistics_of
from normwise.training.checkpoints import model_variables
from normwise.training.training_settings import TrainingSettings


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


def show(trainee: keras.Model, model: keras.Model, training: TrainingSettings, steps: int) -> None:
    """Puts into the model what is judged and kept of the network in training.

    With averaged weights these are the averages, with averages of the moving statistics.

    Args:
        trainee: What `trainee_of` gave, compiled.
        model: The model.
        training: Says whether weights are averaged.
        steps: Training steps since the last call.
    """
    if trainee is model:
        return
    copy_variables(trainee, model)
    if training.ema is None:
        return
    with all_devices():
        statistics = average_statistics(trainee.optimizer, steps / training.accumulate)
    averages = (*averages_of(trainee.optimizer), *statistics)
    for own, average in zip(
        (*model.trainable_variables, *statistics_of(model)), averages, strict=True
    ):
        own.assign(_values(average))


def copy_variables(source: keras.Model, copy: keras.Model) -> None:
    """Copies weights, moving statistics and seeds between models of the same making.

    Through NumPy, for on JAX an assigned variable would share its buffer with the other.
    """
    for one, two in zip(model_variables(source), model_variables(copy), strict=True):
        two.assign(_values(one))


def _values(variable: Any) -> Any:
    return np.array(keras.ops.convert_to_numpy(variable))

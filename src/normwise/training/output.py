"""What stands between the linear output of a network and what a user wants to see.

Training works on the linear output: losses are exact there, and targets of any unit are scaled
to mean 0 and variance 1. The saved model ends in probabilities or in the target's units.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from normwise.training.distribution import SINGLE, Distribution
from normwise.training.target_units import in_units, unit_layers

Values = npt.NDArray[Any]


@dataclass(frozen=True)
class Output:
    """How linear outputs, targets and predictions belong together.

    Args:
        task: `segmentation` or `regression`.
        names: The classes or the target channels.
        mean: For a regression the mean of each target channel, in its units.
        std: For a regression the standard deviation of each target channel, in its units.
        distribution: For a regression what stands for each target channel.
    """

    task: str
    names: tuple[str, ...]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    distribution: Distribution = SINGLE

    @property
    def channels(self) -> int:
        """Output channels of the network: two classes need one, the foreground's."""
        if self.task == "segmentation":
            return 1 if len(self.names) == 2 else len(self.names)
        return len(self.names) * self.distribution.outputs

    def scaled(self, target: Values) -> Values:
        """Targets as the loss sees them: class ids as they are, values scaled."""
        if self.task == "segmentation":
            return target
        return np.asarray((target - np.array(self.mean)) / np.array(self.std), np.float32)

    def decoded(self, linear: Values) -> Values:
        """Linear outputs as metrics see them: class ids, or outputs in the target's units."""
        if self.task == "regression":
            return in_units(linear, self.distribution, self.mean, self.std)
        if self.channels == 1:
            return np.asarray(linear[..., 0] > 0, np.int64)
        return np.asarray(np.argmax(linear, -1))


def segmentation_output(classes: Sequence[str]) -> Output:
    """The output of a segmentation: one sigmoid for two classes, a softmax for more."""
    return Output("segmentation", tuple(classes))


def regression_output(
    names: Sequence[str],
    mean: Sequence[float],
    variance: Sequence[float],
    distribution: Distribution = SINGLE,
) -> Output:
    """The output of a regression.

    Args:
        names: The target channels.
        mean: Their means over the training pixels, in their units.
        variance: Their variances. A constant channel (variance 0) is left at its own scale.
        distribution: What stands for each target channel.
    """
    std = tuple(float(value) ** 0.5 if value > 0 else 1.0 for value in variance)
    means = tuple(float(value) for value in mean)
    return Output("regression", tuple(names), means, std, distribution)


def finished_model(network: keras.Model, output: Output) -> keras.Model:
    """The model that is saved: the network, then probabilities or the target's units.

    It shares the layers and weights of `network`, has never been compiled, and holds layers of
    Keras alone, so that it loads without normwise.

    Args:
        network: A functional model with linear outputs, shape (batch, *space, channels); the
            first is the main one, and others, which deep supervision needs, are left out.
        output: What the output means.

    Returns:
        A model from raw pixel values to float32 probabilities, or values in the target's units:
        one, its quantiles, or mean and standard deviation for each target.
    """
    linear = network.outputs[0]
    if output.task == "regression":
        units = unit_layers(linear, output.distribution, output.mean, output.std)
        return keras.Model(network.inputs, units, name=network.name)
    activation = "sigmoid" if output.channels == 1 else "softmax"
    last = keras.layers.Activation(activation, name="probability", dtype="float32")
    return keras.Model(network.inputs, last(linear), name=network.name)


def predicted_classes(probabilities: Values) -> Values:
    """Class ids from the probabilities of a finished model, shape (..., 1 or classes)."""
    if probabilities.shape[-1] == 1:
        return np.asarray(probabilities[..., 0] > 0.5, np.int64)
    return np.asarray(np.argmax(probabilities, -1))

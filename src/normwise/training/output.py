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

Values = npt.NDArray[Any]


@dataclass(frozen=True)
class Output:
    """How linear outputs, targets and predictions belong together.

    Args:
        task: `segmentation` or `regression`.
        names: The classes or the target channels.
        mean: For a regression the mean of each target channel, in its units.
        std: For a regression the standard deviation of each target channel, in its units.
    """

    task: str
    names: tuple[str, ...]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def channels(self) -> int:
        """Output channels of the network: two classes need one, the foreground's."""
        return 1 if self.task == "segmentation" and len(self.names) == 2 else len(self.names)

    def scaled(self, target: Values) -> Values:
        """Targets as the loss sees them: class ids as they are, values scaled."""
        if self.task == "segmentation":
            return target
        return np.asarray((target - np.array(self.mean)) / np.array(self.std), np.float32)

    def decoded(self, linear: Values) -> Values:
        """Linear outputs as metrics see them: class ids, or values in the target's units."""
        if self.task == "regression":
            return np.asarray(linear * np.array(self.std) + np.array(self.mean), np.float32)
        if self.channels == 1:
            return np.asarray(linear[..., 0] > 0, np.int64)
        return np.asarray(np.argmax(linear, -1))


def segmentation_output(classes: Sequence[str]) -> Output:
    """The output of a segmentation: one sigmoid for two classes, a softmax for more."""
    return Output("segmentation", tuple(classes))


def regression_output(
    names: Sequence[str], mean: Sequence[float], variance: Sequence[float]
) -> Output:
    """The output of a regression.

    Args:
        names: The target channels.
        mean: Their means over the training pixels, in their units.
        variance: Their variances. A constant channel (variance 0) is left at its own scale.
    """
    std = tuple(float(value) ** 0.5 if value > 0 else 1.0 for value in variance)
    return Output("regression", tuple(names), tuple(float(value) for value in mean), std)


def finished_model(network: keras.Model, output: Output) -> keras.Model:
    """The model that is saved: the network, then probabilities or the target's units.

    It shares the layers and weights of `network`, has never been compiled, and holds layers of
    Keras alone, so that it loads without normwise.

    Args:
        network: A functional model with one linear output, shape (batch, rows, columns, channels).
        output: What the output means.

    Returns:
        A model from raw pixel values to float32 probabilities, or values in the target's units.
    """
    linear = network.outputs[0]
    if output.task == "regression":
        units = keras.layers.Normalization(
            axis=-1,
            mean=list(output.mean),
            variance=[value**2 for value in output.std],
            invert=True,
            name="target_units",
            dtype="float32",
        )
        return keras.Model(network.inputs, units(linear), name=network.name)
    activation = "sigmoid" if output.channels == 1 else "softmax"
    last = keras.layers.Activation(activation, name="probability", dtype="float32")
    return keras.Model(network.inputs, last(linear), name=network.name)


def predicted_classes(probabilities: Values) -> Values:
    """Class ids from the probabilities of a finished model, shape (..., 1 or classes)."""
    if probabilities.shape[-1] == 1:
        return np.asarray(probabilities[..., 0] > 0.5, np.int64)
    return np.asarray(np.argmax(probabilities, -1))

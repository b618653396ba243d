"""A network that predicts what a linear function of the input's pixel leaves of the target.

Where a target is nearly one of the channels (sharpening, noise removal, filling bands in), the
network then spends no capacity on copying its input, and begins from the least-squares fit.
"""

from typing import Final

import keras
import numpy as np

from normwise.data.relations import LinearFit
from normwise.data.statistics import ChannelStatistics
from normwise.errors import RecipeError
from normwise.keras_format.precision import INPUT_RESIDUAL
from normwise.training.output import Output

INPUT_NORM: Final = "input_norm"
# Of the target's standard deviation: the network can still correct a fit that is perfect here.
_LEAST: Final = 1e-3


def with_input_residual(
    network: keras.Model, fit: LinearFit, images: ChannelStatistics, output: Output
) -> keras.Model:
    """Adds a linear function of the input to a network's output.

    The output of the network counts in standard deviations of what the fit leaves, so that its
    last layer starts at the right size. The fit is a 1x1 convolution and is trained further.

    Args:
        network: A model with one linear output in scaled target units.
        fit: The least-squares fit, in raw units.
        images: Statistics of the images as the model takes them.
        output: The output, for the scale of the targets.

    Returns:
        A model that shares the layers of `network`; it holds layers of Keras alone.

    Raises:
        RecipeError: For a segmentation, whose classes are no sum; for several heads, or several
            outputs a target.
    """
    check_residual(network, output, fit.weights.shape[1])
    target_std = np.asarray(output.std)
    std = np.sqrt(np.where(images.variance > 0, images.variance, 1.0))
    kernel = std[:, None] * fit.weights / target_std
    bias = (images.mean @ fit.weights + fit.offset - output.mean) / target_std
    left = np.maximum(fit.residual_std / target_std, _LEAST)
    axes = len(network.inputs[0].shape) - 2
    layer = (keras.layers.Conv2D if axes == 2 else keras.layers.Conv3D)(
        len(target_std), 1, data_format="channels_last", name=INPUT_RESIDUAL
    )
    start = layer(_scaled_input(network, images, std))
    layer.set_weights([kernel.reshape(*[1] * axes, *kernel.shape), bias])
    linear = network.outputs[0]
    scale = keras.layers.Rescaling(left.tolist(), name="difference")
    return keras.Model(
        network.inputs,
        keras.layers.Add(name="input_plus_difference")([scale(linear), start]),
        name=network.name,
    )


def check_residual(network: keras.Model, output: Output, targets: int) -> None:
    """Refuses a network or an output that nothing could be added to.

    Args:
        network: The network.
        output: The output.
        targets: How many targets there are.

    Raises:
        RecipeError: For a segmentation, several heads, or several outputs a target.
    """
    key = "network.input_residual: received true; allowed: false for"
    if output.task != "regression":
        raise RecipeError(
            f"{key} a segmentation, whose classes are no values that could be added to."
        )
    if len(network.outputs) > 1:
        raise RecipeError(
            f"{key} a network with {len(network.outputs)} heads (network.deep_supervision)."
        )
    if output.channels != targets:
        raise RecipeError(
            f"{key} a training.loss with several outputs a target ({output.channels} outputs, "
            f"{targets} targets)."
        )


def _scaled_input(network: keras.Model, images: ChannelStatistics, std: object) -> object:
    for layer in network.layers:
        if layer.name == INPUT_NORM and isinstance(layer, keras.layers.Normalization):
            return layer.output
    scaling = keras.layers.Normalization(
        mean=images.mean.tolist(), variance=(np.asarray(std) ** 2).tolist(), name="residual_norm"
    )
    return scaling(network.inputs[0])

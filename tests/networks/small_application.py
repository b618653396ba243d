"""A small network in the manner of keras.applications, with all that makes those hard to reuse."""

from typing import Any

import keras
import numpy as np

from normwise.graph.flatten import flatten
from normwise.keras_format import read_graph
from normwise.networks.applications import Application

layers = keras.layers


def small_model(channels: int = 3, filters: int = 4, size: int = 65) -> Any:
    """Stride 8; a scaling, a stem without padding, made-up names, a residual block, a nested one.

    Resolutions: 1/2 (stem, batch norm, relu), 1/4 (pool and residual block), 1/8.
    """
    inputs = keras.Input((size, size, channels))
    x = layers.Rescaling(1 / 127.5, -1.0)(inputs)
    x = layers.Conv2D(filters, 3, strides=2, name="stem")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    x = layers.ZeroPadding2D(1, name="pool_pad")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool")(x)
    short = x
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(name="block_relu")(x + short)
    nested = keras.Sequential(
        [layers.LayerNormalization(name="down_norm"), layers.Conv2D(2 * filters, 2, 2, name="down")]
    )
    x = nested(x)
    x = layers.Conv2D(2 * filters, 3, padding="same")(x)
    return keras.Model(inputs, layers.Activation("relu")(x), name="small")


def small_application(name: str = "MobileNet", **options: Any) -> Application:
    """It, with the pre-processing of a real application: that of MobileNet scales to -1..1."""
    model = small_model(**options)
    return Application(name, model, flatten(read_graph(model)))


def randomize(model: Any, seed: int = 0) -> Any:
    """Other values than Keras' for every weight; variances stay positive."""
    chance = np.random.default_rng(seed)
    for weight in model.weights:
        values = chance.normal(0, 0.3, weight.shape)
        if "variance" in weight.path or "gamma" in weight.path:
            values = 0.5 + np.abs(values)
        weight.assign(values.astype("float32"))
    return model

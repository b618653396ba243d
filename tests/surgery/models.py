"""What the tests of surgery share: randomized models, their inputs, outputs and weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from normwise.graph.catalogue import NORM_CLASSES
from normwise.keras_format import read_graph
from normwise.surgery.samples import random_inputs


def shaken(model: Any, seed: int = 0) -> Any:
    """The model itself, all weights of its normalizations randomized, and its biases too."""
    rng = np.random.default_rng(seed)
    for layer in model._flatten_layers():
        if layer._layers or type(layer).__name__ == "Normalization":
            continue
        norm = type(layer).__name__ in NORM_CLASSES
        for variable in layer.weights:
            if not norm and variable.name != "bias":
                continue
            low = 0.5 if "variance" in variable.name or "stddev" in variable.name else -0.5
            high = 2.0 if low > 0 else 0.5
            shift = 1.0 if variable.name in ("gamma", "scale") else 0.0
            variable.assign(rng.uniform(low, high, tuple(variable.shape)) + shift)
    return model


def inputs_of(model: Any, seed: int = 1) -> Any:
    """Random inputs that the model computes with."""
    for inputs in random_inputs(read_graph(model), model, seed):
        try:
            model(inputs, training=False)
        except Exception:
            continue
        return inputs
    raise AssertionError(f"{model.name} takes no input")


def outputs_of(model: Any, inputs: Any) -> list[Any]:
    made = keras.tree.flatten(model(inputs, training=False))
    return [np.asarray(keras.ops.convert_to_numpy(x)) for x in made]


def weights_of(model: Any) -> list[Any]:
    return list(each_weight(model))


def each_weight(model: Any) -> Iterator[Any]:
    """The same, one after another: of large models there shouldn't be another copy."""
    for variable in model.variables:
        yield np.array(keras.ops.convert_to_numpy(variable.value), copy=True)


def runs_here(name: str) -> bool:
    """Whether this backend computes with a model of the zoo: TensorFlow has no NCHW on CPUs."""
    return name != "channels_first" or keras.backend.backend() != "tensorflow"


def fit_once(model: Any, inputs: Any, seed: int = 2, eagerly: bool = False) -> None:
    """One training step on random targets; without tracing it if `eagerly`."""
    rng = np.random.default_rng(seed)
    targets = keras.tree.map_structure(
        lambda y: rng.normal(size=tuple(y.shape)).astype("float32"), model(inputs, training=False)
    )
    model.compile(optimizer=keras.optimizers.SGD(1e-2), loss="mse", run_eagerly=eagerly)
    model.fit(inputs, targets, epochs=1, verbose=0)


class Sampling(keras.layers.Layer):
    """What variational models do: a random draw in inference too, from a seed that moves on."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, inputs: Any) -> Any:
        mean, log_variance = inputs
        noise = keras.random.normal(keras.ops.shape(mean), seed=self.seed_generator)
        return mean + keras.ops.exp(0.5 * log_variance) * noise


def random_encoder() -> Any:
    """A variational encoder with batch normalizations before and behind its random layer."""
    inputs = keras.Input((8, 8, 2))
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(name="first")(x))
    x = keras.layers.Flatten()(x)
    mean, spread = keras.layers.Dense(3, name="mean")(x), keras.layers.Dense(3, name="spread")(x)
    x = keras.layers.Dense(3, name="after")(Sampling(name="sampling")([mean, spread]))
    x = keras.layers.BatchNormalization(name="second")(x)
    return shaken(keras.Model(inputs, [mean, spread, keras.layers.ReLU()(x)]))

"""What other samples of a batch do to an output."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from normwise.keras_format import read_graph
from normwise.probes.companions import PAIRS, companions
from normwise.probes.samples import Samples
from tests.surgery.models import outputs_of, weights_of
from tests.surgery.randomize import randomize


def samples(count=12):
    rng = np.random.default_rng(count)
    images = (rng.normal(size=(count, 8, 8, 2)) + rng.normal(size=(count, 1, 1, 2))).astype(
        "float32"
    )
    return Samples((images,), images[:1], (count,), False)


def of(body, count=12, batch=None):
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(3, 3, name="conv")(inputs)
    model = randomize(keras.Model(inputs, layers.Conv2D(1, 1, name="head")(body(x))))
    return model, companions(model, read_graph(model), samples(count), batch)


@pytest.mark.backends
def test_batch_norm_in_inference_knows_no_others():
    _, found = of(layers.BatchNormalization(name="norm"))
    assert found.inference < found.rounding < 1e-3 and found.layer is None
    assert found.training is None and found.batch is None


def test_the_first_layer_that_knows_them_is_named():
    def centred(x):
        x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(x))
        return x - ops.mean(x, axis=0, keepdims=True)

    model, found = of(centred)
    assert found.inference > 0.1 and found.layer.startswith("mean")
    images = samples().leaves[0]
    alone, others = outputs_of(model, images[[0] * 4])[0], outputs_of(model, images[:4])[0]
    assert np.abs(alone[0] - others[0]).max() > 0.1


@pytest.mark.backends
def test_random_layers_are_not_mistaken_for_others():
    class Noise(layers.Layer):
        def __init__(self):
            super().__init__()
            self.generator = keras.random.SeedGenerator(1)

        def call(self, inputs):
            return inputs + keras.random.normal(ops.shape(inputs), seed=self.generator)

    model, found = of(Noise())
    assert found.inference < found.rounding
    images = samples().leaves[0]
    twice = [outputs_of(model, images)[0] for _ in range(2)]
    assert np.abs(twice[0] - twice[1]).max() > 0.1


def test_in_training_small_batches_depend_on_their_samples_more():
    norm = layers.BatchNormalization(name="norm")
    found = {b: of(norm if b == 2 else layers.BatchNormalization(), 40, b)[1] for b in (2, 16)}
    assert found[2].training > 1.5 * found[16].training > 0
    assert found[2].batch == 2


def test_in_training_the_difference_is_that_of_batch_statistics():
    """Against a network in NumPy: the norm alone."""
    inputs = keras.Input((8, 8, 2))
    model = randomize(keras.Model(inputs, layers.BatchNormalization()(inputs)))
    before, data = weights_of(model), samples(40)
    found = companions(model, read_graph(model), data, 4)
    for old, new in zip(before, weights_of(model), strict=True):
        np.testing.assert_array_equal(old, new)
    images, gamma = data.leaves[0].astype(np.float64), before[0]
    rng, squares = np.random.default_rng(0), []
    for _ in range(PAIRS):
        first, *others = rng.permutation(40)
        pair = [images[[first, *others[a : a + 3]]] for a in (0, 3)]
        normed = [(images[first] - p.mean((0, 1, 2))) / np.sqrt(p.var((0, 1, 2)) + 1e-3) * gamma
                  for p in pair]  # fmt: skip
        squares.append(np.mean((normed[0] - normed[1]) ** 2))
    tried = [(i + step) % 40 for i in (0, 13, 26, 39) for step in range(4)]
    spread = outputs_of(model, data.leaves[0][tried])[0].std()
    assert found.training == pytest.approx(np.sqrt(np.mean(squares)) / spread, rel=1e-3)


def test_too_few_samples_and_constant_outputs_say_nothing():
    assert of(layers.ReLU(), 1)[1] is None
    assert of(lambda x: 0 * x)[1] is None
    assert of(layers.BatchNormalization(), 12, 8)[1].training is None

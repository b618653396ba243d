"""Both modes of a network, against the same network in NumPy; the model stays as it is."""

import keras
import numpy as np
import pytest
from keras import layers

from normwise.graph.flatten import flatten
from normwise.keras_format import read_graph
from normwise.probes.modes import BothModes
from normwise.surgery.batches import Batch
from tests.surgery.models import outputs_of, weights_of
from tests.surgery.randomize import randomize
from tests.surgery.reference import normalize, population, relu

RNG = np.random.default_rng(3)


class Noise(layers.Layer):
    """Adds noise in every mode, and moves its seed on at each call."""

    def __init__(self, **config):
        super().__init__(**config)
        self.generator = keras.random.SeedGenerator(1)

    def call(self, inputs):
        return inputs + 0.0 * keras.random.normal(keras.ops.shape(inputs), seed=self.generator)


def network(**second):
    """Two norms behind pointwise convolutions, their results joined with what came in between."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 1, name="conv0")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="norm0")(x))
    y = Noise()(layers.Dropout(0.5)(x))
    y = layers.Conv2D(5, 1, name="conv1")(y)
    y = layers.ReLU()(layers.BatchNormalization(name="norm1", **second)(y))
    return randomize(keras.Model(inputs, layers.Concatenate(name="join")([x, y])))


def by_hand(model, images, training, frozen=()):
    """The moments that each norm reads, and the output."""
    seen, x, parts = {}, images.astype(np.float64), []
    for index in range(2):
        kernel, bias = model.get_layer(f"conv{index}").get_weights()
        x = x @ kernel.astype(np.float64)[0, 0] + bias
        gamma, beta, *held = model.get_layer(f"norm{index}").get_weights()
        seen[f"norm{index}"] = population(x)
        uses = seen[f"norm{index}"] if training and index not in frozen else held
        x = relu(normalize(x, *uses, gamma, beta))
        parts.append(x)
    return seen, np.concatenate(parts, axis=-1), parts


def batches(count=4):
    return [RNG.normal(2, 1.5, (4, 8, 8, 3)).astype(np.float32) for _ in range(count)]


def ran(model, arrays):
    both = BothModes(model, flatten(read_graph(model)))
    both.run(Batch(array, len(array)) for array in arrays)
    return both


@pytest.mark.backends
def test_what_norms_read_in_both_modes():
    model, arrays = network(), batches()
    both = ran(model, arrays)
    for training, seen in ((False, both.seen.inference), (True, both.seen.training)):
        for number, array in enumerate(arrays):
            wanted, _, _ = by_hand(model, array, training)
            for name, (mean, variance) in wanted.items():
                found = seen[name][number]
                np.testing.assert_allclose(found.mean, mean, rtol=1e-4, atol=1e-4)
                np.testing.assert_allclose(found.variance, variance, rtol=1e-4, atol=1e-4)
    modes = both.modes()
    assert [gap.layer for gap in modes.gaps] == ["norm0", "norm1"]
    pairs = [[by_hand(model, a, training)[1] for a in arrays] for training in (False, True)]
    inference, training = map(np.concatenate, pairs)
    rms = np.sqrt(np.mean((inference - training) ** 2))
    spread = np.sqrt(inference.reshape(-1, 9).var(axis=0).mean())
    np.testing.assert_allclose(modes.outputs, rms / spread, rtol=1e-3)
    assert modes.outputs > 0.1


def test_the_gap_in_inference_and_in_training_differ_behind_the_first_norm():
    both = ran(network(), batches(8))
    inference = {gap.layer: gap.total for gap in both.gaps()}
    training = {gap.layer: gap.total for gap in both.modes().gaps}
    assert inference["norm0"] == training["norm0"]
    assert abs(inference["norm1"] - training["norm1"]) > 0.01


def test_the_branches_of_a_merge():
    model, arrays = network(), batches()
    (found,) = ran(model, arrays).merges()
    parts = [
        np.concatenate(x) for x in zip(*(by_hand(model, a, False)[2] for a in arrays), strict=True)
    ]
    assert (found.layer, found.call) == ("join", 0)
    np.testing.assert_allclose(found.rms, [np.sqrt(np.mean(p**2)) for p in parts], rtol=1e-4)


def test_norms_that_do_not_learn_stay_in_inference_mode():
    model, arrays = network(), batches()
    model.get_layer("norm0").trainable = False
    both = ran(model, arrays)
    for number, array in enumerate(arrays):
        mean, _ = by_hand(model, array, True, frozen=(0,))[0]["norm1"]
        np.testing.assert_allclose(
            both.seen.training["norm1"][number].mean, mean, rtol=1e-3, atol=1e-4
        )
    assert [gap.layer for gap in both.modes().gaps] == ["norm1"]
    assert [gap.layer for gap in both.gaps()] == ["norm0", "norm1"]


@pytest.mark.backends
def test_the_model_is_the_same_afterwards_bit_for_bit():
    model, arrays = network(renorm=True), batches()
    before, made = weights_of(model), outputs_of(model, arrays[0])
    seeds = weights_of(model)
    ran(model, arrays).modes()
    for old, new in zip(seeds, weights_of(model), strict=True):
        np.testing.assert_array_equal(old, new)
    for old, new in zip(made, outputs_of(model, arrays[0]), strict=True):
        np.testing.assert_array_equal(old, new)
    assert all("call" not in vars(layer) for layer in model.layers)
    model(arrays[0], training=True)  # the control: this does change the state
    after = weights_of(model)
    assert any((a != b).any() for a, b in zip(before, after, strict=True))


def test_new_norms_are_not_judged():
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layers.BatchNormalization(name="norm")(inputs))
    both = ran(model, batches())
    assert both.gaps() == both.modes().gaps == ()
    model.get_layer("norm").beta.assign([0.1, 0.0, 0.0])
    assert [gap.layer for gap in both.gaps()] == ["norm"]


def test_missing_pixels_do_not_count():
    inputs = keras.Input((8, 8, 3))
    model = randomize(keras.Model(inputs, layers.BatchNormalization(name="norm")(inputs)))
    both = BothModes(model, flatten(read_graph(model)))
    images = RNG.normal(size=(4, 8, 8, 3)).astype(np.float32)
    images[:, 4:] = 1e3
    valid = np.ones((4, 8, 8), bool)
    valid[:, 4:] = False
    both.run([Batch(images, 4, (valid,))])
    found = both.seen.inference["norm"][0]
    np.testing.assert_allclose(found.mean, images[:, :4].mean((0, 1, 2)), rtol=1e-4, atol=1e-5)


def test_shared_nested_and_raw_merges_have_their_paths():
    inner_in = keras.Input((8, 8, 3))
    y = layers.BatchNormalization(name="norm")(inner_in)
    inner = keras.Model(inner_in, layers.Add(name="sum")([y, inner_in]), name="inner")
    inputs = keras.Input((8, 8, 3))
    x = inner(inner(inputs))
    model = randomize(keras.Model(inputs, x * 2.0 + inputs))
    both = ran(model, batches(2))
    assert len(both.seen.inference["inner/norm"]) == 4
    merges = {(found.layer, found.call): found.rms for found in both.merges()}
    graph = flatten(read_graph(model))
    assert {("inner/sum", 0), ("inner/sum", 1)} < set(merges) and len(merges) == 3
    assert all(layer in graph.calls for layer, _ in merges)
    assert all(len(rms) == 2 for rms in merges.values())


def test_branches_behind_new_norms_are_those_of_training():
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="norm")(inputs)
    model = keras.Model(inputs, layers.Concatenate()([x, inputs]))
    (found,) = ran(model, batches()).merges()
    normalized, raw = found.rms
    assert normalized == pytest.approx(1, rel=0.01) and raw > 2
    model.get_layer("norm").beta.assign([0.1, 0.0, 0.0])
    (found,) = ran(model, batches()).merges()
    assert found.rms[0] > 2


def test_a_norm_is_not_judged_where_space_is_in_the_batch_and_pixels_are_missing():
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="norm")(keras.ops.reshape(inputs, (-1, 4, 4, 3)))
    model = randomize(keras.Model(inputs, keras.ops.reshape(x, (-1, 8, 8, 3))))
    (array,) = batches(1)
    valid = np.ones((4, 8, 8), bool)
    valid[0, :3] = False
    for given, judged in (((), 1), ((valid,), 0)):
        both = BothModes(model, flatten(read_graph(model)))
        both.run([Batch(array, 4, given)])
        assert len(both.seen.inference) == judged and both.modes().outputs is not None

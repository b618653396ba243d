"""A user's class may have the name of one of Keras', and compute something else."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from normwise.norms import NormPlan
from normwise.surgery.fold import fold
from normwise.surgery.place import place
from normwise.surgery.work import EditSettings
from tests.surgery.models import inputs_of, outputs_of, shaken
from tests.zoo import conv, image


class GlobalAveragePoolingMasked(layers.Layer):
    def call(self, x):
        return ops.mean(x, axis=(1, 2))


class UpSamplingBlock(layers.Layer):
    def call(self, x):
        return ops.tanh(x)


class Dropout(layers.Layer):
    def call(self, x):
        return ops.tanh(x)


class Conv2D(layers.Conv2D):
    """Standardizes its kernel."""

    def call(self, x):
        kernel = self.kernel - ops.mean(self.kernel, axis=(0, 1, 2))
        kernel = kernel / (ops.std(kernel, axis=(0, 1, 2)) + 1e-5)
        return ops.conv(x, kernel, padding="same") + self.bias


class BatchNorm(layers.BatchNormalization):
    def call(self, x, training=None, mask=None):
        return ops.tanh(super().call(x, training=training, mask=mask))


def assert_same_outputs(model, copy):
    inputs = inputs_of(model)
    for a, b in zip(outputs_of(model, inputs), outputs_of(copy, inputs), strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-5 * np.abs(a).max())


@pytest.mark.parametrize("kind", [GlobalAveragePoolingMasked, UpSamplingBlock, Dropout])
def test_layers_of_other_classes_stop_a_fold(kind):
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="bn")(conv(4, activation="relu")(inputs))
    model = shaken(keras.Model(inputs, layers.Dense(2)(kind(name="own")(x))))
    done = fold(model)
    assert not done.report.changed
    assert f"{kind.__name__} 'own' is in between" in done.report.skipped[0].reason
    assert_same_outputs(model, done.model)


def own_conv():
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="a")(Conv2D(4, 3, padding="same", name="own")(inputs))
    x = layers.BatchNormalization(name="b")(conv(4, name="theirs")(layers.ReLU()(x)))
    return shaken(keras.Model(inputs, conv(1, name="head")(layers.ReLU()(x))))


def test_a_convolution_of_another_class_is_not_folded_into():
    model = own_conv()
    done = fold(model)
    assert [c.layer for c in done.report.changed] == ["b"]
    assert [s.layer for s in done.report.skipped] == ["a"]
    assert_same_outputs(model, done.model)
    removed = place(model, NormPlan.parse("none"))
    assert [c.layer for c in removed.report.changed] == ["b"]
    bias = place(model, NormPlan.parse("batch@pre-activation"), EditSettings(drop_bias=True))
    assert [c.layer for c in bias.report.changed] == ["theirs"]


def test_a_class_made_from_batch_normalization_is_left_and_listed():
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layers.ReLU()(BatchNorm(name="own")(conv(4)(inputs))))
    report = fold(shaken(model)).report
    assert [s.layer for s in report.skipped] == ["own"]
    assert "BatchNorm is made from BatchNormalization" in report.skipped[0].reason
    assert "0 of 1 batch normalizations folded" in report.notes


def test_a_gamma_of_almost_zero_stops_a_fold_forward():
    inputs = image(3)
    x = layers.BatchNormalization(name="bn")(conv(4, activation="relu")(inputs))
    model = shaken(keras.Model(inputs, conv(2, name="head")(x)))
    gamma = np.array(keras.ops.convert_to_numpy(model.get_layer("bn").gamma))
    gamma[0] = 1e-37
    model.get_layer("bn").gamma.assign(gamma)
    model.get_layer("bn").beta.assign([1e3, 0.1, 0.2, 0.3])
    done = fold(model)
    assert not done.report.changed
    assert "too large for its scale" in done.report.skipped[0].reason

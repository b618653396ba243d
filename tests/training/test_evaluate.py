"""What evaluation takes from a model itself."""

import keras
import numpy as np
import pytest
from keras import layers

from normwise.training.evaluate import input_mean

CHANNELS = np.float32([3, 5, 7])
ROWS = np.float32([1, 2, 3, 6])


def batch_norm(axis, mean):
    def made(inputs):
        norm = layers.BatchNormalization(axis=axis)
        outputs = norm(inputs)
        norm.moving_mean.assign(mean)
        return outputs

    return made


def fixed(axis, mean):
    return layers.Normalization(axis=axis, mean=mean, variance=np.ones_like(mean))


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (batch_norm(-1, CHANNELS), CHANNELS),
        (batch_norm(1, ROWS), [3, 3, 3]),  # of rows: in each channel their average
        (fixed(-1, CHANNELS), CHANNELS),
        (fixed((1, 3), ROWS[:, None] * CHANNELS), 3 * CHANNELS),
        (fixed(None, np.float32(4)), [4, 4, 4]),
        (layers.Conv2D(2, 1), [0, 0, 0]),
    ],
)
def test_the_mean_of_the_input(first, expected):
    inputs = keras.Input((4, 6, 3))
    model = keras.Model(inputs, layers.Conv2D(2, 1)(first(inputs)))
    np.testing.assert_allclose(input_mean(model), expected, rtol=1e-6, atol=0)


def test_a_normalization_of_other_channels_says_nothing_of_the_input():
    inputs = keras.Input((4, 6, 3))
    inner = fixed(-1, np.float32([1, 2]))(layers.Conv2D(2, 1)(inputs))
    assert input_mean(keras.Model(inputs, layers.Dense(1)(inner))) == [0, 0, 0]
    flat = fixed(-1, np.float32([1, 2, 3]))(layers.GlobalMaxPooling2D()(inputs))
    assert input_mean(keras.Model(inputs, flat)) == [0, 0, 0]

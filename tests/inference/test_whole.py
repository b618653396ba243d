"""Whole images of any size: padded to the stride, or tiled where the model has a fixed size."""

import logging

import keras
import numpy as np
import pytest
from keras import layers

from normwise.errors import NetworkError
from normwise.inference.whole import fixed_size_note, predict_whole

RNG = np.random.default_rng(0)


def network(size=(None, None)):
    inputs = layers.Input((*size, 2))
    x = skip = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    x = layers.MaxPooling2D(4)(x)
    x = layers.UpSampling2D(4)(layers.Conv2D(4, 3, padding="same")(x))
    return keras.Model(inputs, layers.Conv2D(3, 1)(layers.Concatenate()([x, skip])))


def test_a_size_that_fits_is_the_plain_prediction():
    model, image = network(), RNG.normal(size=(16, 24, 2)).astype(np.float32)
    found = predict_whole(model, image, stride=4)
    np.testing.assert_array_equal(found, model.predict_on_batch(image[None])[0])
    assert found.dtype == np.float32


@pytest.mark.parametrize("size", [(13, 18), (1, 1), (16, 17), (3, 40)])
def test_other_sizes_are_continued_by_their_edges(size):
    model, image = network(), RNG.integers(0, 9, size=(*size, 2)).astype(np.uint16)
    rows, columns = (-(-side // 4) * 4 for side in size)
    padded = image[np.minimum(np.arange(rows), size[0] - 1)]
    padded = padded[:, np.minimum(np.arange(columns), size[1] - 1)].astype(np.float32)
    found = predict_whole(model, image, stride=4)
    assert found.shape == (*size, 3)
    wanted = np.asarray(model.predict_on_batch(padded[None])[0])
    np.testing.assert_array_equal(found, wanted[: size[0], : size[1]])


def test_the_stride_is_read_from_the_model():
    model, image = network(), RNG.normal(size=(10, 9, 2))
    np.testing.assert_array_equal(
        predict_whole(model, image), predict_whole(model, image, stride=4)
    )
    assert not np.array_equal(predict_whole(model, image), predict_whole(model, image, stride=16))


def test_a_fixed_size_is_tiled_and_said(caplog):
    model, image = network((8, 12)), RNG.normal(size=(10, 20, 2)).astype(np.float32)
    with caplog.at_level(logging.WARNING, "normwise.inference"):
        found = predict_whole(model, image)
    assert "8x12 pixels" in caplog.text
    assert "without overlap" in fixed_size_note(model, (10, 20))
    assert found.shape == (10, 20, 3)
    first = model.predict_on_batch(image[None, :8, :12])[0]
    np.testing.assert_array_equal(found[:8, :12], first)
    corner = np.pad(image[8:, 12:], ((0, 6), (0, 4), (0, 0)), mode="edge")
    last = model.predict_on_batch(corner[None])[0]
    np.testing.assert_array_equal(found[8:, 12:], last[:2, :8])


@pytest.mark.parametrize("size", [(8, 12), (5, 3)])
def test_a_fixed_size_that_is_large_enough_needs_no_tiles(size):
    model = network((8, 12))
    assert not fixed_size_note(model, size)
    assert predict_whole(model, np.ones((*size, 2))).shape == (*size, 3)


@pytest.mark.parametrize("shape", [(8, 8, 3), (8, 8), (1, 8, 8, 2)])
def test_what_is_no_image_for_the_model(shape):
    with pytest.raises(NetworkError, match="received"):
        predict_whole(network(), np.ones(shape))

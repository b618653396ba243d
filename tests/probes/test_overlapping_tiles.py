"""Tiles that overlap, against predictions of each tile by the model and by NumPy."""

import keras
import numpy as np
import pytest
from keras import layers

from normwise.graph.flatten import flatten
from normwise.keras_format import read_graph
from normwise.probes.overlapping_tiles import cut_for, overlapping_tiles, wanted_windows
from tests.surgery.models import outputs_of, weights_of
from tests.surgery.randomize import randomize

RNG = np.random.default_rng(0)


def scenes(count=3, rows=32, columns=64, channels=2):
    """Images that are brighter to the right, so that tiles have other statistics."""
    ramp = np.linspace(0, 4, columns)[None, None, :, None]
    return (RNG.normal(size=(count, rows, columns, channels)) + ramp).astype(np.float32)


def pointwise(norm):
    inputs = keras.Input((None, None, 2))
    x = layers.Conv2D(4, 1, name="conv")(inputs)
    return randomize(keras.Model(inputs, layers.Conv2D(3, 1)(layers.ReLU()(norm(x)))))


def found(model, windows):
    return overlapping_tiles(model, flatten(read_graph(model)), windows)


@pytest.mark.backends
@pytest.mark.parametrize("groups", [-1, 2, 1])
def test_the_difference_is_that_of_the_models_own_predictions(groups):
    model, windows = pointwise(layers.GroupNormalization(groups, name="norm")), scenes()
    before = weights_of(model)
    tiles = found(model, windows)
    # 64 columns, stride 1: tiles of 48 that begin at 0 and 16, and the middle 8 of their overlap.
    assert (tiles.size, tiles.margin, tiles.layers) == ((32, 48), 12, ("norm",))
    a, b = (outputs_of(model, windows[:, :, s : s + 48])[0] for s in (0, 16))
    difference = np.sqrt(np.mean((a[:, :, 28:36] - b[:, :, 12:20]) ** 2))
    spread = np.sqrt(a.reshape(-1, 3).astype(np.float64).var(axis=0).mean())
    np.testing.assert_allclose(tiles.difference, difference, rtol=1e-4)
    np.testing.assert_allclose(tiles.share, difference / spread, rtol=1e-4)
    assert tiles.share > 0.1 and tiles.changed is None
    # A pointwise network has no borders: with the same statistics nothing is left.
    assert tiles.pinned < 1e-5
    for old, new in zip(before, weights_of(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_borders_are_left_with_the_same_statistics():
    inputs = keras.Input((None, None, 2))
    x = layers.Conv2D(2, 41, padding="same")(inputs)
    faint = layers.Rescaling(1e-6)(layers.GroupNormalization(-1)(inputs))
    model = randomize(keras.Model(inputs, layers.Add()([x, faint])))
    tiles = found(model, scenes())
    assert tiles.share > 0.01 and tiles.pinned > 0.5 * tiles.share


def test_classes_that_change():
    inputs = keras.Input((None, None, 2))
    x = layers.GroupNormalization(-1)(layers.Conv2D(4, 1)(inputs))
    for units, activation in ((1, "sigmoid"), (3, "softmax")):
        model = randomize(keras.Model(inputs, layers.Conv2D(units, 1, activation=activation)(x)))
        windows = scenes()
        a, b = (outputs_of(model, windows[:, :, s : s + 48])[0] for s in (0, 16))
        a, b = a[:, :, 28:36], b[:, :, 12:20]
        flips = (a > 0.5) != (b > 0.5) if units == 1 else a.argmax(-1) != b.argmax(-1)
        assert found(model, windows).changed == pytest.approx(flips.mean()) and flips.mean() > 0


def test_norms_without_statistics_over_space_have_no_mismatch():
    assert found(pointwise(layers.BatchNormalization()), scenes()) is None
    assert found(pointwise(layers.LayerNormalization()), scenes()) is None


def test_models_without_maps_of_the_inputs_size_are_left_out():
    inputs = keras.Input((None, None, 2))
    x = layers.GroupNormalization(-1)(inputs)
    pooled = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    halved = keras.Model(inputs, layers.MaxPooling2D()(x))
    valid = keras.Model(inputs, layers.Conv2D(1, 3)(x))
    assert [found(model, scenes()) for model in (pooled, halved, valid)] == [None] * 3


def test_a_model_of_fixed_size_needs_wider_windows():
    inputs = keras.Input((32, 32, 2))
    x = layers.GroupNormalization(-1, name="norm")(
        layers.Conv2D(4, 3, strides=4, padding="same")(inputs)
    )
    model = randomize(keras.Model(inputs, layers.UpSampling2D(4)(x)))
    graph = flatten(read_graph(model))
    assert wanted_windows(model, graph) == (32, 48)
    assert overlapping_tiles(model, graph, scenes(columns=32)) is None
    tiles = overlapping_tiles(model, graph, scenes(columns=48))
    assert tiles.size == (32, 32) and tiles.share > 0.01


def test_windows_below_the_stride_are_too_small_along_any_axis():
    inputs = keras.Input((None, None, 2))
    x = layers.GroupNormalization(-1)(layers.MaxPooling2D(4)(inputs))
    model = randomize(keras.Model(inputs, layers.UpSampling2D(4)(x)))
    assert found(model, scenes(rows=3)) is None
    assert found(model, scenes(count=1, rows=7)).size == (4, 48)


@pytest.mark.parametrize("stride", [1, 4, 16])
def test_tiles_begin_at_multiples_of_the_stride(stride):
    for fixed, window in ((None, 256), (None, 160), (128, 0)):
        cut = cut_for(fixed, window, stride)
        assert cut.offset % stride == 0 and cut.margin > 0 and cut.width > 0
        assert cut.window == (window or fixed + cut.offset)
        assert 2 * cut.margin + cut.width <= cut.size - cut.offset
    assert cut_for(None, 2 * stride, stride) is None

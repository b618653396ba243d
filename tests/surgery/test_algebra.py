"""Folding as algebra, against the layers themselves: one map done by two layers or by one."""

import tracemalloc

import keras
import numpy as np
import pytest
from keras import layers

from normwise.surgery.algebra import batch_norm_affine, folded_after, folded_before

RNG = np.random.default_rng(5)
IN, OUT = 6, 6
"""Equal, so that a wrong axis isn't caught by a wrong shape."""

LAYERS = {
    "conv": lambda **c: layers.Conv2D(OUT, 3, **c),
    "conv strided": lambda **c: layers.Conv2D(OUT, 3, strides=2, **c),
    "conv dilated": lambda **c: layers.Conv2D(OUT, 3, dilation_rate=2, **c),
    "conv grouped": lambda **c: layers.Conv2D(OUT, 3, groups=3, **c),
    "conv pointwise": lambda **c: layers.Conv2D(OUT, 1, **c),
    "depthwise": lambda **c: layers.DepthwiseConv2D(3, depth_multiplier=2, **c),
    "separable": lambda **c: layers.SeparableConv2D(OUT, 3, depth_multiplier=2, **c),
    "transposed": lambda **c: layers.Conv2DTranspose(OUT, 3, strides=2, **c),
    "dense": lambda **c: layers.Dense(OUT, **c),
}


def made(name, use_bias):
    layer = LAYERS[name](use_bias=use_bias)
    layer.build((None, 9, 9, IN))
    for variable in layer.variables:
        variable.assign(RNG.normal(size=tuple(variable.shape)).astype("float32"))
    weights = {v.name: np.array(keras.ops.convert_to_numpy(v), np.float64) for v in layer.variables}
    return layer, weights, name.partition(" ")[0]


def with_weights(name, weights):
    layer = LAYERS[name](use_bias="bias" in weights)
    layer.build((None, 9, 9, IN))
    for variable in layer.variables:
        variable.assign(weights[variable.name].astype("float32"))
    return layer


def values(result):
    return keras.ops.convert_to_numpy(result)


def close(a, b):
    return np.allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(a).max())


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_after(name, use_bias):
    layer, weights, kind = made(name, use_bias)
    x = RNG.normal(size=(2, 9, 9, IN)).astype("float32")
    y = values(layer(x))
    scale, shift = RNG.normal(size=y.shape[-1]), RNG.normal(size=y.shape[-1])
    found = values(with_weights(name, folded_after(kind, weights, scale, shift))(x))
    assert close(y * scale + shift, found)
    wrong = values(with_weights(name, folded_after(kind, weights, scale[::-1], shift))(x))
    assert not close(y * scale + shift, wrong)


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_before(name, use_bias):
    layer, weights, kind = made(name, use_bias)
    x = RNG.normal(size=(2, 9, 9, IN)).astype("float32")
    scale, shift = RNG.normal(size=IN), RNG.normal(size=IN)
    if kind == "transposed":
        shift *= 0  # its border sees fewer taps than its middle
    y = values(layer((x * scale + shift).astype("float32")))
    found = values(with_weights(name, folded_before(kind, weights, scale, shift))(x))
    assert close(y, found)
    wrong = values(with_weights(name, folded_before(kind, weights, scale[::-1], shift))(x))
    assert not close(y, wrong)


def test_without_a_shift_no_bias_is_made():
    _, weights, kind = made("conv", use_bias=False)
    assert "bias" not in folded_after(kind, weights, np.ones(OUT), np.zeros(OUT))
    assert "bias" not in folded_before(kind, weights, np.ones(IN), np.zeros(IN))


def test_a_shift_asks_for_a_bias_also_where_a_kernel_makes_nothing_of_it():
    kernel = np.array([1.0, -1.0]).reshape(1, 1, 2, 1)
    found = folded_before("conv", {"kernel": kernel}, np.ones(2), np.full(2, 0.1))
    np.testing.assert_array_equal(found["bias"], [0])


def test_what_a_batch_normalization_does():
    norm = layers.BatchNormalization(epsilon=0.01)
    norm.build((None, IN))
    arrays = [RNG.uniform(0.5, 2, IN) for _ in range(4)]
    norm.set_weights(arrays)
    gamma, beta, mean, variance = arrays
    scale, shift = batch_norm_affine(mean, variance, gamma, beta, 0.01)
    x = RNG.normal(size=(4, IN)).astype("float32")
    assert close(values(norm(x)), x * scale + shift)
    wrong, _ = batch_norm_affine(mean, variance, gamma, beta, 0.001)
    assert not close(values(norm(x)), x * wrong + shift)


@pytest.mark.parametrize("name", LAYERS)
def test_kernels_of_single_precision_are_computed_in_double(name):
    """What comes out is the nearest float32 to the exact result, as if all had been float64."""
    _, weights, kind = made(name, use_bias=True)
    small = {key: array.astype("float32") for key, array in weights.items()}
    size = {True: OUT * (2 if kind == "depthwise" else 1), False: IN}
    for change, after in ((folded_after, True), (folded_before, False)):
        scale, shift = RNG.normal(size=size[after]), RNG.normal(size=size[after])
        exact, found = (change(kind, w, scale, shift) for w in (weights, small))
        for key, array in found.items():
            assert array.dtype == ("float64" if key == "bias" else "float32")
            np.testing.assert_allclose(array, exact[key], rtol=6e-8 if key != "bias" else 1e-14,
                                       atol=1e-14)  # fmt: skip


def test_folding_a_kernel_takes_its_memory_once():
    kernel = np.ones((3, 3, 256, 256), "float32")
    scale = np.ones(256)
    for change in (folded_after, folded_before):
        tracemalloc.start()
        change("conv", {"kernel": kernel, "bias": np.zeros(256, "float32")}, scale, scale)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # The new kernel, and for `folded_before` sums of the old one over its window.
        assert kernel.nbytes < peak < 1.6 * kernel.nbytes

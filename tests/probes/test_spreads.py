"""The standard deviations of samples, against NumPy."""

import numpy as np
import pytest

from normwise.probes.samples import Samples
from normwise.probes.spreads import spreads

RNG = np.random.default_rng(0)


def of(array, axis=-1, valid=None):
    found = spreads(Samples((array,), array[:1], (len(array),), False, valid), ("image",), (axis,))
    return found[0].ratios if found else None


@pytest.mark.parametrize("axis", [-1, 1])
def test_ratios_are_multiples_of_the_median(axis):
    images = RNG.normal(0, [1.0, 100.0], (9, 8, 8, 2))
    images[4, ..., 1] *= 52
    deviations = images.std(axis=(1, 2))
    wanted = (deviations / np.median(deviations, axis=0)).max(axis=1)
    found = of(np.moveaxis(images, -1, axis).astype(np.float32), axis)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert np.argmax(found) == 4 and 40 < max(found) < 65


def test_empty_samples_are_not_what_is_usual():
    images = np.zeros((9, 8, 8, 1), np.uint8)
    images[:3] = RNG.integers(0, 9, (3, 8, 8, 1))
    assert max(of(images)) < 2 and of(np.zeros((9, 8, 8, 1), np.uint8)) == (0.0,) * 9


def test_missing_pixels_do_not_count():
    images = RNG.normal(0, 1, (9, 8, 8, 1)).astype(np.float32)
    images[2, :2] = 1e4
    valid = np.ones((9, 8, 8), bool)
    valid[2, :2] = False
    assert max(of(images, valid=valid)) < 2 and max(of(images)) > 1e3


@pytest.mark.parametrize("shape", [(9, 5), (9, 2, 2, 3), (9,)])
def test_samples_without_a_spread_of_their_own_say_nothing(shape):
    assert of(RNG.normal(size=shape).astype(np.float32)) is None

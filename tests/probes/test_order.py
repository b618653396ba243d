"""The order of samples, against variances computed by hand and against shuffled orders."""

import numpy as np
import pytest

from normwise.probes.order import between, order
from normwise.probes.samples import Samples

RNG = np.random.default_rng(0)


def samples(means, batch=8, composed=True, groups=(), noise=1.0):
    """Images of 8x8 pixels and 2 channels around given means."""
    means = np.asarray(means, float)[:, None, None, None]
    images = (means + RNG.normal(0, noise, (len(means), 8, 8, 2))).astype(np.float32)
    sizes = [batch] * (len(means) // batch)
    return Samples((images,), images[:1], tuple(sizes), composed, None, tuple(groups))


def test_batches_of_one_source_each():
    found = order(samples(np.repeat([0, 1, 2, 3], 16)), -1, 8)
    assert (found.batch, found.batches, found.composed) == (8, 8, True)
    # Means 0..3 around 1.5 have a variance of 1.25, the pixels one of 1 more.
    assert found.drift == pytest.approx(np.sqrt(1.25 / 2.25), rel=0.05)
    assert found.shuffled == pytest.approx(np.sqrt(1.25 / 2.25 / 8 * (56 / 63)), rel=0.05)
    assert found.chance == pytest.approx(0.001)


def test_shuffled_batches():
    means = RNG.permutation(np.repeat([0, 1, 2, 3], 16))
    found = order(samples(means), -1, 8)
    assert found.drift < 1.5 * found.shuffled and found.chance > 0.01


def test_what_is_expected_of_shuffled_batches_is_what_they_have():
    means = np.repeat([0, 1, 2, 3], 16)
    drifts = [order(samples(RNG.permutation(means)), -1, 8).drift ** 2 for _ in range(30)]
    wanted = order(samples(means), -1, 8).shuffled ** 2
    np.testing.assert_allclose(np.mean(drifts), wanted, rtol=0.3)


def test_sorted_samples_that_hardly_differ_drift_little():
    found = order(samples(0.01 * np.repeat([0, 1, 2, 3], 16), noise=0.1), -1, 8)
    assert found.drift < 0.25


def test_images_of_a_folder_count_once_each():
    groups = np.repeat(np.arange(32), 2)
    shares = np.repeat([[1.0, 0.0], [0.0, 1.0]], 16, axis=0)
    found = order(samples(np.zeros(64), composed=False, groups=groups), -1, 8, shares)
    assert (found.batches, found.composed) == (4, False)
    share, chance = found.classes
    assert share == pytest.approx(1.0) and chance == pytest.approx(0.001)
    mixed = shares[RNG.permutation(32)]
    found = order(samples(np.zeros(64), composed=False, groups=groups), -1, 8, mixed)
    assert found.classes[0] < 0.5 and found.classes[1] > 0.002


def test_the_share_between_batches_is_that_of_an_analysis_of_variance():
    features = RNG.normal(size=(12, 3))
    numbers = np.repeat([0, 1, 2], 4)
    total = ((features - features.mean(axis=0)) ** 2).sum(axis=0)
    parts = np.stack([features[numbers == n].mean(axis=0) for n in range(3)])
    wanted = (4 * (parts - features.mean(axis=0)) ** 2).sum(axis=0) / total
    assert between(features, numbers)[0] == pytest.approx(wanted.mean())


def test_chance_is_as_often_small_as_it_says():
    chances = [between(RNG.normal(size=(16, 1)), np.repeat(range(4), 4))[1] for _ in range(60)]
    assert 0.3 < np.mean(chances) < 0.7 and np.mean(np.array(chances) <= 0.1) < 0.25


def test_too_few_batches_say_nothing():
    assert order(samples(np.repeat([0, 5], 12)), -1, 8) is None
    assert order(samples(np.zeros(64), noise=0), -1, 8) is None
    assert between(np.ones((8, 2)), np.repeat([0, 1], 4)) == (0.0, 1.0)

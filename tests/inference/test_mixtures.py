"""Ensembles against samples of the mixture that they stand for."""

import numpy as np

from normwise.inference.mixtures import combined

RNG = np.random.default_rng(0)


def test_the_mean_of_the_members():
    members = [RNG.normal(size=(3, 4, 2)).astype(np.float32) for _ in range(3)]
    found = combined(members)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, (members[0] + members[1] + members[2]) / 3, rtol=1e-5)


def test_one_member_is_left_as_it_is():
    only = RNG.normal(size=(3, 4, 2))
    assert combined([only]) is only


def test_means_and_deviations_are_those_of_the_mixture():
    means, stds = np.array([[1.0, -3.0], [5.0, -3.0]]), np.array([[2.0, 0.5], [1.0, 0.1]])
    members = [np.stack([m, s], -1).reshape(1, 1, 4) for m, s in zip(means, stds, strict=True)]
    drawn = RNG.normal(means[:, None], stds[:, None], (2, 200_000, 2)).reshape(-1, 2)
    found = combined(members, mean_and_std=True)[0, 0]
    np.testing.assert_allclose(found[0::2], drawn.mean(0), atol=0.02)
    np.testing.assert_allclose(found[1::2], drawn.std(0), atol=0.02)
    # The control: the mean of the deviations is far too small where the members disagree.
    assert combined(members)[0, 0, 1] < found[1] - 0.5

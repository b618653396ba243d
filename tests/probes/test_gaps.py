"""The gap between seen and held statistics, against values that are normalized in both ways."""

import numpy as np
import pytest

from normwise.probes.gaps import MOST, Held, gap
from normwise.surgery.moments import moments_of

CHANNELS = 3
EPSILON = 1e-3


def batches(rng, count=6, size=4000, mean=0.0, deviation=1.0):
    """Batches of `(size, channels)`, all from one distribution."""
    return [rng.normal(mean, deviation, (size, CHANNELS)) for _ in range(count)]


def found(values, mean, variance, gamma=None):
    held = Held(np.broadcast_to(mean, CHANNELS) * 1.0, np.broadcast_to(variance, CHANNELS) * 1.0,
                EPSILON, gamma)  # fmt: skip
    # As one sample each: moments are taken sample by sample.
    return gap("norm", [moments_of(batch[None], -1) for batch in values], held)


def both_ways(values, mean, variance):
    """Root mean square difference of values that are normalized by batches and by what is held."""
    squares = []
    for x in values:
        ours = (x - mean) / np.sqrt(variance + EPSILON)
        theirs = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + EPSILON)
        squares.append((ours - theirs) ** 2)
    return np.sqrt(np.mean(squares, axis=(0, 1)))


@pytest.mark.parametrize(("mean", "deviation"), [(2.0, 1.0), (0.5, 3.0), (0.0, 0.3), (1.0, 1.4)])
def test_the_gap_is_what_it_makes_of_normalized_values(mean, deviation):
    values = batches(np.random.default_rng(0), mean=mean, deviation=deviation)
    wanted = np.sqrt(np.mean(np.minimum(both_ways(values, 0.0, 1.0), MOST) ** 2))
    got = found(values, 0.0, 1.0)
    np.testing.assert_allclose(got.total, wanted, rtol=0.05, atol=0.02)
    np.testing.assert_allclose(got.mean, mean / np.sqrt(1 + EPSILON), rtol=0.05, atol=0.02)
    np.testing.assert_allclose(got.ratio, deviation, rtol=0.03)


def test_the_right_statistics_have_no_gap():
    got = found(batches(np.random.default_rng(1), mean=5.0, deviation=2.0), 5.0, 4.0)
    assert got.total < 0.01 and 0.99 < got.ratio < 1.01


def test_chance_is_no_gap():
    rng = np.random.default_rng(2)
    totals = [found(batches(rng, 5, size=8), 0.0, 1.0).total for _ in range(200)]
    assert np.quantile(totals, 0.99) < 0.5 and max(totals) < 0.8
    raw = [np.abs(np.mean(batches(rng, 5, size=8), axis=(0, 1))).max() for _ in range(200)]
    assert np.mean(raw) > 2 * np.mean(totals)


def test_averages_of_batch_variances_and_the_variance_of_all_are_both_right():
    rng = np.random.default_rng(3)
    values = [rng.normal(centre, 1.0, (4000, CHANNELS)) for centre in (-3, -1, 0, 1, 3, 0)]
    everything = np.concatenate(values).var()
    assert everything > 4
    for held in (1.0, 2.5, everything):
        assert found(values, 0.0, held).ratio == pytest.approx(1, abs=0.02)
    assert found(values, 0.0, 100.0).ratio < 0.5
    assert found(values, 0.0, 0.1).ratio > 2


def test_a_channel_counts_by_its_gamma_and_at_most_so_much():
    values = batches(np.random.default_rng(4))
    off = np.array([50.0, 0.0, 0.0])
    assert found(values, off, 1.0).total == pytest.approx(MOST / np.sqrt(3), rel=0.01)
    assert found(values, off, 1.0, np.array([0.0, 1.0, 1.0])).total < 0.05
    assert found(values, off, 1.0, np.array([2.0, 1.0, 1.0])).total == pytest.approx(
        MOST * np.sqrt(4 / 6), rel=0.01
    )
    assert found(values, off, 1.0, np.zeros(3)).total == pytest.approx(MOST / np.sqrt(3), rel=0.01)


def test_too_few_batches_and_no_numbers_say_nothing():
    rng = np.random.default_rng(5)
    assert found(batches(rng, 3), 9.0, 1.0) is None
    assert found(batches(rng, 6, size=1), 9.0, 1.0) is None
    broken = batches(rng)
    broken[0][0, 0] = np.nan
    assert found(broken, 9.0, 1.0) is None

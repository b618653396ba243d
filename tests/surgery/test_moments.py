"""Pooled moments and valid features, against everything in memory at once."""

import numpy as np
import pytest

from normwise.surgery import moments
from normwise.surgery.moments import moments_of, no_moments
from normwise.surgery.validity import (
    filled,
    missing_values,
    valid_features,
    valid_pixels,
)
from tests.surgery.reference import population

RNG = np.random.default_rng(3)


def pooled(pieces, axis=-1):
    total = no_moments(pieces[0].shape[axis])
    for piece in pieces:
        total = total.merge(moments_of(piece, axis))
    return total


@pytest.mark.parametrize("axis", [-1, 1, 3])
def test_pooled_over_uneven_pieces(axis, monkeypatch):
    monkeypatch.setattr(moments, "PIECE", 50)
    values = RNG.normal(5, 3, (9, 4, 5, 6)).astype(np.float32)
    found = pooled([values[:1], values[1:6], values[6:]], axis)
    mean, variance = population(np.moveaxis(values, axis, -1))
    assert found.count == values.size // values.shape[axis]
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(found.variance, variance, rtol=1e-12)


def test_the_variance_of_the_means_counts():
    """Averaged variances of the batches, as moving averages hold them, are another number."""
    pieces = [RNG.normal(centre, 1, (50, 2)) for centre in (-4.0, 4.0)]
    found = pooled(pieces)
    np.testing.assert_allclose(found.variance, np.concatenate(pieces).var(axis=0), rtol=1e-12)
    averaged = np.mean([piece.var(axis=0) for piece in pieces], axis=0)
    assert (found.variance > 10 * averaged).all()


def test_a_small_variance_beside_a_large_mean():
    values = RNG.normal(1e4, 0.01, (40, 30, 2))
    found = pooled([values[:13], values[13:]])
    np.testing.assert_allclose(found.variance, values.reshape(-1, 2).var(axis=0), rtol=1e-9)
    squares = (values.astype(np.float32) ** 2).mean((0, 1), dtype=np.float32)
    naive = squares - values.astype(np.float32).mean((0, 1), dtype=np.float32) ** 2
    assert not np.allclose(naive, found.variance, rtol=0.5)


def test_masked_positions_are_left_out():
    values = RNG.normal(size=(3, 4, 5, 2))
    valid = RNG.random((3, 4, 5)) > 0.4
    found = moments_of(values, -1, valid)
    mean, variance = population(values, valid)
    assert found.count == valid.sum()
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(found.variance, variance, rtol=1e-12)
    assert not np.allclose(found.mean, population(values)[0], rtol=1e-3)


def test_nothing_valid_has_count_zero():
    found = moments_of(np.ones((2, 3, 4)), -1, np.zeros((2, 3), bool)).merge(no_moments(4))
    assert found.count == 0
    assert (found.variance == 0).all()


def test_missing_values_are_nan_or_nodata():
    values = np.array([[1.0, np.nan], [-9.0, 2.0]], np.float32)
    assert missing_values(values, None).tolist() == [[False, True], [False, False]]
    assert missing_values(values, -9.0).tolist() == [[False, True], [True, False]]
    assert missing_values(np.array([[1, -np.inf, np.inf]]), None).tolist() == [[False, True, True]]
    assert missing_values(np.ones((2, 2), np.uint8), 0.0) is None
    assert missing_values(np.zeros((1, 2), np.uint8), 0.0).all()


def test_nodata_is_compared_as_the_file_stores_it():
    stored = np.full((1, 1), np.float32(-3.4028234663852886e38))
    assert missing_values(stored, -3.4028235e38).all()


@pytest.mark.parametrize("axis", [-1, 1])
def test_a_pixel_is_left_out_where_all_its_channels_are_missing(axis):
    missing = np.zeros((1, 2, 2, 2), bool)
    missing[0, 0, 0, 0] = True
    last = valid_pixels(missing, -1)
    assert last.all()
    missing[0, 0, 0, 1] = True
    assert valid_pixels(missing, -1).tolist() == [[[False, True], [True, True]]]
    moved = np.moveaxis(missing, -1, axis)
    assert (valid_pixels(moved, axis) == valid_pixels(missing, -1)).all()
    values = filled(np.zeros(moved.shape), moved, np.array([7.0, 8.0]), axis)
    assert np.moveaxis(values, axis, -1)[0, 0, 0].tolist() == [7.0, 8.0]


def test_a_feature_stands_on_the_pixel_under_its_centre():
    row = np.array([[True, False, True, True, False, False, True, False]])
    assert valid_features(row, (1, 8)).tolist() == row.tolist()
    assert valid_features(row, (1, 4)).tolist() == [[False, True, False, False]]
    assert valid_features(row, (1, 2)).tolist() == [[True, True]]
    assert valid_features(row, (1, 16)).tolist() == [np.repeat(row[0], 2).tolist()]
    assert valid_features(row, (1, 7)).tolist() == [row[0][[0, 1, 2, 4, 5, 6, 7]].tolist()]


def test_without_spatial_axes_a_sample_counts_if_any_pixel_does():
    valid = np.array([[[False, True]], [[False, False]]])
    assert valid_features(valid, (2,)).tolist() == [True, False]
    assert valid_features(valid, (2, 3)).tolist() == [[True] * 3, [False] * 3]

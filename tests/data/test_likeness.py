"""The likeness of pictures is Pearson's r over the points that both have."""

import numpy as np
import pytest

from normwise.data.likeness import alike, standardized, varying


def pictures(rng, count, points=200, missing=0.3):
    """Noise over one pattern in two channels, with gaps of their own, and a constant channel."""
    pattern = rng.normal(0, 1, (points, 2))
    made = []
    for _ in range(count):
        picture = 1e4 + 50 * (pattern + rng.normal(0, rng.uniform(0.1, 2), pattern.shape))
        picture = np.c_[picture, np.full(points, 7.0)]
        picture[rng.random(points) < missing] = np.nan
        made.append(picture)
    return made


def reference(one, other):
    kept = ~np.isnan(one[:, 0]) & ~np.isnan(other[:, 0])
    return np.mean([np.corrcoef(one[kept, c], other[kept, c])[0, 1] for c in (0, 1)])


def found(ones, others, least=-2.0, fewest=20):
    parts = [[standardized(picture, fewest) for picture in group] for group in (ones, others)]
    return {(a, b): r for a, b, r in alike(*parts, least, fewest)}


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_it_is_the_correlation_over_common_points(monkeypatch, missing):
    monkeypatch.setattr("normwise.data.likeness._BLOCK", 3)
    rng = np.random.default_rng(4)
    ones, others = pictures(rng, 7, missing=missing), pictures(rng, 4, missing=missing)
    others[0] = ones[6] * 2 + 5
    likeness = found(ones, others)
    assert len(likeness) == 7 * 4
    for (a, b), r in likeness.items():
        assert r == pytest.approx(reference(ones[a], others[b]), abs=1e-5)
    assert likeness[6, 0] == pytest.approx(1, abs=1e-6)
    assert set(found(ones, others, least=0.9999)) == {(6, 0)}


def test_pictures_without_enough_in_common_are_unlike():
    rng = np.random.default_rng(5)
    (picture,) = pictures(rng, 1, missing=0)
    left, right = picture.copy(), picture.copy()
    left[110:], right[:90] = np.nan, np.nan  # 20 points are common
    assert found([left], [right])[0, 0] == pytest.approx(1, abs=1e-6)
    assert found([left], [right], fewest=21)[0, 0] == 0
    assert found([picture], [left], fewest=111)[0, 0] == 0


def test_a_channel_that_varies_in_one_of_two_counts_as_unlike():
    rng = np.random.default_rng(6)
    (picture,) = pictures(rng, 1, missing=0)
    half = picture.copy()
    half[:, 1] = 3
    made = np.stack([standardized(each, 20) for each in (picture, half)])
    assert varying(made).tolist() == [2, 1]
    assert found([picture], [half])[0, 0] == pytest.approx(1 / np.sqrt(2), abs=1e-6)

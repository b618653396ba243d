"""Warps against scipy's own interpolation; labels, weights and what lies beyond the window."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from normwise.data.augmentation import Augmentation
from normwise.data.warping import Warp, warped

ROWS, COLUMNS = 20, 28


def window(channels: int = 4, slices: tuple[int, ...] = ()):
    chance = np.random.default_rng(0)
    image = chance.normal(size=(*slices, 40, 50, channels)).astype(np.float32)
    ids = chance.integers(0, 3, (*slices, 40, 50)).astype(np.uint8)
    return image, ids, np.ones(ids.shape, np.float32)


def places(seed: int = 0, shift: float = 10.0, **options: float):
    found = Warp(**options).places(ROWS, COLUMNS, np.random.default_rng(seed))
    return tuple(place + np.float32(shift) for place in found)


@pytest.mark.parametrize("slices", [(), (3,)])
def test_every_channel_is_interpolated_as_scipy_does(slices: tuple[int, ...]) -> None:
    image, ids, weight = window(slices=slices)
    at = places(scale=0.2, angle=20, elastic=1.0)
    made, label, kept = warped(image, ids, weight, at)
    assert made.shape == (*slices, ROWS, COLUMNS, 4) and made.dtype == np.float32
    assert label.shape == kept.shape == (*slices, ROWS, COLUMNS) and label.dtype == np.uint8
    for plane in np.ndindex(*slices):
        for channel in range(4):
            expected = map_coordinates(image[(*plane, ..., channel)], at, order=1, mode="nearest")
            np.testing.assert_allclose(made[(*plane, ..., channel)], expected, rtol=0, atol=1e-4)
        nearest = map_coordinates(ids[plane], at, order=0, mode="nearest")
        np.testing.assert_array_equal(label[plane], nearest)
    assert (kept == 1).all()
    # Read where nothing is moved, it is something else.
    assert not np.allclose(made, image[..., 10 : 10 + ROWS, 10 : 10 + COLUMNS, :], atol=0.1)


def test_turns_and_sizes_are_what_was_asked_for() -> None:
    for seed in range(20):
        down, right = Warp(angle=30).places(21, 21, np.random.default_rng(seed))
        assert (down[10, 10], right[10, 10]) == pytest.approx((10, 10), abs=1e-4)
        step = np.hypot(down[0, 1] - down[0, 0], right[0, 1] - right[0, 0])
        assert step == pytest.approx(1, abs=1e-4)
        turn = np.degrees(np.arctan2(down[0, 1] - down[0, 0], right[0, 1] - right[0, 0]))
        assert abs(turn) <= 30.001
    steps = [
        Warp(scale=0.25).places(9, 9, np.random.default_rng(seed))[0][1, 0]
        - Warp(scale=0.25).places(9, 9, np.random.default_rng(seed))[0][0, 0]
        for seed in range(200)
    ]
    assert min(steps) >= 0.799 and max(steps) <= 1.2501
    assert min(steps) < 0.85 and max(steps) > 1.2


def test_elastic_displacements_are_smooth_and_in_pixels() -> None:
    down = np.arange(64, dtype=np.float32)[:, None]
    moved = [
        Warp(elastic=2.0).places(64, 64, np.random.default_rng(seed))[0] - down
        for seed in range(50)
    ]
    assert 1.0 < np.std(moved) < 2.5
    assert max(np.abs(np.diff(field, axis=0)).max() for field in moved) < 1.5


@pytest.mark.parametrize(("rows", "columns"), [(32, 32), (16, 48), (48, 16)])
@pytest.mark.parametrize(
    "options",
    [{"angle": 10}, {"angle": 180}, {"scale": 0.5}, {"scale": 0.2, "angle": 45, "elastic": 2}],
)
def test_the_margin_holds_every_place(rows: int, columns: int, options: dict[str, float]) -> None:
    warp = Warp(**options)
    margin = warp.margin(rows, columns)
    most = 0.0
    for seed in range(60):
        for place, side, beyond in zip(
            warp.places(rows, columns, np.random.default_rng(seed)),
            (rows, columns), margin, strict=True,
        ):  # fmt: skip
            assert place.min() >= -beyond and place.max() <= side - 1 + beyond
            most = max(most, -place.min() / beyond)
    assert most > 0.4  # no wider than it must be


def test_beyond_the_window_the_weight_is_nothing() -> None:
    image, ids, weight = window()
    at = places(shift=-8.0, angle=5)
    made, label, kept = warped(image, ids, weight, at)
    outside = (at[0] < -0.5) | (at[1] < -0.5)
    assert 0.3 < outside.mean() < 0.8
    np.testing.assert_array_equal(kept == 0, outside)
    assert np.isfinite(made).all() and label.max() <= 2


def test_measured_targets_are_linear_and_lose_weight_where_one_without_label_is_touched() -> None:
    image, _, _ = window()
    target = np.stack([np.add.outer(np.arange(40.0), np.arange(50.0))] * 2, -1).astype(np.float32)
    weight = np.ones(target.shape, np.float32)
    weight[18, 20, 0] = 0
    at = places(angle=20)
    _, label, kept = warped(image, target, weight, at)
    np.testing.assert_allclose(label[..., 1], at[0] + at[1], rtol=0, atol=1e-3)
    near = (np.abs(at[0] - 18) < 1) & (np.abs(at[1] - 20) < 1)
    assert 2 <= near.sum() <= 8
    np.testing.assert_array_equal(kept[..., 0] == 0, near)
    assert (kept[..., 1] == 1).all()


def test_missing_pixels_spread_to_what_touches_them() -> None:
    image, ids, weight = window()
    image[15:20, 15:20] = np.nan
    image[25, 25, 0] = np.nan
    made, _, kept = warped(image, ids, weight, places(angle=10))
    gone = np.isnan(made).all(-1)
    assert gone.sum() >= 16
    np.testing.assert_array_equal(kept == 0, gone)
    assert np.isnan(made).any(-1).sum() > gone.sum()


def test_the_same_patch_whatever_surrounds_it_and_seeded() -> None:
    image, ids, weight = window()
    patch = (slice(10, 30), slice(10, 38))
    change = Augmentation(intensity=0, angle=15, elastic=1, scale=0.1)

    def run(seed: int, **options: object):
        return change.apply(image, ids, weight, np.random.default_rng(seed), **options)  # type: ignore[arg-type]

    one, two = run(3, patch=patch), run(3, patch=patch)
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first, second)
    assert one[0].shape == (20, 28, 4)
    assert not np.array_equal(one[0], run(4, patch=patch)[0])
    assert (one[2] == 1).all()  # there was enough around it: no empty corners
    alone = change.apply(image[patch], ids[patch], weight[patch], np.random.default_rng(3))
    assert (alone[2] == 0).any()

"""Batches are pure functions of their number."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from normwise.data import Augmentation, PatchBatches, open_dataset
from normwise.errors import DataError
from normwise.rasters import read_raster

FILL = np.array([10.0, 20.0, 30.0])


def batches(folder, labels: str = "masks", **options) -> PatchBatches:
    dataset = open_dataset(folder.fill(4, labels).root, validation=0)
    return PatchBatches(dataset, "train", (16, 24), 3, fill=FILL, **options)


def test_shapes_and_dtypes_of_segmentation(folder) -> None:
    found = batches(folder)
    assert len(found) == -(-4 * round(40 * 50 / (16 * 24)) // 3)
    x, y, weight = found[0]
    assert (x.shape, y.shape, weight.shape) == ((3, 16, 24, 3), (3, 16, 24), (3, 16, 24))
    assert (x.dtype, y.dtype, weight.dtype) == (np.float32, np.uint8, np.float32)


def test_shapes_and_dtypes_of_regression(folder) -> None:
    x, y, weight = batches(folder, "targets")[0]
    assert (x.shape, y.shape, weight.shape) == ((3, 16, 24, 3), (3, 16, 24, 2), (3, 16, 24, 2))
    assert (x.dtype, y.dtype, weight.dtype) == (np.float32,) * 3


def test_patches_are_cut_from_the_files_where_the_positions_say(folder) -> None:
    found = batches(folder, "targets")
    x, y, weight = found[1]
    for index, (item, (row, column)) in enumerate(found.positions(0)[3:6]):
        window = slice(row, row + 16), slice(column, column + 24)
        np.testing.assert_array_equal(x[index], read_raster(found.items[item].image)[window])
        np.testing.assert_array_equal(y[index], read_raster(found.items[item].label)[window])
    assert weight.all()


def equal(first, second) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("cache_bytes", [0, 2**28])
def test_a_resumed_run_sees_the_very_same_batches_in_any_order_and_thread(
    folder, cache_bytes: int
) -> None:
    options = {"augmentation": Augmentation(), "std": np.ones(3), "seed": 5}
    first = batches(folder, **options)
    expected = [[first.batch(epoch, step) for step in range(len(first))] for epoch in (0, 1)]
    resumed = PatchBatches(
        first.dataset, "train", (16, 24), 3, fill=FILL, cache_bytes=cache_bytes, **options
    )
    resumed.set_epoch(1)
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(resumed.__getitem__, reversed(range(len(first)))))
    for step, batch in enumerate(reversed(again)):
        assert equal(batch, expected[1][step])
        assert not equal(batch, expected[0][step])
    other = PatchBatches(first.dataset, "train", (16, 24), 3, fill=FILL, **{**options, "seed": 6})
    assert not equal(other[0], expected[0][0])


def test_iterating_ends_with_the_epoch(folder) -> None:
    found = batches(folder, steps=2)
    assert len(list(found)) == 2
    with pytest.raises(IndexError, match="an epoch has the steps 0 to 1"):
        found[2]


def test_ignored_classes_and_missing_pixels_have_no_weight(folder) -> None:
    image = folder.rng.integers(1, 100, (20, 20, 3)).astype(np.int16)
    image[0, :, 0] = -1
    image[1] = -1
    mask = np.ones((20, 20), np.uint8)
    mask[:, 3] = 255
    mask[:, 4] = 0
    folder.image("images/a.tif", image, nodata=-1)
    folder.mask("masks/a.png", mask)
    dataset = open_dataset(folder.root, validation=0)
    x, y, weight = (part[0] for part in PatchBatches(dataset, "train", (20, 20), 1, fill=FILL)[0])
    assert (x[0, :, 0] == 10).all()
    np.testing.assert_array_equal(x[0, :, 1:], image[0, :, 1:])
    np.testing.assert_array_equal(x[1], np.tile(FILL, (20, 1)))
    assert weight[0].sum() == 19
    assert not weight[1].any()
    assert not weight[:, 3].any()
    assert not y[:, 3].any()
    assert (y[:, 5] == 1).all()
    assert weight.sum() == 19 * 19


def test_targets_without_label_have_no_weight_each_on_its_own(folder) -> None:
    target = folder.rng.normal(0, 1, (20, 20, 2)).astype(np.float32)
    target[0, :, 0], target[1, :, 1] = np.nan, -9999
    folder.image("images/a.npy", folder.rng.random((20, 20, 3)).astype(np.float32))
    folder.target("targets/a.tif", target, nodata=-9999)
    dataset = open_dataset(folder.root, validation=0)
    found = PatchBatches(dataset, "train", (20, 20), 1, fill=FILL)
    _, y, weight = (part[0] for part in found[0])
    assert not y[0, :, 0].any() and not y[1, :, 1].any()
    assert weight.sum() == target.size - 40
    np.testing.assert_array_equal(y[2:], target[2:])
    assert np.isfinite(y).all()


def test_small_images_go_on_by_their_edges_without_weight(folder) -> None:
    image = folder.rng.integers(0, 9, (5, 30, 3)).astype(np.uint8)
    folder.image("images/a.png", image)
    folder.mask("masks/a.png", np.ones((5, 30), np.uint8) * (np.arange(30) % 2).astype(np.uint8))
    dataset = open_dataset(folder.root)
    found = PatchBatches(dataset, "train", (8, 8), 2, fill=FILL)
    x, y, weight = found[0]
    np.testing.assert_array_equal(x[:, 5:], x[:, 4:5].repeat(3, axis=1))
    assert not y[:, 5:].any()
    assert not weight[:, 5:].any()
    assert weight[:, :5].all()


def test_filled_pixels_keep_their_value_under_a_change_of_intensity(folder) -> None:
    image = folder.rng.normal(FILL, 1, (20, 20, 3)).astype(np.float32)
    image[4:9] = np.nan
    folder.image("images/a.npy", image)
    folder.mask("masks/a.png", (np.arange(400) % 2).reshape(20, 20).astype(np.uint8))
    folder.text("dataset.yaml", "nodata: .nan\n")
    dataset = open_dataset(folder.root)
    augmentation = Augmentation(False, False, intensity=0.5)
    found = PatchBatches(
        dataset, "train", (20, 20), 1, fill=FILL, std=np.ones(3), augmentation=augmentation
    )
    x, _, weight = (part[0] for part in found[0])
    np.testing.assert_array_equal(x[4:9], np.broadcast_to(FILL, (5, 20, 3)))
    assert np.isfinite(x).all()
    assert not np.allclose(x[:4], image[:4], rtol=1e-3, atol=0)
    assert not weight[4:9].any()


def test_label_and_image_stay_in_step_through_the_whole_loader(folder) -> None:
    for name in "abc":
        numbers = folder.rng.permutation(40 * 40).reshape(40, 40).astype(np.float32)
        folder.image(f"images/{name}.npy", numbers)
        folder.target(f"targets/{name}.npy", numbers)
    dataset = open_dataset(folder.root)
    found = PatchBatches(
        dataset, "train", (16, 16), 4, fill=np.zeros(1), augmentation=Augmentation(intensity=0)
    )
    for x, y, _ in found:
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fill": np.zeros(2)}, "fill: expected 3 finite numbers"),
        ({"fill": np.array([0, 0, np.nan])}, "fill: expected 3 finite numbers"),
        ({"augmentation": Augmentation()}, "needs `std`"),
        ({"augmentation": Augmentation(), "std": np.ones(2)}, "std: expected 3 finite numbers"),
        ({"steps": -1}, "expected numbers from 1"),
    ],
)
def test_impossible_settings(folder, options, message: str) -> None:
    with pytest.raises(DataError, match=message):
        PatchBatches(
            open_dataset(folder.fill(2).root), "train", (8, 8), 1, **{"fill": FILL, **options}
        )


def test_an_empty_split_is_an_error(folder) -> None:
    dataset = open_dataset(folder.fill(2).root)
    with pytest.raises(DataError, match="the split test is empty"):
        PatchBatches(dataset, "test", (8, 8), 1, fill=FILL)


TURNED = Augmentation(False, False, intensity=0, angle=40, scale=0.1)


def test_turned_patches_are_filled_from_what_surrounds_them(folder) -> None:
    """The image's column is its value, so that each patch says where it was looked up."""
    ramp = np.broadcast_to(np.arange(90, dtype=np.float32)[None, :, None], (80, 90, 3))
    folder.image("images/a.tif", np.ascontiguousarray(ramp))
    folder.mask("masks/a.png", np.broadcast_to(np.arange(90, dtype=np.uint8) // 45, (80, 90)))
    dataset = open_dataset(folder.root, validation=0)
    fill = np.zeros(3)
    turned = PatchBatches(dataset, "train", (16, 24), 8, augmentation=TURNED, fill=fill)
    plain = PatchBatches(dataset, "train", (16, 24), 8, fill=fill)
    full = 0
    for step in range(len(turned)):
        x, y, weight = turned[step]
        before = plain[step][0]
        for index, (_, (row, column)) in enumerate(turned.positions(0)[8 * step : 8 * step + 8]):
            centre = x[index, 7:9, 11:13].mean(axis=(0, 1))
            expected = before[index, 7:9, 11:13].mean(axis=(0, 1))
            np.testing.assert_allclose(centre, expected, rtol=0, atol=0.01)
            # The label is looked up at the same places.
            clear = np.abs(x[index, ..., 0] - 44.5) > 0.6
            np.testing.assert_array_equal(y[index][clear], (x[index, ..., 0] > 44.5)[clear])
            if 14 <= row <= 80 - 30 and 14 <= column <= 90 - 38:
                full += 1
                assert (weight[index] == 1).all()
    assert full > 2


def test_turned_patches_of_images_that_are_smaller(folder) -> None:
    dataset = open_dataset(folder.fill(3).root, validation=0)
    x, y, weight = PatchBatches(dataset, "train", (64, 48), 2, fill=FILL, augmentation=TURNED)[0]
    assert (x.shape, y.shape) == ((2, 64, 48, 3), (2, 64, 48))
    assert np.isfinite(x).all() and 0.2 < weight.mean() < 0.9

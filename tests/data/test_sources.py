"""Windows from several threads, in bounded memory."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from normwise.data import open_dataset
from normwise.data.sources import Source, decoded_bytes
from normwise.rasters import read_raster


@pytest.mark.parametrize("cache_bytes", [0, 30_000, 2**28])
def test_windows_are_the_same_with_and_without_cache_and_from_any_thread(
    folder, cache_bytes: int
) -> None:
    for index, suffix in enumerate(["tif", "png", "npy", "tif"]):
        folder.image(f"images/{index}.{suffix}")
        folder.target(f"targets/{index}.tif")
    dataset = open_dataset(folder.root, bands=[2, 0], targets=[1])
    wholes = [
        (read_raster(item.image)[..., [2, 0]], read_raster(item.label)[..., [1]])
        for item in dataset.items
    ]
    corners = folder.rng.integers(0, 30, (200, 2))

    def check(number: int) -> bool:
        index = number % len(dataset.items)
        row, column = corners[number].tolist()
        window = slice(row, row + 9), slice(column, column + 11)
        pixels, missing = source.image(dataset.items[index], *window)
        values, unlabelled = source.targets(dataset.items[index], *window)
        np.testing.assert_array_equal(pixels, wholes[index][0][window])
        np.testing.assert_array_equal(values, wholes[index][1][window])
        return missing is None and unlabelled is None

    with Source(dataset, dataset.items, cache_bytes) as source, ThreadPoolExecutor(6) as pool:
        assert all(pool.map(check, range(200)))
        assert source._decoded.size <= cache_bytes


def test_decoded_size_counts_images_and_labels(folder) -> None:
    dataset = open_dataset(folder.fill(3, "targets").root)
    pixels = 3 * 40 * 50
    assert decoded_bytes(dataset.items) == pixels * (3 * 2 + 2 * 4)
    assert decoded_bytes(()) == 0

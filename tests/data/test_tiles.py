"""Tiles cover every image once."""

import numpy as np
import pytest

from normwise.data import open_dataset, tiles_of
from normwise.errors import DataError
from normwise.rasters import read_raster

FILL = np.array([10.0, 20.0, 30.0])


def test_tiles_cover_every_image_once(folder) -> None:
    dataset = open_dataset(folder.fill(3, "targets").root, validation=0)
    for item in dataset.split("train"):
        image = np.full((40, 50, 3), np.nan, np.float32)
        covered = np.zeros((40, 50))
        for tile in tiles_of(dataset, "train", (16, 24), FILL):
            assert (tile.x.shape, tile.y.shape) == ((16, 24, 3), (16, 24, 2))
            if tile.item is item:
                row, column = tile.corner
                window = slice(row, row + 16), slice(column, column + 24)
                size = image[window].shape[:2]
                image[window] = tile.x[: size[0], : size[1]]
                covered[window] += tile.weight[: size[0], : size[1], 0]
                assert tile.weight[..., 0].sum() == size[0] * size[1]
        np.testing.assert_array_equal(image, read_raster(item.image))
        assert (covered == 1).all()


def test_an_empty_split_has_no_tiles(folder) -> None:
    dataset = open_dataset(folder.fill(2).root)
    with pytest.raises(DataError, match="the split test is empty"):
        next(tiles_of(dataset, "test", (8, 8), FILL))

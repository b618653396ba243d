"""Weights of pixels count in losses, statistics and metrics."""

import numpy as np
import pytest

from normwise.data import PatchBatches, channel_statistics, class_counts, tiles_of
from normwise.data.folder import open_dataset
from normwise.errors import DataError
from normwise.training.whole_items import whole_items


def weighted(folder, labels, count=4):
    """Images with weights from 0 to 3, NaN in a corner; returns them by name."""
    folder.fill(count, labels)
    weights = {}
    for index, name in enumerate("abcd"[:count]):
        weights[name] = np.random.default_rng(index).integers(0, 4, (40, 50)).astype(np.float32)
        weights[name][:2, :2] = np.nan
        folder.target(f"weights/{name}.tif", weights[name])
    return {name: np.nan_to_num(array) for name, array in weights.items()}


@pytest.mark.parametrize("labels", ["masks", "targets"])
def test_tiles_and_whole_images_have_their_weights(folder, labels):
    weights = weighted(folder, labels)
    dataset = open_dataset(folder.root)
    for tile in tiles_of(dataset, "train", (40, 50), np.zeros(3)):
        own = weights[tile.item.name]
        own = own if labels == "masks" else np.repeat(own[..., None], 2, -1)
        np.testing.assert_array_equal(tile.weight, own)
    for item, _, _, weight in whole_items(dataset, "train", [0.0] * 3):
        own = weights[item.name]
        own = own if labels == "masks" else np.repeat(own[..., None], 2, -1)
        np.testing.assert_array_equal(weight, own)
        assert weight.dtype == np.float32


def test_weights_multiply_what_is_ignored_anyway(folder):
    folder.fill(3)
    mask = np.zeros((40, 50), np.uint8)
    mask[:, :9] = 255
    folder.mask("masks/d.png", mask)
    folder.image("images/d.tif")
    for name in "abcd":
        folder.target(f"weights/{name}.npy", np.full((40, 50), 2.5, np.float32))
    folder.text("split.csv", "name,split\na,train\nb,train\nc,val\nd,test\n")
    (tile,) = tiles_of(open_dataset(folder.root), "test", (40, 50), np.zeros(3))
    np.testing.assert_array_equal(tile.weight[:, :9], 0)
    np.testing.assert_array_equal(tile.weight[:, 9:], 2.5)


def test_patches_cut_image_and_weights_at_the_same_place(folder):
    folder.fill(2)
    for name in "ab":
        image = np.random.default_rng(ord(name)).integers(1, 99, (40, 50, 3)).astype(np.uint16)
        folder.image(f"images/{name}.tif", image, overwrite=True)
        folder.target(f"weights/{name}.npy", image[..., 0].astype(np.float32))
    folder.text("split.csv", "name,split\na,train\nb,val\n")
    batches = PatchBatches(open_dataset(folder.root), "train", (16, 16), 4, fill=np.zeros(3))
    x, _, weight = batches.batch(0, 0)
    np.testing.assert_array_equal(weight, x[..., 0])
    assert not np.array_equal(weight[0], weight[1])


def test_a_folder_without_weights_is_as_before(folder):
    dataset = open_dataset(folder.fill(3).root)
    (tile, *_) = tiles_of(dataset, "train", (40, 50), np.zeros(3))
    assert (tile.weight == 1).all()
    assert all(item.weight is None for item in dataset.items)


def test_all_problems_of_weights_come_at_once(folder):
    weighted(folder, "masks")
    (folder.root / "weights" / "a.tif").unlink()
    folder.target("weights/z.npy", np.ones((40, 50), np.float32))
    folder.target("weights/b.tif", np.ones((40, 49), np.float32), overwrite=True)
    spoiled = np.ones((40, 50), np.float32)
    spoiled[0, :3], spoiled[1, :2] = -1, np.inf
    folder.target("weights/c.tif", spoiled, overwrite=True)
    folder.target("weights/d.tif", np.ones((40, 50, 2), np.float32), overwrite=True)
    with pytest.raises(DataError) as caught:
        open_dataset(folder.root)
    problems = "\n".join(caught.value.problems)
    for part in (
        "images/a.tif: has no weight; expected weights/a.*",
        "weights/z.npy: has no image",
        "weights/b.tif: has 40x49 pixels, but its image has 40x50",
        "weights/c.tif: 3 weights are negative; expected numbers from 0 (0 = ignore)",
        "weights/c.tif: 2 weights are infinite",
        "weights/d.tif: weights have one channel, a number for each pixel; found 2",
    ):
        assert part in problems
    assert len(caught.value.problems) == 6


def test_a_pixel_of_weight_0_counts_nowhere(folder):
    folder.fill(4, "targets")
    for name in "abcd":
        target = np.full((40, 50, 1), 5.0, np.float32)
        target[:10] = 1e6
        weight = np.ones((40, 50), np.float32)
        weight[:10] = 0
        folder.target(f"targets/{name}.tif", target, overwrite=True)
        folder.target(f"weights/{name}.npy", weight)
    found = channel_statistics(open_dataset(folder.root), "train", of="labels")
    np.testing.assert_allclose(found.mean, 5.0, rtol=1e-6)
    np.testing.assert_allclose(found.variance, 0.0, atol=1e-6)
    (folder.root / "weights").rename(folder.root / "unused")
    assert channel_statistics(open_dataset(folder.root), "train", of="labels").mean[0] > 1e5


def test_classes_of_weight_0_are_not_counted(folder):
    mask = np.repeat([[0, 1]], 40, 0).repeat(25, 1).astype(np.uint8)
    for name in "abcd":
        folder.image(f"images/{name}.tif")
        folder.mask(f"masks/{name}.png", mask)
        weight = np.zeros((40, 50), np.float32)
        weight[:, :25], weight[:3, 25] = 1, 1
        folder.target(f"weights/{name}.npy", weight)
    counts = class_counts(open_dataset(folder.root), "train")
    assert counts.tolist() == [3 * 40 * 25, 3 * 3]

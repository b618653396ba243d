"""Images of different splits that are not independent are found, and others are not."""

import numpy as np
import pytest

from normwise.data import open_dataset
from normwise.data.leaks import find_leaks


def scene(rng, height=96, width=192, channels=3):
    """Smooth structure with some noise, as images have."""
    coarse = rng.normal(0, 1, (height // 8 + 1, width // 8 + 1, channels))
    rows, columns = np.arange(height) / 8, np.arange(width) / 8
    r, c = rows.astype(int), columns.astype(int)
    fr, fc = (rows - r)[:, None, None], (columns - c)[None, :, None]
    top = coarse[r][:, c] * (1 - fc) + coarse[r][:, c + 1] * fc
    low = coarse[r + 1][:, c] * (1 - fc) + coarse[r + 1][:, c + 1] * fc
    smooth = top * (1 - fr) + low * fr
    return np.rint(2000 + 300 * smooth + rng.normal(0, 5, smooth.shape)).astype(np.uint16)


@pytest.fixture
def found(folder):
    def write(images, splits):
        for name, image in images.items():
            folder.image(f"images/{name}.tif", image)
            folder.mask(
                f"masks/{name}.png",
                np.arange(image[..., 0].size).reshape(image.shape[:2]).astype(np.uint8) % 2,
            )
        rows = [f"{name},{split}" for name, split in splits.items()]
        folder.text("split.csv", "\n".join(["name,split", *rows]))
        return find_leaks(open_dataset(folder.root))

    return write  # fmt: skip


def test_a_copy_with_noise_and_another_gain_is_a_near_duplicate(found):
    rng = np.random.default_rng(1)
    first, other = scene(rng), scene(rng)
    copy = (first * 1.3 + rng.normal(0, 8, first.shape)).astype(np.uint16)
    (leak,) = found({"a": first, "b": other, "c": copy}, {"a": "train", "b": "train", "c": "test"})
    assert (leak.kind, leak.first, leak.second) == ("near-duplicate", "a", "c")
    assert leak.splits == ("train", "test")
    assert leak.likeness > 0.995


@pytest.mark.parametrize("axis", [0, 1])
def test_halves_of_a_scene_are_neighbours(found, axis):
    rng = np.random.default_rng(2)
    whole, other = scene(rng, 192, 192), scene(rng, 96, 192)
    near, far = np.split(whole, 2, axis)
    other = other if axis == 0 else np.swapaxes(other, 0, 1)
    (leak,) = found(
        {"near": near, "other": other, "far": far},
        {"far": "val", "near": "train", "other": "test"},
    )
    assert (leak.kind, {leak.first, leak.second}) == ("neighbour", {"near", "far"})


def test_neighbours_within_a_split_and_strangers_are_none(found):
    rng = np.random.default_rng(3)
    near, far = np.split(scene(rng, 192, 192), 2, 1)
    images = {"a": near, "b": far, **{name: scene(rng, 192, 96) for name in "cdef"}}
    splits = dict(zip("abcdef", ["train", "train", "val", "val", "test", "test"], strict=True))
    assert found(images, splits) == ()


def test_constant_images_are_like_nothing(found):
    flat = {
        name: np.full((64, 64, 2), value, np.uint8)
        for name, value in zip("abc", (1, 2, 3), strict=True)
    }
    assert found(flat, {"a": "train", "b": "val", "c": "test"}) == ()

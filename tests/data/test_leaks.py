"""Images of different splits that are not independent are found, and others are not."""

import numpy as np
import pytest

from normwise.data import open_dataset
from normwise.data.leaks import find_leaks
from normwise.data.likeness import alike


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
def write(folder):
    def dataset(images, splits, nodata=None):
        for name, image in images.items():
            folder.image(f"images/{name}.tif", image, nodata=nodata)
            folder.mask(
                f"masks/{name}.png",
                np.arange(image[..., 0].size).reshape(image.shape[:2]).astype(np.uint8) % 2,
            )
        rows = [f"{name},{split}" for name, split in splits.items()]
        folder.text("split.csv", "\n".join(["name,split", *rows]))
        return open_dataset(folder.root)

    return dataset  # fmt: skip


@pytest.fixture
def found(write):
    return lambda *told, **options: find_leaks(write(*told, **options)).leaks


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


def test_constant_images_are_like_nothing_and_that_is_said(write):
    flat = {
        name: np.full((64, 64, 2), value, np.uint8)
        for name, value in zip("abc", (1, 2, 3), strict=True)
    }
    search = find_leaks(write(flat, {"a": "train", "b": "val", "c": "test"}))
    assert search.leaks == ()
    assert search.notes == (
        "3 images can't be compared across splits (such as a): they are constant, or have hardly a "
        "pixel with a measurement",
    )


def test_of_too_many_images_some_of_each_split_are_compared(write):
    rng = np.random.default_rng(4)
    images = {name: scene(rng, 40, 40) for name in "abcdefghij"}
    images["j"] = images["a"] + 7
    splits = dict.fromkeys("abcdefgh", "train") | {"i": "val", "j": "test"}
    dataset = write(images, splits)
    search = find_leaks(dataset, most=6)
    assert [(leak.first, leak.second) for leak in search.leaks] == [("a", "j")]
    assert search.notes == (
        "6 of 10 images were compared across splits (4 train, 1 val, 1 test); there may be leaks "
        "among the others",
    )
    whole = find_leaks(dataset)
    assert [(leak.first, leak.second) for leak in whole.leaks] == [("a", "j")]
    assert whole.notes == ()


def test_pixels_without_a_measurement_are_left_out(found):
    rng = np.random.default_rng(5)
    first, other, stranger = scene(rng), scene(rng), scene(rng)
    copy = first + rng.integers(0, 3, first.shape).astype(np.uint16)
    first[:20, :50] = other[:20, :50] = 0
    copy[60:, 90:] = stranger[:20, :50] = 0
    images = {"a": first, "b": other, "c": copy, "d": stranger}
    splits = {"a": "train", "b": "train", "c": "test", "d": "test"}
    (leak,) = found(images, splits, nodata=0)
    assert (leak.kind, leak.first, leak.second) == ("near-duplicate", "a", "c")


def test_neighbours_are_found_though_pixels_of_their_borders_are_missing(found):
    rng = np.random.default_rng(6)
    near, far = np.split(scene(rng, 192, 192), 2, 1)
    other, stranger = scene(rng, 192, 96), scene(rng, 192, 96)
    for image, rows in ((near, slice(0, 40)), (other, slice(0, 40))):
        image[rows] = 0
    for image in (far, stranger):
        image[-50:, :60] = 0
    images = {"a": near, "b": other, "c": far, "d": stranger}
    splits = {"a": "train", "b": "train", "c": "val", "d": "val"}
    (leak,) = found(images, splits, nodata=0)
    assert (leak.kind, {leak.first, leak.second}) == ("neighbour", {"a", "c"})


def test_what_is_kept_of_an_image_does_not_grow_with_it(write, monkeypatch):
    rng = np.random.default_rng(7)
    whole = scene(rng, 304, 608, channels=20)
    near, far = np.split(whole, 2, 1)
    kept = []

    def spied(ones, others, *told):
        kept.extend((*ones, *others))
        return alike(ones, others, *told)

    monkeypatch.setattr("normwise.data.leaks.alike", spied)
    search = find_leaks(write({"a": near, "b": far}, {"a": "train", "b": "val"}))
    assert [leak.kind for leak in search.leaks] == ["neighbour"]
    assert {picture.shape for picture in kept} == {(16, 1024), (16, 128)}
    assert {picture.dtype for picture in kept} == {np.dtype(np.float32)}

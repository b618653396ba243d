"""All problems of a folder are reported together."""

import math

import numpy as np
import pytest
import rasterio
from PIL import Image

from normwise.data import open_dataset
from normwise.data.sources import Source
from normwise.errors import DataError


def problems(folder, **options) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        open_dataset(folder.root, **options)
    assert str(folder.root) in str(caught.value).splitlines()[0]
    assert str(folder.root) not in "\n".join(caught.value.problems)
    return caught.value.problems


def test_a_folder_with_everything_wrong(folder) -> None:
    folder.fill(6)
    folder.image("images/lonely.tif")
    folder.mask("masks/stray.png")
    (folder.root / "masks" / "a.png").unlink()
    folder.mask("masks/a.png", np.zeros((30, 50), np.uint8))
    (folder.root / "images" / "b.tif").unlink()
    folder.image("images/b.tif", np.zeros((40, 50, 4), np.uint16))
    path = folder.root / "images" / "c.tif"
    path.write_bytes(path.read_bytes()[:-300])
    (folder.root / "masks" / "d.png").unlink()
    folder.mask("masks/d.png", np.zeros((40, 50, 3), np.uint8))
    (folder.root / "images" / "e.tif").unlink()
    folder.image("images/e.tif", np.full((40, 50, 3), np.nan, np.float32))
    found = problems(folder)
    for start in (
        "images/lonely.tif: has no mask",
        "masks/stray.png: has no image",
        "masks/a.png: has 30x50 pixels, but its image has 40x50",
        "images/b.tif: has 4 channels, but 5 of 6 have 3 channels",
        "images/c.tif: can't be",
        "masks/d.png: a mask has one channel of whole numbers",
        "images/e.tif: 6000 values are NaN",
        "images/e.tif: has floating-point numbers, but 5 of 6 have whole numbers",
    ):
        assert any(problem.startswith(start) for problem in found), (start, found)
    assert len(found) == 8


def test_masks_of_black_and_white_show_the_line_to_write(folder) -> None:
    for name in "abc":
        folder.image(f"images/{name}.tif")
        folder.mask(f"masks/{name}.png", folder.rng.choice([0, 255], (40, 50)).astype(np.uint8))
    (found,) = problems(folder)
    assert "`mask_values: {0: 0, 255: 1}`" in found
    folder.text("dataset.yaml", "classes: [land, water]\n")
    assert problems(folder) == (found,)
    folder.text("dataset.yaml", "mask_values: {0: 0, 255: 1}\n")
    assert open_dataset(folder.root).outputs == 2
    folder.text("dataset.yaml", "mask_values: {0: 0, 255: 255}\nclasses: [land, water]\n")
    assert open_dataset(folder.root).outputs == 2
    folder.text("dataset.yaml", "classes: {land: 0, water: 255}\n")
    assert open_dataset(folder.root).class_ids == {0: 0, 255: 1}


@pytest.mark.parametrize(("value", "ignored"), [(0, False), (1, False), (1, True)])
def test_masks_of_one_class_are_refused(folder, value, ignored) -> None:
    folder.image("images/a.tif")
    mask = np.full((40, 50), value, np.uint8)
    mask[:9] = 255 if ignored else value
    folder.mask("masks/a.png", mask)
    (found,) = problems(folder)
    assert found.startswith(f"masks hold one class alone, the value {value}; expected 2 or more")
    assert "name all `classes` in dataset.yaml" in found and "`mask_values: {0: 0, 1: 1}`" in found
    folder.text("dataset.yaml", "classes: [land, water]\n")
    assert open_dataset(folder.root).outputs == 2


def test_masks_with_gaps_show_the_line_to_write(folder) -> None:
    folder.image("images/a.tif")
    folder.mask("masks/a.png", folder.rng.choice([0, 100, 200, 255], (40, 50)).astype(np.uint8))
    (found,) = problems(folder)
    assert "values 0, 100, 200" in found
    assert "`mask_values: {0: 0, 100: 1, 200: 2}`" in found


def test_unknown_classes_are_listed_with_their_file(folder) -> None:
    folder.fill(2)
    folder.text("dataset.yaml", "classes: [a, b]\n")
    found = problems(folder)
    assert len(found) == 2
    assert found[0].startswith("masks/a.png: the values 2 are no class; known are 0, 1, 255")


def test_float_masks_and_palette_images(folder) -> None:
    folder.image("images/a.tif", np.zeros((40, 50), np.uint8))
    folder.target("masks/a.tif", np.zeros((40, 50), np.float32))
    folder.mask("masks/b.png")
    picture = Image.fromarray(np.zeros((40, 50), np.uint8), mode="P")
    picture.putpalette([0] * 768)
    picture.save(folder.root / "images" / "b.png")
    found = problems(folder)
    assert found[0].startswith("masks/a.tif: a mask has one channel of whole numbers")
    assert found[1].startswith("images/b.png: its pixels are numbers of palette colours")


def test_nan_and_infinity(folder) -> None:
    image = np.ones((40, 50, 3), np.float32)
    image[0, 0, 0], image[1, 1, 1] = np.nan, np.inf
    folder.image("images/a.npy", image)
    folder.image("images/b.npy", image * 2)
    for name in "ab":
        folder.mask(f"masks/{name}.png")
    found = problems(folder)
    advice = "; if that means no measurement, write `nodata: .nan` in dataset.yaml"
    assert f"images/a.npy: 1 values are infinite{advice}" in found
    assert f"images/a.npy: 1 values are NaN{advice}" in found
    assert len(found) == 4
    folder.text("dataset.yaml", "nodata: -.inf\n")
    assert all("NaN" in problem for problem in problems(folder))
    folder.text("dataset.yaml", "nodata: .nan\n")
    data = open_dataset(folder.root)
    with Source(data, data.items) as source:
        _, missing = source.image(data.items[0], slice(0, 2), slice(0, 2))
    assert np.argwhere(missing).tolist() == [[0, 0, 0], [1, 1, 1]]
    # The control: a number says nothing about infinity.
    folder.text("dataset.yaml", "nodata: 7\n")
    assert len(problems(folder)) == 4


def test_infinite_targets(folder) -> None:
    target = np.ones((40, 50), np.float32)
    target[0, 0], target[1, 1] = np.inf, np.nan
    for name in "ab":
        folder.image(f"images/{name}.tif")
        folder.target(f"targets/{name}.tif", target)
    assert list(problems(folder)[:2]) == [
        f"targets/{name}.tif: 1 values are infinite; write NaN where there is no label"
        for name in "ab"
    ]


def test_the_same_file_or_name_in_two_splits(folder) -> None:
    folder.fill(3)
    twin = (folder.root / "images" / "a.tif").read_bytes()
    (folder.root / "images" / "c.tif").write_bytes(twin)
    folder.text("split.csv", "name,split\na,train\nb,val\nc,test\n")
    (found,) = problems(folder)
    assert found == "images/c.tif (test) is the same file as images/a.tif (train)"
    # Negative control: within a split it may be.
    folder.text("split.csv", "name,split\na,train\nb,val\nc,train\n")
    assert open_dataset(folder.root).channels == 3


def test_a_name_in_two_split_folders(folder) -> None:
    for split in ("train", "test"):
        folder.image(f"{split}/images/a.tif")
        folder.mask(f"{split}/masks/a.png")
    assert problems(folder) == ("a: stands in two splits, train and test",)


@pytest.mark.parametrize("labels", ["masks", "targets"])
def test_a_split_without_any_label(folder, labels: str) -> None:
    folder.fill(3, labels)
    if labels == "masks":
        (folder.root / "masks" / "b.png").unlink()
        folder.mask("masks/b.png", np.full((40, 50), 255, np.uint8))
    else:
        (folder.root / "targets" / "b.tif").unlink()
        folder.target("targets/b.tif", np.full((40, 50, 2), np.nan, np.float32))
    folder.text("split.csv", "name,split\na,train\nb,val\nc,test\n")
    assert problems(folder) == (
        "the split val has no label at all: every pixel is ignored. Label some, or give it an "
        "image that has labels (split.csv)",
    )
    folder.text("split.csv", "name,split\na,val\nb,val\nc,train\n")
    assert open_dataset(folder.root).outputs


def test_images_that_disagree_about_nodata(folder) -> None:
    for index, name in enumerate("ab"):
        folder.image(f"images/{name}.tif", nodata=index)
        folder.mask(f"masks/{name}.png")
    assert problems(folder) == ("images differ in nodata (0.0, 1.0); set `nodata` in dataset.yaml",)


def masked(path) -> None:
    """The first row of a GeoTIFF is left out by a mask inside it."""
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        mask = np.full(file.shape, 255, np.uint8)
        mask[0] = 0
        file.write_mask(mask)


def test_a_value_that_some_images_name_is_not_taken_for_those_with_a_mask(folder) -> None:
    pixels = np.ones((40, 50, 3), np.float32)
    pixels[5] = 0
    folder.image("images/a.tif", pixels, nodata=0)
    masked(folder.image("images/b.tif", pixels + pixels))
    folder.mask("masks/a.png")
    folder.mask("masks/b.png")
    (found,) = problems(folder)
    assert found.startswith("images differ in nodata (0.0, nan); set `nodata` in dataset.yaml")
    folder.text("dataset.yaml", "nodata: .nan\n")
    dataset = open_dataset(folder.root)
    rows = {}
    with Source(dataset, dataset.items) as source:
        for item in dataset.items:
            _, missing = source.image(item, slice(0, 40), slice(0, 50))
            rows[item.name] = np.flatnonzero(missing.all((1, 2))).tolist()
    assert rows == {"a": [5], "b": [0]}
    # Negative control: masks alone say nothing that could hold elsewhere.
    (folder.root / "dataset.yaml").unlink()
    (folder.root / "images" / "a.tif").unlink()
    folder.image("images/a.tif", pixels)
    assert math.isnan(open_dataset(folder.root).nodata)


def test_bands_of_another_number(folder) -> None:
    folder.fill(2)
    folder.text("dataset.yaml", "bands: [red, nir]\n")
    assert problems(folder) == ("dataset.yaml: names 2 bands, images have 3",)

"""Opening a data folder."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from normwise.data import open_dataset
from normwise.errors import DataError


def test_segmentation(folder) -> None:
    dataset = open_dataset(folder.fill(3).root)
    assert dataset.task == "segmentation"
    assert (dataset.channels, dataset.outputs, dataset.ignore) == (3, 3, 255)
    assert dataset.classes == ("class 0", "class 1", "class 2")
    assert dataset.bands == ("band 1", "band 2", "band 3")
    assert dataset.class_ids == {0: 0, 1: 1, 2: 2, 255: 255}
    assert dataset.dtype == np.uint16
    item = dataset.items[0]
    assert (item.height, item.width) == (40, 50)
    assert item.label == folder.root / "masks" / f"{item.name}.png"


def test_regression_with_chosen_channels(folder) -> None:
    folder.fill(3, "targets")
    folder.text("dataset.yaml", "bands: [blue, green, red]\n")
    dataset = open_dataset(folder.root, bands=[2, 0], targets=[1])
    assert dataset.task == "regression"
    assert (dataset.channels, dataset.outputs) == (2, 1)
    assert dataset.bands == ("red", "blue")
    assert dataset.target_names == ("band 2",)
    assert (dataset.band_index, dataset.target_index) == ((2, 0), (1,))


def test_described_classes_count_even_if_a_mask_lacks_them(folder) -> None:
    folder.fill(2)
    folder.text("dataset.yaml", "classes: [a, b, c, d]\n")
    assert open_dataset(folder.root).outputs == 4


def test_nodata_comes_from_the_files_or_the_description(folder) -> None:
    for name in "ab":
        folder.image(f"images/{name}.tif", nodata=9)
        folder.mask(f"masks/{name}.png")
    assert open_dataset(folder.root).nodata == 9
    folder.text("dataset.yaml", "nodata: 5\n")
    assert open_dataset(folder.root).nodata == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bands": [3]}, r"bands \[3\]: expected different numbers from 0 to 2"),
        ({"bands": [1, 1]}, "expected different numbers"),
        ({"bands": []}, "expected different numbers"),
        ({"targets": [0]}, "targets can't be chosen: the labels are masks"),
    ],
)
def test_impossible_choices(folder, options, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_dataset(folder.fill(2).root, **options)


def test_an_unknown_split_is_named(folder) -> None:
    with pytest.raises(DataError, match="'dev' is no split"):
        open_dataset(folder.fill(2).root).split("dev")


def test_headers_are_enough_if_classes_are_described(folder) -> None:
    folder.fill(3)
    folder.text("dataset.yaml", "classes: [a, b, c]\n")
    path = folder.root / "images" / "a.tif"
    path.write_bytes(path.read_bytes()[:-200])
    assert open_dataset(folder.root, read_pixels=False).outputs == 3
    with pytest.raises(DataError, match=r"images/a\.tif: can't be"):
        open_dataset(folder.root)


REAL = [
    ("dsb2018_subset", {}, ("segmentation", 3, 2, [75, 19, 36])),
    ("hls_water", {"labels": "masks"}, ("segmentation", 9, 2, [58, 15, 26])),
    ("hls_water", {"labels": "targets", "bands": range(8)}, ("regression", 8, 1, [58, 15, 26])),
    ("isl_fluor", {}, ("regression", 13, 3, [10, 2, 4])),
    ("s2_bands", {"targets": [4, 5]}, ("regression", 10, 2, [2, 2, 2])),
]


@pytest.mark.parametrize(("name", "options", "expected"), REAL)
def test_real_data(real, name: str, options, expected) -> None:
    dataset = open_dataset(real(name), **options)
    counts = [len(dataset.split(split)) for split in ("train", "val", "test")]
    assert (dataset.task, dataset.channels, dataset.outputs, counts) == expected


def test_real_data_with_both_labels_needs_a_choice(real) -> None:
    with pytest.raises(DataError, match="Choose one"):
        open_dataset(real("hls_water"))


def test_the_folder_may_have_moved(folder, tmp_path: Path) -> None:
    before = open_dataset(folder.fill(6).root)
    shutil.copytree(folder.root, tmp_path / "elsewhere")
    after = open_dataset(tmp_path / "elsewhere")
    assert [(i.name, i.split) for i in before.items] == [(i.name, i.split) for i in after.items]

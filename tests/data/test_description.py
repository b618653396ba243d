"""What dataset.yaml may say, and how its errors read."""

import math

import pytest

from normwise.data import read_description
from normwise.errors import DataError


def test_all_entries(folder) -> None:
    folder.text(
        "dataset.yaml",
        'classes: [land, water]\ncolours: ["#000000", "#1f77b4"]\nbands: [red, nir]\n'
        "nodata: -9999\nmask_values: {0: 0, 255: 1, 7: 255}\n",
    )
    description = read_description(folder.root)
    assert description.class_names == ("land", "water")
    assert description.class_ids == {0: 0, 255: 1, 7: 255}
    assert description.nodata == -9999
    assert description.bands == ["red", "nir"]


def test_no_file_or_an_empty_one_says_nothing(folder) -> None:
    assert read_description(folder.root).class_ids is None
    folder.text("dataset.yaml", "# later\n")
    assert read_description(folder.root).class_names is None


def test_classes_may_name_their_mask_values(folder) -> None:
    folder.text("dataset.yaml", "classes: {land: 10, water: 255}\nnodata: .nan\n")
    description = read_description(folder.root)
    assert description.class_names == ("land", "water")
    assert description.class_ids == {10: 0, 255: 1}
    assert description.nodata is not None
    assert math.isnan(description.nodata)


def test_without_a_word_255_is_ignore(folder) -> None:
    folder.text("dataset.yaml", "classes: [land, water]\n")
    assert read_description(folder.root).class_ids == {0: 0, 1: 1, 255: 255}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classess: [a]", "classess: is unknown; expected one of bands, nodata, images, classes"),
        ("classes: [a, a]", "a name stands twice in `classes`"),
        ("classes: [0, 1]", "valid string"),
        ("classes: []", "must name 2 to 255 classes, not 0"),
        ("classes: [water]", "must name 2 to 255 classes, not 1; what is no object is a class too"),
        ("classes: {a: 1, b: 1}", "the same mask value"),
        ("classes: {a: 0, b: 1}\nmask_values: {0: 0}", "drop `mask_values`"),
        ("classes: [a, b]\nmask_values: {0: 0, 9: 2}", "leads to class 2, but the last of the 2"),
        ("mask_values: {0: 300}", "less than or equal to 255"),
        ("mask_values: {0: 255}", "names no class"),
        ("mask_values: {7: 0, 255: 255}", "leads to class 0 alone; expected 2 or more"),
        ("colours: [red]", "colours.0: .*pattern"),
        ('classes: [a, b]\ncolours: ["#000000"]', "1 `colours` for 2 classes"),
        ("nodata: none", "nodata: .*valid number"),
        ("- a\n- b", "expected entries such as"),
        ("a: [", "is no YAML"),
    ],
)
def test_errors_name_the_file_and_the_entry(folder, text: str, message: str) -> None:
    folder.text("dataset.yaml", text)
    with pytest.raises(DataError, match=message) as caught:
        read_description(folder.root)
    assert "dataset.yaml" in str(caught.value)


def test_several_errors_are_reported_together(folder) -> None:
    folder.text("dataset.yaml", "nodata: x\nband: [a]\n")
    with pytest.raises(DataError) as caught:
        read_description(folder.root)
    assert len(caught.value.problems) == 2

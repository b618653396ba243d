"""What values mean: nodata and classes."""

from pathlib import Path

import numpy as np
import pytest

from normwise.data import open_dataset
from normwise.data.pixels import class_ids_of, marks_of, missing_in
from normwise.errors import DataError


@pytest.mark.parametrize(
    ("pixels", "nodata", "missing"),
    [
        (np.array([0, -9999], np.int16), -9999, [False, True]),
        (np.array([0, 1], np.uint8), -9999, None),
        (np.array([0, 1], np.uint8), 0.5, None),
        (np.array([0, 1], np.uint8), np.nan, None),
        (np.array([0, 1], np.int16), None, None),
        (np.array([0, 1], np.int16), 7, None),
        (np.array([0, np.nan], np.float32), None, [False, True]),
        (np.array([0, np.nan], np.float32), np.nan, [False, True]),
        (np.array([0, np.nan, 5], np.float64), 5, [False, True, True]),
        # As headers write the lowest float32.
        (np.array([0, np.finfo("f4").min], np.float32), -3.40282346600000016e38, [False, True]),
        (np.array([0, np.inf], np.float32), np.inf, [False, True]),
        (np.array([0, 5, 7], np.int16), (5, 7.0, 0.5), [False, True, True]),
        (np.array([0, np.nan, 7], np.float32), (7.0,), [False, True, True]),
        (np.array([0, 1], np.uint8), (), None),
    ],
)
def test_missing(pixels, nodata, missing) -> None:
    found = missing_in(pixels, nodata)
    assert (None if found is None else found.tolist()) == missing


def test_booleans_have_marks_too() -> None:
    pixels = np.array([True, False])
    assert missing_in(pixels, 255) is None
    np.testing.assert_array_equal(missing_in(pixels, 0.0), [False, True])


def test_every_mark_that_anybody_tells_counts_once() -> None:
    assert marks_of(None, 5, np.nan, 5.0, -1) == (5.0, -1.0)
    assert marks_of(None) == marks_of() == ()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "int64"])
def test_mask_values_become_class_ids(folder, dtype: str) -> None:
    folder.fill(2)
    folder.text("dataset.yaml", "mask_values: {0: 2, 1: 255, 2: 0, 200: 1, 7: 1}\n")
    dataset = open_dataset(folder.root)
    mask = np.array([[0, 1], [2, 200]], dtype)[..., None]
    ids = class_ids_of(mask, dataset, Path("m.png"))
    assert ids.dtype == np.uint8
    assert ids.tolist() == [[2, 255], [0, 1]]
    with pytest.raises(DataError, match=r"m\.png: the mask values 9, 99 stand for no class"):
        class_ids_of(np.array([[9, 99, 9]], dtype)[..., None], dataset, Path("m.png"))


def test_negative_mask_values(folder) -> None:
    folder.fill(1)
    folder.text("dataset.yaml", "mask_values: {-1: 255, 0: 0, 1: 1, 2: 1}\n")
    mask = np.array([[-1, 1]], np.int16)[..., None]
    assert class_ids_of(mask, open_dataset(folder.root), Path("m")).tolist() == [[255, 1]]

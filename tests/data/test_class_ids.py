"""The classes that mask values stand for."""

from pathlib import Path

import numpy as np
import pytest

from normwise.data import open_dataset
from normwise.data.class_ids import class_ids_of
from normwise.errors import DataError


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

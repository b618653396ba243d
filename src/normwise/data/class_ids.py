"""The classes that the values in mask files stand for."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from normwise.data.dataset import Dataset
from normwise.data.description import IGNORE
from normwise.data.pixels import Pixels
from normwise.errors import DataError


def class_ids_of(mask: Pixels, dataset: Dataset, path: Path) -> NDArray[np.uint8]:
    """The class ids that stand for the values of a mask file.

    Args:
        mask: Whole numbers of shape `(..., 1)` as they stand in the file, or NaN where a file's own
            mask says that there are none.
        dataset: The data set, for its classes.
        path: The file, for the message.

    Returns:
        Class ids of shape `(...)`; 255 where there is no label.

    Raises:
        DataError: If a value stands for no class.
    """
    values = mask[..., 0]
    if values.dtype.kind == "f" and (holes := np.isnan(values)).any():
        first = next(iter(dataset.class_ids))
        whole = class_ids_of(np.where(holes, first, values)[..., None], dataset, path)
        return np.where(holes, np.uint8(IGNORE), whole)
    known = np.array(sorted(dataset.class_ids), np.int64)
    ids = np.array([dataset.class_ids[value] for value in known.tolist()], np.uint8)
    if values.dtype == np.uint8:
        return _by_table(values, known, ids, path)
    places = np.searchsorted(known, values).clip(max=len(known) - 1)
    if not np.array_equal(known[places], values):
        raise _unknown(path, np.setdiff1d(values, known))
    found: NDArray[np.uint8] = ids[places]
    return found


def _by_table(
    values: Pixels, known: Pixels, ids: NDArray[np.uint8], path: Path
) -> NDArray[np.uint8]:
    fits = (known >= 0) & (known <= 255)
    table = np.zeros(256, np.uint8)
    table[known[fits]] = ids[fits]
    strange = np.ones(256, bool)
    strange[known[fits]] = False
    if strange[values].any():
        raise _unknown(path, np.setdiff1d(values, known))
    found: NDArray[np.uint8] = table[values]
    return found


def _unknown(path: Path, values: Pixels) -> DataError:
    some = ", ".join(str(value) for value in values[:10])
    return DataError(f"{path}: the mask values {some} stand for no class.")

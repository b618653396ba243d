"""What the values in the files of a data set mean."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normwise.data.dataset import Dataset
from normwise.data.description import IGNORE
from normwise.errors import DataError

Pixels = NDArray[Any]
Bools = NDArray[np.bool_]
Marks = tuple[float, ...]
"""The values that mark missing pixels, beside NaN."""


def marks_of(*told: float | None) -> Marks:
    """The values that mark missing pixels: whatever is told by a user, a run or the file itself.

    Args:
        *told: The values; None for nothing.

    Returns:
        Each once. NaN marks missing pixels in any case, and is left out.
    """
    values = (float(value) for value in told if value is not None)
    return tuple(dict.fromkeys(value for value in values if not np.isnan(value)))


def missing_in(pixels: Pixels, nodata: float | Marks | None) -> Bools | None:
    """Where an array holds no measurement.

    Args:
        pixels: Array of any shape and numeric type.
        nodata: The value that says so, or several, or None. NaN always does.

    Returns:
        Booleans of the same shape, or None if nothing is missing.
    """
    missing = np.isnan(pixels) if pixels.dtype.kind == "f" else None
    for value in nodata if isinstance(nodata, tuple) else marks_of(nodata):
        if not _fits(value, pixels.dtype):
            continue
        here = pixels == _as_stored(value, pixels.dtype)
        missing = here if missing is None else missing | here
    return missing if missing is not None and missing.any() else None


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


def _as_stored(nodata: float, dtype: np.dtype[Any]) -> Any:
    if dtype.kind != "f":
        return dtype.type(int(nodata))
    # The text in a file's header has more digits than the float32 it stands for.
    with np.errstate(over="ignore"):
        return dtype.type(nodata)


def _fits(nodata: float, dtype: np.dtype[Any]) -> bool:
    if dtype.kind == "f":
        return True
    if dtype.kind == "b":
        return nodata in (0, 1)
    limits = np.iinfo(dtype)
    return float(nodata).is_integer() and limits.min <= nodata <= limits.max

"""Masks of the pixels with a measurement, which a GeoTIFF or VRT can have beside its bands.

What a mask leaves out is read as NaN, also where the file has a nodata value: whatever value marks
missing pixels for who reads it, NaN is missing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from normwise.errors import RasterError
from normwise.rasters.raster import Pixels

_SHARED: Final = "per_dataset"


def has_mask(dataset: Any) -> bool:
    """Whether a file has a mask of its own; an alpha band is none, but a channel.

    Args:
        dataset: An open rasterio dataset.
    """
    flags = _flags(dataset)
    return not flags or (_SHARED in flags and "alpha" not in flags)


def _flags(dataset: Any) -> set[str]:
    """What GDAL says of the mask of the first band: nothing of one that each band has for itself.

    A mask that all bands share is marked so, also where it is made of several nodata values
    together; that of one nodata value isn't, for pixels are compared with it anyway.
    """
    return {flag.name for flag in dataset.mask_flag_enums[0]}


def masked_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type in which masked pixels are read: one that has NaN.

    Args:
        dtype: Of the pixels in the file.
    """
    return np.result_type(dtype, np.float32)


def masks_of(dataset: Any, bands: Sequence[int], window: Any) -> Pixels:
    """The masks of some bands; one for all of them where the bands share it.

    Args:
        dataset: An open rasterio dataset that has a mask.
        bands: Counted from 1.
        window: What is read.

    Returns:
        0 where nothing was measured; shape (rows, columns), or (bands, rows, columns).
    """
    shared = _SHARED in _flags(dataset)
    found: Pixels = dataset.read_masks(1 if shared else list(bands), window=window)
    return found


def without_masked(planes: Pixels, mask: Pixels, dtype: np.dtype[Any]) -> Pixels:
    """Pixels that are NaN where a mask leaves them out.

    Args:
        planes: Shape (channels, rows, columns).
        mask: As `masks_of` gives it.
        dtype: Of the result, one that has NaN.
    """
    result = planes.astype(dtype, copy=False)
    result[np.broadcast_to(mask == 0, result.shape)] = np.nan
    return result


def one_nodata(path: Path, dataset: Any) -> float | None:
    """The value that marks missing pixels in all bands; None for none.

    Args:
        path: The file, for the message.
        dataset: An open rasterio dataset.

    Raises:
        RasterError: If the bands have different ones.
    """
    # NaN is unlike itself, so numbers are compared as text.
    told = {str(value): float(value) for value in dataset.nodatavals if value is not None}
    if len(told) > 1:
        raise RasterError(
            f"{path}: its bands have different nodata values ({', '.join(told)}). Give all the "
            "same one, for example with `gdalbuildvrt -vrtnodata`."
        )
    return next(iter(told.values()), None)

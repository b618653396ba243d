"""What a GeoTIFF or VRT says of the pixels with a measurement: masks, and values of single bands.

What a mask leaves out is read as NaN, also where the file has a nodata value: whatever value marks
missing pixels for who reads it, NaN is missing. So is what has the value of its own band, where
bands have different ones.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from normwise.rasters.nodata import differ, number_of
from normwise.rasters.raster import Pixels

_SHARED: Final = "per_dataset"


def has_mask(dataset: Any) -> bool:
    """Whether a file, or any of its bands, has a mask; an alpha band is none, but a channel.

    Args:
        dataset: An open rasterio dataset.
    """
    return any(
        not flags or (_SHARED in flags and "alpha" not in flags) for flags in _flags(dataset)
    )


def _flags(dataset: Any) -> list[set[str]]:
    """What GDAL says of the mask of each band: nothing of one that the band has for itself.

    A mask that all bands share is marked so, also where it is made of several nodata values
    together; that of one nodata value isn't, for pixels are compared with it anyway.
    """
    return [{flag.name for flag in flags} for flags in dataset.mask_flag_enums]


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
    shared = all(_SHARED in flags for flags in _flags(dataset))
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


def own_nodata(dataset: Any) -> tuple[float | None, ...]:
    """What the pixels of each band are compared with; empty where all bands share that.

    Args:
        dataset: An open rasterio dataset of real numbers.
    """
    types = map(np.dtype, dataset.dtypes)
    told = list(zip(dataset.nodatavals, types, strict=True))
    return tuple(number_of(nodata) for nodata, _ in told) if differ(told) else ()

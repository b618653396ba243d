"""Masks of the pixels with a measurement, which a GeoTIFF or VRT can have beside its bands."""

from pathlib import Path
from typing import Any

import numpy as np

from normwise.errors import RasterError
from normwise.rasters.raster import Pixels


def has_mask(dataset: Any) -> bool:
    """Whether a file has a mask of its own; an alpha band is none, but a channel.

    Args:
        dataset: An open rasterio dataset.
    """
    flags = {flag.name for flag in dataset.mask_flag_enums[0]}
    return "per_dataset" in flags and not flags & {"alpha", "nodata"}


def masked_dtype(dtype: np.dtype[Any], nodata: float | None) -> np.dtype[Any]:
    """The type in which masked pixels are read: without a value that marks them, one with NaN.

    Args:
        dtype: Of the pixels in the file.
        nodata: The value that marks missing pixels, None for none.
    """
    return dtype if nodata is not None else np.result_type(dtype, np.float32)


def filled(planes: Pixels, mask: Pixels, dtype: np.dtype[Any], nodata: float | None) -> Pixels:
    """Pixels that are marked as missing where a mask says so.

    Args:
        planes: Shape (channels, rows, columns).
        mask: 0 where nothing was measured; shape (rows, columns).
        dtype: Of the result.
        nodata: The value that marks missing pixels.
    """
    result = planes.astype(dtype, copy=False)
    result[:, mask == 0] = nodata
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

"""What is known about an image file without reading its pixels."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from normwise.errors import RasterError

# Signed and unsigned integers and floats; truth values are read as uint8.
_NUMBERS = "iuf"


@dataclass(frozen=True)
class RasterInfo:
    """Size, type and place of an image.

    Args:
        path: The file, or the first of the files that make the image.
        height: Rows.
        width: Columns.
        channels: Bands, or pages of a stack.
        dtype: Type of the pixels as `Raster.read` returns them, in native byte order.
        nodata: The value that marks pixels without a measurement, NaN included, or None.
        crs: The coordinate reference system (a `rasterio.crs.CRS`), or None.
        transform: The affine map from pixels to coordinates, or None.
        geolocation: What leads to coordinates in its place, or beside it (a `Geolocation`), or
            None.
        band_names: One name for each channel, or empty if the file names none. A palette image
            has the single name `palette-index`.
        depth: Slices of a volume; None for an image.
        spacing: Distance of neighbouring slices, rows and columns in the file's own unit, where
            a volume tells it.
        affine: Of a NIfTI file the map from its voxels (columns, rows, slices) to millimetres, as
            four rows; None of others.
        nifti: The header of a NIfTI file; empty of others.
        ome: What an OME-Zarr says of its axes (`ome.Axes`); None of others.
        masked: Whether pixels without a measurement are read as NaN, whatever `nodata` is: the
            file has a mask, or its bands have different nodata values.
        alpha: The channel, from 0, that the file calls opacity, which is a channel like others and
            no mask; None if there is none.
    """

    path: Path
    height: int
    width: int
    channels: int
    dtype: np.dtype[Any]
    nodata: float | None = None
    crs: Any | None = None
    transform: Any | None = None
    band_names: tuple[str, ...] = ()
    depth: int | None = None
    spacing: tuple[float, ...] | None = None
    affine: tuple[tuple[float, ...], ...] | None = None
    nifti: bytes = field(default=b"", repr=False)
    masked: bool = False
    geolocation: Any | None = None
    alpha: int | None = None
    ome: Any | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """`(rows, columns)` of an image, `(slices, rows, columns)` of a volume."""
        plane = (self.height, self.width)
        return plane if self.depth is None else (self.depth, *plane)


PALETTE_INDEX = "palette-index"


def numeric_dtype(path: Path, dtype: Any) -> np.dtype[Any]:
    """The type in which a file's pixels are read.

    Args:
        path: The file, for the message.
        dtype: The type in the file.

    Returns:
        The same type in native byte order; uint8 for truth values.

    Raises:
        RasterError: If the type is not a real number.
    """
    found = np.dtype(dtype)
    if found.kind == "b":
        return np.dtype(np.uint8)
    if found.kind not in _NUMBERS or found.names:
        raise RasterError(
            f"{path}: pixels of type {found} can't be used. Expected integers or real floats; "
            f"{_advice(found)}"
        )
    native: np.dtype[Any] = found.newbyteorder("=")
    return native


def _advice(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "c":
        return "store the real and imaginary part, or magnitude and phase, as two channels."
    return "store the image as numbers."

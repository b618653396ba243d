"""Reading images by windows, whatever their format."""

from collections.abc import Callable
from os import PathLike
from pathlib import Path

from normwise.errors import RasterError
from normwise.rasters.arrays import open_npy, open_npz
from normwise.rasters.info import RasterInfo
from normwise.rasters.pictures import open_jpeg, open_png
from normwise.rasters.raster import Pixels, Raster
from normwise.rasters.tiff import open_tiff

_OPENERS: dict[str, Callable[[Path], Raster]] = {
    ".png": open_png,
    ".jpg": open_jpeg,
    ".jpeg": open_jpeg,
    ".tif": open_tiff,
    ".tiff": open_tiff,
    ".npy": open_npy,
    ".npz": open_npz,
}

SUFFIXES = tuple(_OPENERS)
"""The suffixes, in lower case, of the files that can be read."""


def open_raster(path: str | PathLike[str]) -> Raster:
    """Opens an image for reading by windows.

    Scenes larger than memory are read piece by piece; formats that can't be read by windows
    (PNG, JPEG, NPZ) are decoded once and kept until the raster is closed.

    Args:
        path: A PNG, JPEG, TIFF, GeoTIFF, NPY or NPZ file; the suffix tells which. Pages of a
            TIFF stack are channels, palette images give their indices, and NPY arrays have the
            shape `(rows, columns)` or `(rows, columns, channels)`.

    Returns:
        An open `Raster`, a context manager.

    Raises:
        RasterError: If the file is missing, truncated, unreadable, of an unknown suffix, of
            complex or text type, or no image.

    Example:
        ```python
        with open_raster("scene.tif") as scene:
            window = scene.read(slice(0, 256), slice(512, 768))  # (256, 256, channels)
        ```
    """
    path = Path(path)
    opener = _OPENERS.get(path.suffix.lower())
    if opener is None:
        raise RasterError(
            f"{path}: the suffix {path.suffix or '(none)'} is not supported. Expected one of "
            f"{', '.join(SUFFIXES)}."
        )
    if not path.is_file():
        kind = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise RasterError(f"{path}: {kind}.")
    try:
        return opener(path)
    except PermissionError as error:
        raise RasterError(f"{path}: may not be read; check its permissions.") from error


def read_raster(path: str | PathLike[str]) -> Pixels:
    """Reads a whole image.

    Args:
        path: As for `open_raster`.

    Returns:
        Array of shape `(rows, columns, channels)` in the file's own dtype.

    Raises:
        RasterError: As for `open_raster`.
    """
    with open_raster(path) as raster:
        return raster.read()


def raster_info(path: str | PathLike[str]) -> RasterInfo:
    """Size, type and place of an image, without reading its pixels.

    Args:
        path: As for `open_raster`.

    Returns:
        What the file's header says.

    Raises:
        RasterError: As for `open_raster`.
    """
    with open_raster(path) as raster:
        return raster.info

"""Reading images by windows, whatever their format."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from os import PathLike
from pathlib import Path

from normwise.errors import RasterError
from normwise.rasters.arrays import open_npy, open_npz
from normwise.rasters.axes import Dimensions
from normwise.rasters.bands import Bands
from normwise.rasters.info import RasterInfo
from normwise.rasters.nifti import open_nifti
from normwise.rasters.pictures import open_jpeg, open_png
from normwise.rasters.raster import Pixels, Raster
from normwise.rasters.tiff import open_tiff
from normwise.rasters.vrt import open_vrt
from normwise.rasters.zarr_arrays import open_zarr

_OPENERS: dict[str, Callable[[Path, Dimensions | None], Raster]] = {
    ".png": open_png,
    ".jpg": open_jpeg,
    ".jpeg": open_jpeg,
    ".tif": open_tiff,
    ".tiff": open_tiff,
    ".vrt": open_vrt,
    ".npy": open_npy,
    ".npz": open_npz,
    ".nii": open_nifti,
    ".nii.gz": open_nifti,
    ".zarr": open_zarr,
}

SUFFIXES = tuple(_OPENERS)
"""The suffixes, in lower case, of the files that can be read."""

FOLDER_SUFFIX = ".zarr"
"""The suffix of an image that is a folder."""


def suffix_of(path: Path) -> str:
    """The suffix that tells an image's format, in lower case; empty if there is none such."""
    name = path.name.lower()
    fitting = [suffix for suffix in SUFFIXES if name.endswith(suffix) and name != suffix]
    return max(fitting, key=len, default="")


def stem_of(path: Path) -> str:
    """The file's name without the suffix of its format: `a` for `a.tif` and `a.nii.gz`."""
    return path.name[: len(path.name) - len(suffix_of(path))]


def open_raster(
    path: str | PathLike[str] | Sequence[Path], dimensions: Dimensions | None = None
) -> Raster:
    """Opens an image or a volume for reading by windows.

    Scenes larger than memory are read piece by piece; formats that can't be read by windows
    (PNG, JPEG, NPZ, NPY in Fortran order, compressed NIfTI) are decoded once and kept until the
    raster is closed.

    Args:
        path: A PNG, JPEG, TIFF, GeoTIFF, VRT, NPY, NPZ or NIfTI file, or a Zarr folder; the suffix
            tells which. Palette images give their indices. NIfTI is a volume, and so is a TIFF
            or Zarr whose axes name slices; other pages of a stack are channels. Arrays without
            named axes have `(rows, columns)`, `(rows, columns, channels)` or, a volume,
            `(slices, rows, columns, channels)`. Or several of these: their bands are one image.
        dimensions: 3 for a volume: pages, bands and the first axis of an array with three are
            slices. 2 for an image: the slices of a TIFF are channels. None: what the file says.

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
    if not isinstance(path, (str, PathLike)):
        return _open_bands(tuple(path), dimensions)
    path = Path(path)
    suffix = suffix_of(path)
    if not suffix:
        raise RasterError(
            f"{path}: the suffix {path.suffix or '(none)'} is not supported. Expected one of "
            f"{', '.join(SUFFIXES)}."
        )
    try:
        _check_kind(path, suffix)
        return _OPENERS[suffix](path, dimensions)
    except PermissionError as error:
        raise RasterError(f"{path}: may not be read; check its permissions.") from error


def _open_bands(files: tuple[Path, ...], dimensions: Dimensions | None) -> Raster:
    with ExitStack() as closing:
        rasters = [closing.enter_context(open_raster(path, dimensions)) for path in files]
        image = Bands(files, rasters)
        closing.pop_all()
    return image


def _check_kind(path: Path, suffix: str) -> None:
    folder = suffix == FOLDER_SUFFIX
    if not (path.is_dir() if folder else path.is_file()):
        if not path.exists():
            raise RasterError(f"{path}: does not exist.")
        raise RasterError(
            f"{path}: is a {'file, not a folder' if folder else 'folder, not a file'}."
        )


def read_raster(
    path: str | PathLike[str] | Sequence[Path], dimensions: Dimensions | None = None
) -> Pixels:
    """Reads a whole image or volume.

    Args:
        path: As for `open_raster`.
        dimensions: As for `open_raster`.

    Returns:
        Array of shape `(rows, columns, channels)` or `(slices, rows, columns, channels)` in the
        file's own dtype.

    Raises:
        RasterError: As for `open_raster`.
    """
    with open_raster(path, dimensions) as raster:
        return raster.read()


def raster_info(
    path: str | PathLike[str] | Sequence[Path], dimensions: Dimensions | None = None
) -> RasterInfo:
    """Size, type and place of an image or volume, without reading its pixels.

    Args:
        path: As for `open_raster`.
        dimensions: As for `open_raster`.

    Returns:
        What the file's header says.

    Raises:
        RasterError: As for `open_raster`.
    """
    with open_raster(path, dimensions) as raster:
        return raster.info

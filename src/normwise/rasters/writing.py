"""Writing images, whole or not at all."""

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from normwise.errors import OutputExistsError, RasterError
from normwise.files import Ready
from normwise.rasters.class_map import Classes, write_class_png
from normwise.rasters.geolocation import locate
from normwise.rasters.info import RasterInfo, numeric_dtype
from normwise.rasters.outputs import NEW, Naming
from normwise.rasters.raster import Pixels
from normwise.rasters.reading import FOLDER_SUFFIX, suffix_of
from normwise.rasters.tiff import gdal, open_tiff, quiet
from normwise.rasters.volumes import write_nifti, write_tiff_stack
from normwise.rasters.zarr_writing import write_zarr

# Below this a classic TIFF can't overflow, however badly it compresses.
_CLASSIC_TIFF_BYTES = 3 * 2**30
_TILE = 256


def write_raster(
    path: str | PathLike[str],
    array: Pixels,
    like: RasterInfo | None = None,
    nodata: float | None = None,
    overwrite: bool = False,
    band_names: Sequence[str] = (),
    ready: Ready | None = None,
) -> None:
    """Writes an image; a file that is there is complete.

    Args:
        path: Where to write. `.tif` and `.tiff`: tiled, deflated, any number of channels and any
            numeric type, with the place of `like`. `.png`: uint8 or uint16 with 1, 3 or 4
            channels. `.npy`: any numeric type. `.nii`, `.nii.gz`: with the affine of `like`.
            `.zarr`: a folder, with named axes.
        array: Pixels of shape `(rows, columns)` or `(rows, columns, channels)`, of a volume
            `(slices, rows, columns, channels)`.
        like: The image or volume whose coordinate system and transform the TIFF takes, and if it
            has the same size its ground control points and RPCs, or the volume whose affine and
            units the NIfTI file takes.
        nodata: The value that marks missing pixels; only a TIFF or Zarr can say so.
        overwrite: Whether an existing file may be replaced.
        band_names: One name for each channel, or none; only a TIFF or Zarr can hold them.
        ready: Is called with the temporary path when the image is whole, right before it gets its
            name.

    Raises:
        RasterError: If the format can't hold the array, or the disk is full.
        OutputExistsError: If `path` exists and `overwrite` is False.

    Example:
        ```python
        write_raster("water.tif", mask, like=raster_info("scene.tif"), nodata=255)
        ```
    """
    path = Path(path)
    pixels = _as_pixels(path, array)
    _write(path, _writer(path, pixels, like, nodata, band_names), Naming(overwrite, ready))


def write_by_windows(
    path: Path,
    read: Callable[..., Pixels],
    shape: tuple[int, ...],
    dtype: Any,
    like: RasterInfo | None = None,
    nodata: float | None = None,
    naming: Naming = NEW,
    bands: Sequence[str] | Classes = (),
) -> bool:
    """Writes an image that is too large for memory, if its format can be written piece by piece.

    That is Zarr, and PNG with a single channel of class ids; see `write_cog` for GeoTIFF.

    Args:
        path: Where to write.
        read: Gives a window, as `Raster.read`.
        shape: `(rows, columns, channels)`, of a volume `(slices, rows, columns, channels)`.
        dtype: Of the pixels.
        like: As for `write_raster`.
        nodata: The value that marks missing pixels; in a PNG that of the classes does.
        naming: As for `write_cog`.
        bands: One name for each channel, or none; of a single channel of class ids what they mean.

    Returns:
        Whether it was written.

    Raises:
        RasterError: If the disk is full.
        OutputExistsError: If `path` exists and may not be replaced.
    """
    suffix = suffix_of(path)
    if suffix == FOLDER_SUFFIX:
        _write(
            path,
            lambda folder: write_zarr(folder, read, shape, dtype, like, nodata, bands),
            naming,
        )
        return True
    if suffix == ".png" and isinstance(bands, Classes) and len(shape) == 3 and shape[-1] == 1:
        size, classes = (shape[0], shape[1]), bands
        _write(path, lambda file: write_class_png(file, read, size, classes), naming)
        return True
    return False


def _write(path: Path, write: Callable[[Path], None], naming: Naming) -> None:
    try:
        with naming.whole(path) as temporary:
            write(temporary)
    except (OutputExistsError, MemoryError):
        raise
    # GDAL's own errors have no public base class but this one.
    except Exception as error:
        cause = error.__cause__ or error
        raise RasterError(
            f"{path}: can't be written ({cause}). Is the disk full, or the folder protected?"
        ) from error


def tiff_profile(
    shape: tuple[int, int, int],
    dtype: Any,
    like: RasterInfo | None = None,
    nodata: float | None = None,
) -> dict[str, Any]:
    """How TIFFs are written: tiled, deflated, and with more than 4 GB where needed.

    Args:
        shape: Rows, columns, channels.
        dtype: Type of the pixels.
        like: The image whose coordinate system and transform to take.
        nodata: The value that marks missing pixels.

    Returns:
        Arguments for `rasterio.open(path, "w", ...)`.
    """
    height, width, channels = shape
    place = {} if like is None else {"crs": like.crs, "transform": like.transform}
    size = height * width * channels * np.dtype(dtype).itemsize
    return {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": channels,
        "dtype": np.dtype(dtype).name,
        "nodata": nodata,
        "compress": "deflate",
        "predictor": 3 if np.dtype(dtype).kind == "f" else 2,
        "tiled": True,
        "blockxsize": _TILE,
        "blockysize": _TILE,
        "interleave": "band",
        "bigtiff": "yes" if size > _CLASSIC_TIFF_BYTES else "no",
        **{name: value for name, value in place.items() if value is not None},
    }


def _as_pixels(path: Path, array: Pixels) -> Pixels:
    pixels = np.asarray(array)
    if pixels.ndim not in (2, 3, 4) or 0 in pixels.shape:
        raise RasterError(
            f"{path}: an array of shape {pixels.shape} is no image. Expected (rows, columns), "
            "(rows, columns, channels) or (slices, rows, columns, channels)."
        )
    pixels = pixels.astype(numeric_dtype(path, pixels.dtype), copy=False)
    return pixels if pixels.ndim > 2 else pixels[..., None]


def _writer(
    path: Path,
    pixels: Pixels,
    like: RasterInfo | None,
    nodata: float | None,
    band_names: Sequence[str],
) -> Callable[[Path], None]:
    suffix = suffix_of(path)
    if suffix in (".tif", ".tiff") and pixels.ndim == 4:
        return lambda temporary: write_tiff_stack(temporary, pixels, like, nodata)
    if suffix in (".nii", ".nii.gz"):
        return lambda temporary: write_nifti(temporary, pixels, like, suffix == ".nii.gz")
    if suffix == FOLDER_SUFFIX:
        shape, dtype = pixels.shape, pixels.dtype
        return lambda temporary: write_zarr(
            temporary, lambda *area: pixels[area], shape, dtype, like, nodata, band_names
        )
    if suffix in (".tif", ".tiff"):
        return lambda temporary: _write_tiff(temporary, pixels, like, nodata, band_names)
    if suffix == ".png":
        _check_png(path, pixels)
        return lambda temporary: _write_png(temporary, pixels)
    if suffix == ".npy":
        return lambda temporary: _write_npy(temporary, pixels)
    raise RasterError(
        f"{path}: images can't be written as {path.suffix or 'a file without suffix'}. "
        "Expected .tif, .tiff, .png, .npy, .nii, .nii.gz or .zarr."
    )


def _write_npy(path: Path, pixels: Pixels) -> None:
    # By its name NumPy would call the file something else, unless that ends in lower-case `.npy`.
    with path.open("wb") as file:
        np.save(file, pixels, allow_pickle=False)


def _write_tiff(
    path: Path,
    pixels: Pixels,
    like: RasterInfo | None,
    nodata: float | None,
    band_names: Sequence[str],
) -> None:
    if pixels.dtype == np.float16:
        # TIFF readers hardly know it, and nothing is lost.
        pixels = pixels.astype(np.float32)
    height, width, channels = pixels.shape
    profile = tiff_profile((height, width, channels), pixels.dtype, like, nodata)
    with quiet(), gdal().open(path, "w", **profile) as file:
        locate(file, like, (height, width))
        for band, name in enumerate(band_names, start=1):
            file.set_band_description(band, name)
        for top in range(0, height, _TILE):
            rows = pixels[top : top + _TILE]
            window = ((top, top + len(rows)), (0, width))
            file.write(np.ascontiguousarray(np.moveaxis(rows, -1, 0)), window=window)
    _check_written(path, pixels)


def _check_written(path: Path, pixels: Pixels) -> None:
    # GDAL writes its last blocks when the file is closed, and keeps a full disk to itself then.
    with open_tiff(path) as written:
        for rows, columns in written.windows():
            window = written.read(rows, columns)
            if window.tobytes() != pixels[rows, columns].tobytes():
                raise OSError("what stands in the file is not what was written")


def _check_png(path: Path, pixels: Pixels) -> None:
    known = pixels.dtype in (np.uint8, np.uint16) and pixels.shape[-1] in (1, 3, 4)
    if pixels.ndim > 3 or not known:
        raise RasterError(
            f"{path}: a PNG can't hold {pixels.shape[-1]} channels of {pixels.dtype}"
            f"{' in slices' if pixels.ndim > 3 else ''}. Expected "
            "uint8 or uint16 with 1, 3 or 4 channels; write a .tif or .npy instead."
        )


def _write_png(path: Path, pixels: Pixels) -> None:
    height, width, channels = pixels.shape
    size = {"height": height, "width": width, "count": channels, "dtype": pixels.dtype.name}
    with quiet(), gdal().open(path, "w", driver="PNG", **size) as file:
        file.write(np.ascontiguousarray(np.moveaxis(pixels, -1, 0)))
    # GDAL puts what PNG can't say into a side file of the temporary name.
    path.with_name(f"{path.name}.aux.xml").unlink(missing_ok=True)

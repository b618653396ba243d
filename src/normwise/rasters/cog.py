"""Writing cloud-optimized GeoTIFFs of any size: tiled, compressed, with overviews."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np

from normwise.errors import OutputExistsError, RasterError
from normwise.rasters.class_map import Classes
from normwise.rasters.geolocation import locate
from normwise.rasters.info import RasterInfo
from normwise.rasters.outputs import NEW, Naming
from normwise.rasters.raster import Pixels, Window
from normwise.rasters.tiff import gdal, open_tiff, quiet

_BLOCK: Final = 512

Reader = Callable[[slice, slice], Pixels]
"""Gives rows and columns of an image, shape (rows, columns, channels)."""


@cache
def has_cog() -> bool:
    """Whether GDAL can write cloud-optimized GeoTIFFs."""
    with gdal().Env() as environment:
        return "COG" in environment.drivers()


def write_cog(
    path: str | PathLike[str],
    read: Reader,
    shape: tuple[int, int, int],
    dtype: Any,
    like: RasterInfo | None = None,
    nodata: float | None = None,
    naming: Naming = NEW,
    bands: Sequence[str] | Classes = (),
) -> None:
    """Writes an image block by block; a file that is there is complete.

    Overviews are means, of whole numbers the nearest pixels: those are classes.

    Args:
        path: A `.tif` file.
        read: Gives the pixels.
        shape: Rows, columns, channels.
        dtype: Of the pixels.
        like: The image whose place it takes: coordinate system, transform, and if it has the same
            size its ground control points and RPCs.
        nodata: The value that marks missing pixels.
        naming: Whether an existing file may be replaced, and what is done before.
        bands: One name for each channel, or none; of a single channel of class ids (uint8) what
            they mean.

    Raises:
        RasterError: The disk is full.
        OutputExistsError: If `path` exists and may not be replaced.
    """
    path, kind = Path(path), np.dtype(dtype)
    try:
        with naming.whole(path) as temporary, _plain(temporary) as plain:
            place = {} if like is None else {"crs": like.crs, "transform": like.transform}
            profile = {
                "driver": "GTiff", "height": shape[0], "width": shape[1], "count": shape[2],
                "dtype": kind.name, "nodata": nodata, "tiled": True, "bigtiff": "if_safer",
                "blockxsize": _BLOCK, "blockysize": _BLOCK, "interleave": "band",
                **{name: value for name, value in place.items() if value is not None},
            }  # fmt: skip
            if not isinstance(bands, Classes):
                # GDAL takes 3 or 4 bands of uint8 for red, green, blue and opacity.
                profile["photometric"] = "minisblack"
            with quiet(), gdal().open(plain, "w", **profile) as file:
                locate(file, like, shape[:2])
                _describe(file, bands)
                for rows, columns in _blocks(shape):
                    area = tuple((span.start, span.stop) for span in (rows, columns))
                    file.write(np.moveaxis(read(rows, columns), -1, 0), window=area)
            _copy(plain, temporary, kind)
            _check(temporary, read, shape)
    except (OutputExistsError, MemoryError, RasterError):
        raise
    # GDAL's own errors have no public base class but this one.
    except Exception as error:
        raise RasterError(
            f"{path}: can't be written ({error.__cause__ or error}). Is the disk full, or the "
            "folder protected?"
        ) from error


def _describe(file: Any, bands: Sequence[str] | Classes) -> None:
    if isinstance(bands, Classes):
        bands.describe(file)
        return
    for band, name in enumerate(bands, start=1):
        file.set_band_description(band, name)


@contextmanager
def _plain(temporary: Path) -> Iterator[Path]:
    """The image before it is compressed: overviews are made of the whole one."""
    plain = temporary.with_name(f"{temporary.stem}.plain.tif")
    try:
        yield plain
    finally:
        plain.unlink(missing_ok=True)
        for rest in temporary.parent.glob(f"{temporary.name}.*.tmp"):
            rest.unlink(missing_ok=True)  # GDAL's own, if the disk was full


def _copy(plain: Path, target: Path, dtype: np.dtype[Any]) -> None:
    from rasterio.shutil import copy  # noqa: PLC0415 - GDAL is loaded when it is needed

    whole_numbers = dtype.kind in "iu"
    options = {"compress": "deflate", "bigtiff": "if_safer", "num_threads": "all_cpus"}
    if has_cog():
        how = "nearest" if whole_numbers else "average"
        options |= {"predictor": "yes", "blocksize": str(_BLOCK), "overview_resampling": how}
        copy(plain, target, driver="COG", **options)
        return
    options |= {"predictor": "2" if whole_numbers else "3", "tiled": "yes"}
    copy(plain, target, driver="GTiff", **options)


def _blocks(shape: tuple[int, int, int]) -> Iterator[Window]:
    for top in range(0, shape[0], _BLOCK):
        # Whole rows of blocks of a few thousand pixels: reads are long, and memory is bounded.
        for left in range(0, shape[1], 8 * _BLOCK):
            rows = slice(top, min(top + _BLOCK, shape[0]))
            yield rows, slice(left, min(left + 8 * _BLOCK, shape[1]))


def _check(path: Path, read: Reader, shape: tuple[int, int, int]) -> None:
    # GDAL writes its last blocks when the file is closed, and keeps a full disk to itself then.
    with open_tiff(path, 2) as written:
        for rows, columns in _blocks(shape):
            wanted, found = read(rows, columns), written.read(rows, columns)
            if not np.array_equal(found, wanted, equal_nan=wanted.dtype.kind == "f"):
                raise OSError("what stands in the file is not what was written")

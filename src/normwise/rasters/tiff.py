"""TIFF and GeoTIFF: any number of bands or pages, any numeric type, read by windows."""

import os
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from normwise.errors import RasterError
from normwise.rasters.axes import Dimensions, check_dimensions
from normwise.rasters.gdal_mask import (
    has_mask,
    masked_dtype,
    masks_of,
    own_nodata,
    without_masked,
)
from normwise.rasters.geolocation import place_of
from normwise.rasters.imagej import open_imagej
from normwise.rasters.info import PALETTE_INDEX, RasterInfo, numeric_dtype
from normwise.rasters.nodata import common, without_marked
from normwise.rasters.raster import Pixels, Raster, Window
from normwise.rasters.stack import Stack
from normwise.rasters.tiff_axes import slices_of
from normwise.rasters.tiff_directories import check_directories

# GDAL's own default is 5% of the machine's memory, whatever the job is.
_BLOCK_CACHE_MEGABYTES = "64"

_OPEN_PAGES = 16


@cache
def gdal() -> Any:
    """The rasterio module, with GDAL's block cache bounded unless the user chose its size."""
    # GDAL looks when it caches its first block. `rasterio.Env` would not do: it counts in bytes
    # and takes the limit back when it ends.
    os.environ.setdefault("GDAL_CACHEMAX", _BLOCK_CACHE_MEGABYTES)
    import rasterio  # noqa: PLC0415

    return rasterio


@contextmanager
def quiet() -> Iterator[None]:
    """Silences the warning about images without a place on Earth, and nothing else."""
    from rasterio.errors import NotGeoreferencedWarning  # noqa: PLC0415

    # `warnings.catch_warnings` would not do: it is not safe with several reading threads.
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    yield


@contextmanager
def reported(path: Path, task: str) -> Iterator[None]:
    """Turns GDAL's errors into a `RasterError` that names the file."""
    try:
        yield
    except (RasterError, MemoryError):
        raise
    # GDAL's own errors have no public base class but this one.
    except Exception as error:
        cause = error.__cause__ or error
        raise RasterError(
            f"{path}: can't be {task}; the file is truncated or damaged ({cause}). "
            "Copy or download it again."
        ) from error


class GdalRaster(Raster):
    """An image that GDAL reads; each page is one dataset with one or more bands."""

    def __init__(self, info: RasterInfo, pages: "Pages") -> None:
        super().__init__(info, tuple(pages[0].block_shapes[0]))
        self._pages = pages
        self._mixed = len(set(pages[0].dtypes)) > 1
        self._nodata = own_nodata(pages[0])
        self._masked = has_mask(pages[0])
        self.windowed = _reads_windows(pages[0], self.block)

    def close(self) -> None:
        """Closes the file."""
        self._pages.close()

    def _read(self, window: Window, channels: Sequence[int]) -> Pixels:
        area = tuple((span.start, span.stop) for span in window)
        with reported(self.info.path, "read"):
            parts = self._read_pages(area, channels)
            planes = parts[0] if len(parts) == 1 else np.concatenate(parts)
            if self._masked:
                bands = [channel + 1 for channel in channels]
                mask = masks_of(self._pages[0], bands, area)
                planes = without_masked(planes, mask, self.info.dtype)
        return np.moveaxis(planes, 0, -1)

    def _read_pages(self, area: Any, channels: Sequence[int]) -> list[Pixels]:
        if len(self._pages) == 1 and not self._mixed and not self._nodata:
            return [self._pages[0].read([channel + 1 for channel in channels], window=area)]
        bands = self._pages[0].count
        return [self._band(area, *divmod(channel, bands)) for channel in channels]

    def _band(self, area: Any, page: int, band: int) -> Pixels:
        """A band, shape (1, rows, columns); NaN where it has its own value, unless all share it."""
        pixels = self._pages[page].read([band + 1], window=area)
        nodata = self._nodata[band] if self._nodata else None
        read = without_marked(pixels, nodata, self.info.dtype)
        return read.astype(self.info.dtype, copy=False)


class Pages:
    """The pages of a file as datasets, of which a few are open: each has a handle of its own."""

    def __init__(self, path: Path, driver: str) -> None:
        self._path = path
        self._first = gdal().open(path, driver=driver)
        self._count = max(1, len(self._first.subdatasets))
        self._later: OrderedDict[int, Any] = OrderedDict()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, page: int) -> Any:
        """The open dataset of a page, counted from 0."""
        if page == 0:
            return self._first
        if page not in self._later:
            while len(self._later) >= _OPEN_PAGES:
                self._later.popitem(last=False)[1].close()
            self._later[page] = gdal().open(f"GTIFF_DIR:{page + 1}:{self._path}")
        self._later.move_to_end(page)
        return self._later[page]

    def close(self) -> None:
        """Closes every dataset."""
        self._first.close()
        while self._later:
            self._later.popitem()[1].close()


def open_tiff(path: Path, dimensions: Dimensions | None = None) -> Raster:
    """Opens a TIFF; pages of one size and type are slices where its axes say so, else channels.

    Args:
        path: An existing file.
        dimensions: 3: pages, or the bands of a single page, are slices. 2: they are channels.

    Returns:
        An open raster.

    Raises:
        RasterError: If it is no TIFF, is truncated, or has pages of different sizes.
    """
    check_directories(path)
    flat = open_with_gdal(path, "GTiff")
    if dimensions == 2 or flat.info.channels == 1:
        check_dimensions(path, 2, dimensions)
        return flat
    try:
        places = slices_of(path, flat.info.channels, dimensions == 3)
    except BaseException:
        flat.close()
        raise
    return flat if places is None else Stack(flat, places)


def open_with_gdal(path: Path, driver: str) -> Raster:
    """Opens an image with one of GDAL's drivers.

    Args:
        path: An existing file.
        driver: GDAL's name for the format.

    Returns:
        An open raster.

    Raises:
        RasterError: If the file is not of that format or can't be read.
    """
    with reported(path, "opened"), quiet():
        pages = Pages(path, driver)
        try:
            return _as_raster(path, pages)
        except BaseException:
            pages.close()
            raise


def _as_raster(path: Path, pages: Pages) -> Raster:
    first = pages[0]
    _check_pages(path, pages)
    hidden = _imagej_pages(first) if len(pages) == 1 else 0
    info = _info(path, first, hidden or len(pages) * first.count)
    if not hidden:
        return GdalRaster(info, pages)
    stack = open_imagej(info)
    pages.close()
    return stack


def _reads_windows(page: Any, block: tuple[int, ...]) -> bool:
    # PNGs are unpacked from the top, and a single compressed block as a whole.
    if page.driver == "VRT":
        return True
    return page.driver == "GTiff" and (page.compression is None or block != page.shape)


def _info(path: Path, dataset: Any, channels: int) -> RasterInfo:
    dtype = numeric_dtype(path, np.result_type(*map(_numpy_type, dataset.dtypes)))
    own = own_nodata(dataset)
    masked, nodata = bool(own) or has_mask(dataset), None if own else common(dataset.nodatavals)
    return RasterInfo(
        path=path,
        height=dataset.height,
        width=dataset.width,
        channels=channels,
        dtype=masked_dtype(dtype) if masked else dtype,
        nodata=float("nan") if masked and nodata is None else nodata,
        band_names=_band_names(dataset, channels),
        masked=masked,
        alpha=_alpha(dataset) if channels == dataset.count else None,
        **place_of(dataset),
    )


def _numpy_type(name: str) -> str:
    # GDAL also has complex integers, which numpy can't even name.
    return "complex64" if name.startswith("complex") else name


def _alpha(dataset: Any) -> int | None:
    names = [colour.name for colour in dataset.colorinterp]
    return names.index("alpha") if "alpha" in names else None


def _band_names(dataset: Any, channels: int) -> tuple[str, ...]:
    if channels == 1 and dataset.colorinterp[0].name == "palette":
        return (PALETTE_INDEX,)
    if len(dataset.descriptions) != channels or not any(dataset.descriptions):
        return ()
    return tuple(
        name or f"band {index}" for index, name in enumerate(dataset.descriptions, start=1)
    )


def _imagej_pages(dataset: Any) -> int:
    """Pages that only ImageJ's own header tells of; 0 if there are none."""
    text = dataset.tags().get("TIFFTAG_IMAGEDESCRIPTION", "")
    if not text.startswith("ImageJ="):
        return 0
    counts = [line.removeprefix("images=") for line in text.splitlines() if "images=" in line]
    count = int(counts[0]) if counts and counts[0].isdigit() else 1
    return count if count > 1 and dataset.count == 1 else 0


def _check_pages(path: Path, pages: Pages) -> None:
    found = (pages[index] for index in range(len(pages)))
    kinds = {(page.height, page.width, page.count, page.dtypes) for page in found}
    same = pages[0].driver == "VRT" or len(set(pages[0].dtypes)) == 1
    if len(kinds) == 1 and same:
        return
    sizes = sorted({f"{height}x{width} {dtypes[0]}" for height, width, _, dtypes in kinds})
    raise RasterError(
        f"{path}: its pages or bands differ ({', '.join(sizes)}). Expected pages of one size and "
        "type, which become channels; split the file, or save only the full-size page."
    )

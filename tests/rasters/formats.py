"""One image in each format, for the tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import tifffile
from PIL import Image

Array = np.ndarray[Any, Any]


def image(dtype: str, channels: int, height: int = 37, width: int = 53, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.normal(0, 100, (height, width, channels)).astype(dtype)
    limits = np.iinfo(dtype)
    low, high = max(limits.min, -40000), min(limits.max, 60000)
    return rng.integers(low, high, (height, width, channels), endpoint=True).astype(dtype)


def pillow(path: Path, array: Array, **options: Any) -> None:
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(path, **options)


def palette(path: Path, array: Array) -> None:
    picture = Image.fromarray(array[..., 0], mode="P")
    picture.putpalette([value for index in range(256) for value in (index, 0, 255 - index)])
    picture.save(path)


def gdal(path: Path, array: Array, **options: Any) -> None:
    height, width, channels = array.shape
    profile = {"height": height, "width": width, "count": channels, "dtype": array.dtype.name}
    driver = "PNG" if path.suffix == ".png" else "GTiff"
    with rasterio.open(path, "w", driver=driver, **profile, **options) as file:
        file.write(np.moveaxis(array, -1, 0))


def pages(path: Path, array: Array, **options: Any) -> None:
    tifffile.imwrite(path, np.moveaxis(array, -1, 0), photometric="minisblack", **options)


def pages_rgb(path: Path, array: Array) -> None:
    height, width, channels = array.shape
    stack = np.moveaxis(array.reshape(height, width, channels // 3, 3), 2, 0)
    tifffile.imwrite(path, stack, photometric="rgb")


def imagej(path: Path, array: Array) -> None:
    tifffile.imwrite(path, np.moveaxis(array, -1, 0), imagej=True, metadata={"axes": "CYX"})


def imagej_single_header(
    path: Path, array: Array, pages: int | None = None, order: str | None = None
) -> None:
    """As ImageJ writes stacks above 4 GB: one header, then all pages.

    `pages`: as many as the header tells, where the array has others.
    """
    first, count = array[..., 0], pages or array.shape[-1]
    text = f"ImageJ=1.54\nimages={count}\nchannels={count}\n"
    tifffile.imwrite(path, first, description=text, metadata=None, software="", byteorder=order)
    with path.open("r+b") as file, tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[0].dataoffsets[0]
        content = file.read()
        assert offset + first.nbytes == len(content), "the pixels must stand last"
        file.seek(offset)
        stored = array.dtype.newbyteorder(order or "=")
        file.write(np.moveaxis(array, -1, 0).astype(stored).tobytes())


def big_endian(path: Path, array: Array) -> None:
    tifffile.imwrite(path, np.moveaxis(array, -1, 0), photometric="minisblack", byteorder=">")


FORMATS: dict[str, tuple[str, str, int, Callable[[Path, Array], None]]] = {
    "png-grey": ("png", "uint8", 1, pillow),
    "png-rgb": ("png", "uint8", 3, pillow),
    "png-grey-alpha": ("png", "uint8", 2, pillow),
    "png-rgba": ("png", "uint8", 4, pillow),
    "png-16": ("png", "uint16", 1, pillow),
    "png-16-rgb": ("png", "uint16", 3, gdal),
    "png-palette": ("png", "uint8", 1, palette),
    "tif-strips": ("tif", "int16", 9, lambda p, a: gdal(p, a, compress="deflate", blockysize=5)),
    "tif-tiles": (
        "tiff",
        "float32",
        5,
        lambda p, a: gdal(p, a, tiled=True, blockxsize=16, blockysize=32, compress="lzw"),
    ),
    "tif-pixel": ("tif", "uint16", 4, lambda p, a: gdal(p, a, interleave="pixel")),
    "tif-planar": ("tif", "float64", 3, lambda p, a: pages(p, a, planarconfig="separate")),
    "tif-pages": ("tif", "uint16", 6, pages),
    "tif-pages-rgb": ("tif", "uint8", 6, pages_rgb),
    "tif-big": ("tif", "uint16", 4, lambda p, a: pages(p, a, bigtiff=True)),
    "tif-big-endian": ("tif", "int32", 2, big_endian),
    "tif-imagej": ("tif", "uint16", 3, imagej),
    "tif-imagej-header": ("tif", "uint16", 3, imagej_single_header),
    "tif-imagej-big-endian": (
        "tif",
        "int16",
        4,
        lambda p, a: imagej_single_header(p, a, order=">"),
    ),
    "tif-int8": ("tif", "int8", 1, gdal),
    "npy": ("npy", "float32", 7, np.save),
    "npy-grey": ("npy", "uint8", 1, lambda p, a: np.save(p, a[..., 0])),
    "npy-fortran": ("npy", "int16", 3, lambda p, a: np.save(p, np.asfortranarray(a))),
    "npy-big-endian": ("npy", "uint16", 2, lambda p, a: np.save(p, a.astype(">u2"))),
    "npy-half": ("npy", "float16", 2, np.save),
    "npz": ("npz", "float64", 2, lambda p, a: np.savez_compressed(p, image=a, other=a * 0)),
    "npz-first": ("npz", "uint8", 3, np.savez),
}


def write(folder: Path, name: str) -> tuple[Path, Array]:
    suffix, dtype, channels, writer = FORMATS[name]
    array = image(dtype, channels)
    path = folder / f"{name}.{suffix}"
    writer(path, array)
    return path, array

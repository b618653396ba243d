"""What stands in an image file, read without a line of normwise."""

from __future__ import annotations

import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_PNG_HEADER = b"\x89PNG\r\n\x1a\n"
_SAMPLES = {0: 1, 2: 3, 4: 2, 6: 4}


@dataclass(frozen=True)
class Seen:
    """An image.

    Args:
        pixels: Shape (rows, columns, channels).
        missing: Where the file says that there is no measurement; of the same shape.
    """

    pixels: Array
    missing: npt.NDArray[np.bool_]


def read(path: Path) -> Seen:
    """Reads an image: GeoTIFF with rasterio, NPY and NPZ with NumPy, Zarr with zarr.

    PNG is read as its standard says, for Pillow lets damages pass.

    Raises:
        Exception: It can't be read; of many types.
    """
    if path.suffix == ".tif":
        return _tiff(path)
    pixels = {".npy": _npy, ".npz": _npz, ".zarr": _zarr, ".png": _png}[path.suffix](path)
    if pixels.dtype.kind == "b":
        pixels = pixels.astype(np.uint8)
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    return Seen(pixels, _nan_in(pixels))


def _nan_in(pixels: Array) -> npt.NDArray[np.bool_]:
    return np.isnan(pixels) if pixels.dtype.kind == "f" else np.zeros(pixels.shape, bool)


def _tiff(path: Path) -> Seen:
    import rasterio

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path, driver="GTiff") as file:
            pixels = np.moveaxis(file.read(), 0, -1)
            missing = _nan_in(pixels)
            if file.nodata is not None:
                floats = pixels.dtype.kind == "f"
                value = pixels.dtype.type(file.nodata) if floats else float(file.nodata)
                missing = missing | (pixels == value)
            flags = {flag.name for flag in file.mask_flag_enums[0]}
            if "per_dataset" in flags and "alpha" not in flags:
                missing = missing | (file.read_masks(1) == 0)[..., None]
    return Seen(pixels, missing)


def _npy(path: Path) -> Array:
    found: Array = np.load(path, allow_pickle=False)
    return found


def _npz(path: Path) -> Array:
    with np.load(path, allow_pickle=False) as archive:
        found: Array = archive["image" if "image" in archive.files else archive.files[0]]
    return found


def _zarr(path: Path) -> Array:
    import zarr

    array: Any = zarr.open_array(path, mode="r")
    return np.asarray(array[...])


def _png(path: Path) -> Array:
    """Follows ISO 15948; a critical chunk whose check sum is wrong is an error, as for libpng."""
    data = path.read_bytes()
    if not data.startswith(_PNG_HEADER):
        raise ValueError("no PNG")
    at, packed, header = len(_PNG_HEADER), b"", b""
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        (check,) = struct.unpack_from(">I", data, at + 8 + length)
        critical = not kind[0] & 0x20
        if critical and zlib.crc32(kind + body) != check:
            raise ValueError(f"wrong check sum of {kind!r}")
        header = body if kind == b"IHDR" else header
        packed += body if kind == b"IDAT" else b""
        if kind == b"IEND":
            return _unpacked(header, zlib.decompress(packed))
        at += 12 + length


def _unpacked(header: bytes, raw: bytes) -> Array:
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if interlaced or depth not in (8, 16):
        raise ValueError("not written here")
    step = _SAMPLES[colour] * depth // 8
    lines = np.frombuffer(raw[: height * (width * step + 1)], np.uint8).reshape(height, -1)
    above, rows = [0] * (width * step), []
    for kind, *line in lines.tolist():
        above = _unfiltered(kind, line, above, step)
        rows.append(bytes(above))
    values = np.frombuffer(b"".join(rows), ">u2" if depth == 16 else np.uint8)
    return values.astype(np.uint16 if depth == 16 else np.uint8).reshape(height, width, -1)


def _unfiltered(kind: int, line: list[int], above: list[int], step: int) -> list[int]:
    """A line of bytes: each is told beside the one to its left, above it, or both."""
    made: list[int] = []
    for place, value in enumerate(line):
        left = made[place - step] if place >= step else 0
        corner = above[place - step] if place >= step else 0
        told = (0, left, above[place], (left + above[place]) // 2)
        near = told[kind] if kind < 4 else _nearest(left, above[place], corner)
        made.append((value + near) % 256)
    return made


def _nearest(left: int, up: int, corner: int) -> int:
    """Paeth's predictor."""
    guess = left + up - corner
    return min((left, up, corner), key=lambda one: abs(guess - one))

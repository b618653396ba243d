"""What the numbers in a class map mean: names and colours, kept in the file itself."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from normwise.rasters.raster import Pixels

_HEADER: Final = b"\x89PNG\r\n\x1a\n"
_PALETTE: Final = 3
_COMPRESSION: Final = 6
_VALUES: Final = 256


@dataclass(frozen=True)
class Classes:
    """The classes of a map, by their ids.

    Args:
        names: One for each class.
        colours: Red, green and blue from 0 to 255 for each class.
        nodata: The id without a class, which is shown transparent.
        band: The name of the band.
    """

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    nodata: int = 255
    band: str = "class"

    def describe(self, file: Any) -> None:
        """Writes names and colours to the only band of a rasterio dataset of uint8.

        Names stand in tags of the band, `CLASS_0` and so on: GeoTIFFs have no better place that
        rasterio reaches. Call it before pixels are written.

        Args:
            file: The open dataset.
        """
        file.set_band_description(1, self.band)
        file.update_tags(1, **{f"CLASS_{index}": name for index, name in enumerate(self.names)})
        file.write_colormap(1, dict(enumerate(self.colours)))


def write_class_png(
    path: Path, read: Callable[[slice, slice], Pixels], size: tuple[int, int], classes: Classes
) -> None:
    """Writes a class map as a PNG with a palette, strip by strip, so that memory is bounded.

    The pixels are the class ids; a viewer shows colours. See the PNG specification (ISO 15948),
    chunks IHDR, PLTE, tRNS, iTXt and IDAT.

    Args:
        path: The file.
        read: Gives rows and columns, shape (rows, columns, 1), uint8.
        size: Rows and columns.
        classes: What the ids mean.
    """
    rows, columns = size
    palette = np.zeros((_VALUES, 3), np.uint8)
    palette[: len(classes.colours)] = classes.colours
    opaque = np.full(_VALUES, 255, np.uint8)
    opaque[classes.nodata] = 0
    with path.open("wb") as file:
        file.write(_HEADER)
        _chunk(file, b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, _PALETTE, 0, 0, 0))
        _chunk(file, b"PLTE", palette.tobytes())
        _chunk(file, b"tRNS", opaque.tobytes())
        for index, name in enumerate(classes.names):
            _chunk(file, b"iTXt", f"class {index}\0\0\0\0\0{name}".encode())
        packer = zlib.compressobj(_COMPRESSION)
        step = max(1, 2**22 // columns)
        for top in range(0, rows, step):
            strip = read(slice(top, min(top + step, rows)), slice(0, columns))[..., 0]
            # Each row begins with its filter; 0 is none, which is best for palettes.
            _chunk(file, b"IDAT", packer.compress(np.pad(strip, ((0, 0), (1, 0))).tobytes()))
        _chunk(file, b"IDAT", packer.flush())
        _chunk(file, b"IEND", b"")


def _chunk(file: BinaryIO, kind: bytes, content: bytes) -> None:
    if not content and kind == b"IDAT":
        return
    check = zlib.crc32(content, zlib.crc32(kind))
    file.write(struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check))


def rgb_of(colours: Sequence[str]) -> tuple[tuple[int, int, int], ...]:
    """Colours such as `#1f77b4` as red, green and blue from 0 to 255."""
    found = (tuple(bytes.fromhex(colour.removeprefix("#"))) for colour in colours)
    return tuple((red, green, blue) for red, green, blue in found)

"""PNG and JPEG: the values that stand in the file, decoded as a whole, and their place."""

import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from normwise.errors import RasterError
from normwise.rasters.axes import Dimensions, check_dimensions
from normwise.rasters.info import PALETTE_INDEX, RasterInfo
from normwise.rasters.raster import Pixels, Raster, WholeRaster
from normwise.rasters.side_files import places_beside
from normwise.rasters.tiff import open_with_gdal

_CHANNELS = {"1": 1, "L": 1, "P": 1, "I;16": 1, "I": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}
_PNG_HEADER = b"\x89PNG\r\n\x1a\n"
_GREY = 0
_PART = 2**20


class PictureRaster(WholeRaster):
    """A picture that Pillow decodes."""

    def __init__(self, info: RasterInfo, scale: int = 1, sums: bool = False) -> None:
        super().__init__(info)
        self._scale = scale
        self._sums = sums

    def _decode(self) -> Pixels:
        if self._sums:
            _check_sums(self.info.path)
        with _opened(self.info.path) as picture:
            pixels = np.asarray(picture)
        if self._scale > 1:
            pixels = pixels // self._scale
        pixels = pixels.astype(self.info.dtype, copy=False)
        return pixels.reshape(self.info.height, self.info.width, self.info.channels)


class WidePicture(WholeRaster):
    """A picture that GDAL decodes; it would unpack a PNG from its top again for each window.

    Args:
        picture: The picture, open, which is closed with this one.
    """

    def __init__(self, picture: Raster) -> None:
        super().__init__(picture.info)
        self._picture = picture

    def close(self) -> None:
        """Forgets the decoded image, and closes the file."""
        super().close()
        self._picture.close()

    def _decode(self) -> Pixels:
        return self._picture.read()


def open_png(path: Path, dimensions: Dimensions | None = None) -> Raster:
    """Opens a PNG; palette images keep their indices, grey images of few bits their values.

    Args:
        path: An existing file.
        dimensions: A picture is no volume, so 3 is refused.

    Returns:
        An open raster.

    Raises:
        RasterError: If it is no PNG, or is truncated.
    """
    check_dimensions(path, 2, dimensions)
    depth, colour = _png_header(path)
    if depth == 16 and colour != _GREY:
        # Pillow reduces these to 8 bits without a word.
        return WidePicture(open_with_gdal(path, "PNG"))
    # Pillow stretches grey of 2 and 4 bits to 0..255; class ids must come back as written.
    scale = {2: 85, 4: 17}.get(depth, 1) if colour == _GREY else 1
    return PictureRaster(_placed(_info(path), "PNG"), scale, sums=True)


def open_jpeg(path: Path, dimensions: Dimensions | None = None) -> Raster:
    """Opens a JPEG as it is stored: a rotation in its EXIF data would part it from its mask.

    Args:
        path: An existing file.
        dimensions: A picture is no volume, so 3 is refused.

    Returns:
        An open raster.

    Raises:
        RasterError: If it is no JPEG, or is truncated.
    """
    check_dimensions(path, 2, dimensions)
    return PictureRaster(_placed(_info(path), "JPEG"))


def _png_header(path: Path) -> tuple[int, int]:
    with path.open("rb") as file:
        head = file.read(26)
    if len(head) < 26 or not head.startswith(_PNG_HEADER):
        raise RasterError(
            f"{path}: is no PNG, or is truncated. Copy it again, or give it the suffix of its "
            "real format."
        )
    return head[24], head[25]


def _check_sums(path: Path) -> None:
    """Refuses a PNG whose pixels are not those that were written; Pillow doesn't look.

    See ISO 15948, 5.3: each chunk is a length, a name, its content and a check sum. Those whose
    name begins with a small letter hold no pixels.
    """
    with path.open("rb") as file:
        file.seek(len(_PNG_HEADER))
        while (head := file.read(8)) and head[4:] != b"IEND":
            left, found = int.from_bytes(head[:4], "big"), zlib.crc32(head[4:])
            while left and (part := file.read(min(left, _PART))):
                left, found = left - len(part), zlib.crc32(part, found)
            told = file.read(4)
            if left or len(head) < 8 or len(told) < 4:
                raise _damaged(path, "a chunk ends beyond the file")
            if head[4:5].isupper() and int.from_bytes(told, "big") != found:
                raise _damaged(path, f"the check sum of {head[4:].decode('latin-1')} is wrong")
        if not head:
            raise _damaged(path, "its end is missing")


def _damaged(path: Path, reason: str) -> RasterError:
    return RasterError(f"{path}: is truncated or damaged ({reason}). Copy it again.")


def _info(path: Path) -> RasterInfo:
    with _opened(path) as picture:
        if picture.mode not in _CHANNELS:
            raise RasterError(
                f"{path}: a picture of mode {picture.mode} can't be read. Expected one of "
                f"{', '.join(_CHANNELS)}; save it as RGB or grey."
            )
        wide = picture.mode.startswith("I")
        return RasterInfo(
            path=path,
            height=picture.height,
            width=picture.width,
            channels=_CHANNELS[picture.mode],
            dtype=np.dtype(np.uint16 if wide else np.uint8),
            band_names=(PALETTE_INDEX,) if picture.mode == "P" else (),
            alpha=_CHANNELS[picture.mode] - 1 if picture.mode in ("LA", "RGBA") else None,
        )


def _placed(info: RasterInfo, driver: str) -> RasterInfo:
    """With the place that files beside the picture tell; GDAL, which reads them, loads slowly."""
    if not any(places_beside(info.path)):
        return info
    with open_with_gdal(info.path, driver) as raster:
        told = raster.info
    return replace(info, crs=told.crs, transform=told.transform, geolocation=told.geolocation)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from PIL import Image  # noqa: PLC0415

    # Only a warning, and about attackers; far above it Pillow refuses, which is reported below.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    try:
        with Image.open(path) as picture:
            yield picture
    except Image.DecompressionBombError as error:
        raise RasterError(
            f"{path}: is too large for a picture that must be decoded whole ({error}). Convert "
            "it to a tiled TIFF, which is read by windows."
        ) from error
    except (RasterError, MemoryError):
        raise
    # Each format has errors of its own.
    except Exception as error:
        raise RasterError(
            f"{path}: can't be read; it is truncated or damaged ({error}). Copy it again, or "
            "give it the suffix of its real format."
        ) from error

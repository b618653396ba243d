"""Whether the pages of a TIFF are all there.

GDAL drops the pages that a cut file has lost, and reads the rest without a word.
"""

import struct
from pathlib import Path
from typing import BinaryIO

from normwise.errors import RasterError

_ORDERS = {b"II": "<", b"MM": ">"}
_CLASSIC, _BIG = 42, 43


def check_directories(path: Path) -> None:
    """Follows the chain of page directories to its end.

    See TIFF 6.0, section 2, and its BigTIFF extension: each directory is a count, its entries
    and the offset of the next one; 0 ends the chain.

    Args:
        path: A TIFF file.

    Raises:
        RasterError: If it is no TIFF, or a directory stands outside the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            order, big, offset = _header(file)
            seen: set[int] = set()
            while offset and offset not in seen:
                seen.add(offset)
                offset = _next(file, order, big, offset)
        # Offsets of 64 bits may be more than a file can be looked for.
        except (struct.error, KeyError, OSError, OverflowError, ValueError) as error:
            raise RasterError(
                f"{path}: is no TIFF, or is truncated: a page directory stands outside its "
                f"{size} bytes. Copy or download it again."
            ) from error


def _header(file: BinaryIO) -> tuple[str, bool, int]:
    order = _ORDERS[file.read(2)]
    (version,) = struct.unpack(f"{order}H", file.read(2))
    if version not in (_CLASSIC, _BIG):
        raise KeyError(version)
    big = version == _BIG
    if big:
        file.read(4)
    return order, big, _offset(file, order, big)


def _next(file: BinaryIO, order: str, big: bool, offset: int) -> int:
    file.seek(offset)
    (entries,) = struct.unpack(f"{order}{'Q' if big else 'H'}", file.read(8 if big else 2))
    file.seek(entries * (20 if big else 12), 1)
    return _offset(file, order, big)


def _offset(file: BinaryIO, order: str, big: bool) -> int:
    offset: int = struct.unpack(f"{order}{'Q' if big else 'I'}", file.read(8 if big else 4))[0]
    return offset

"""Files beside an image in which GDAL looks for its place, its mask and its nodata value."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

_AUXILIARY: Final = ".aux.xml"
_MASK: Final = ".msk"
_ENDS_OF_WORLD_FILES: Final = {
    ".jpeg": ("jgw", "jpw", "jpegw", "wld"),
    ".jpg": ("jgw", "jpw", "jpgw", "wld"),
    ".png": ("pgw", "pngw", "wld"),
    ".tif": ("tfw", "tifw", "wld"),
    ".tiff": ("tfw", "tiffw", "wld"),
}
# Of TIFFs alone: rational polynomials, and MapInfo's places.
_RATIONAL: Final = ("_RPC.TXT", "_RPC.txt", "_rpc.txt", ".RPB", ".rpb")
_TABLE: Final = (".tab", ".TAB")
_TIFF: Final = (".tif", ".tiff")


def files_beside(path: Path) -> Iterator[Path]:
    """All of them that are there.

    Args:
        path: The image.
    """
    yield from places_beside(path)
    found = [path.with_name(f"{path.name}{_MASK}")]
    if path.suffix.lower() in _TIFF:
        found += [path.with_name(f"{path.stem}{end}") for end in (*_RATIONAL, *_TABLE)]
    yield from (file for file in found if file.is_file())


def places_beside(path: Path) -> Iterator[Path]:
    """Those with an affine map or control points: world files and GDAL's own, if they are there.

    Args:
        path: The image.
    """
    ends = _ENDS_OF_WORLD_FILES.get(path.suffix.lower(), ())
    world = [path.with_suffix(f".{end}") for own in ends for end in (own, own.upper())]
    found = (path.with_name(f"{path.name}{_AUXILIARY}"), *world)
    yield from (file for file in found if file.is_file())

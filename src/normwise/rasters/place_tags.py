"""Where an image lies as tags of a TIFF, for stacks, which GDAL doesn't write."""

from io import BytesIO
from typing import Any, Final

from normwise.rasters.geolocation import locate
from normwise.rasters.info import RasterInfo
from normwise.rasters.tiff import gdal, quiet

_TAGS: Final = frozenset({33550, 33922, 34264, 34735, 34736, 34737, 50844})
"""Scale, tie points, transform, the three of the coordinate system, and RPCs; see GeoTIFF 1.1,
section 7, and GDAL's GTiff driver."""

ExtraTag = tuple[int, int, int, Any, bool]


def place_tags(like: RasterInfo, size: tuple[int, ...]) -> list[ExtraTag]:
    """What GDAL writes of an image's place, for each page of a stack.

    Args:
        like: The image.
        size: Slices, rows and columns of the stack; of another size it has no control points and
            RPCs, as for `locate`.

    Returns:
        Number, type, count and value of each tag, as tifffile takes them, and that it is not for
        the first page alone; empty if the image has no place.
    """
    from tifffile import TiffFile  # noqa: PLC0415

    one: dict[str, Any] = {"driver": "GTiff", "height": 1, "width": 1, "count": 1, "dtype": "uint8"}
    told = {"crs": like.crs, "transform": like.transform}
    one |= {name: value for name, value in told.items() if value is not None}
    with quiet(), gdal().MemoryFile() as memory:
        with memory.open(**one) as file:
            locate(file, like, size)
        content = BytesIO(memory.read())
    with TiffFile(content) as written:
        tags = [tag for tag in written.pages.first.tags if tag.code in _TAGS]
        return [(tag.code, tag.dtype, tag.count, tag.value, False) for tag in tags]

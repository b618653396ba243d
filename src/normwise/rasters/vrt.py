"""VRT: an XML file that makes one image of windows and bands of other files, as GDAL reads it."""

import os
import re
from html import unescape
from pathlib import Path

from normwise.errors import RasterError
from normwise.rasters.axes import Dimensions, check_dimensions
from normwise.rasters.raster import Raster
from normwise.rasters.tiff import open_with_gdal

# Of bands, and of an image that is warped on the fly (`gdalwarp -of VRT`).
_SOURCE = re.compile(r"<Source(?:Filename|Dataset)([^>]*)>([^<]*)<")
_RELATIVE = re.compile(r"""relativeToVRT\s*=\s*["']1["']""")
_SHOWN = 3


def open_vrt(path: Path, dimensions: Dimensions | None = None) -> Raster:
    """Opens a VRT; bands of different types are read in the one that holds them all.

    GDAL runs no code that stands in a VRT, unless the user allows it.

    Args:
        path: An existing file.
        dimensions: It is an image, so 3 is refused.

    Returns:
        An open raster.

    Raises:
        RasterError: If it is no VRT, or files that it is made of are missing.
    """
    check_dimensions(path, 2, dimensions)
    missing = [source for source in sources_of(path) if not source.exists()]
    if missing:
        named = ", ".join(map(str, missing[:_SHOWN]))
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise RasterError(
            f"{path}: is made of files that are missing: {named}{more}. Copy them to where it "
            "looks for them, or make it anew (gdalbuildvrt)."
        )
    return open_with_gdal(path, "VRT")


def sources_of(path: Path) -> list[Path]:
    """The files on the disk that a VRT is made of, each once; those elsewhere are left out.

    Args:
        path: The VRT.

    Raises:
        RasterError: If it is no text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RasterError(f"{path}: is no VRT, which is XML. Copy or make it again.") from error
    found = []
    for attributes, name in _SOURCE.findall(text):
        source = unescape(name.strip())
        near = _RELATIVE.search(attributes) is not None
        place = path.parent / source if near else Path(source)
        if source and not _is_elsewhere(source, place):
            found.append(place)
    return list(dict.fromkeys(found))


def _is_elsewhere(source: str, place: Path) -> bool:
    """Whether GDAL finds a source by a prefix, `/vsicurl/...` or `NETCDF:"..."`, or in the VRT.

    Names of files on the disk may hold a colon, too: those that are there are none.
    """
    if source.startswith(("/vsi", "<")):
        return True
    return ":" in source[2:] and not os.path.exists(place)  # noqa: PTH110 - of any text

"""All files that an image is read from, also those that nobody names."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from normwise.rasters.raster import ImageFiles
from normwise.rasters.reading import suffix_of
from normwise.rasters.vrt import sources_of

_SIDE_FILES: Final = (".msk", ".aux.xml")
"""Beside an image GDAL looks for its mask and its nodata value in files with these endings."""


def all_files(path: ImageFiles) -> Iterator[Path]:
    """The file or files of an image, what they are made of, and what lies beside any of these.

    Args:
        path: The file, or the files of its bands.

    Raises:
        RasterError: If a VRT is no text.
    """
    own = [path] if isinstance(path, Path) else list(path)
    sources = (part for file in own if suffix_of(file) == ".vrt" for part in sources_of(file))
    for file in dict.fromkeys([*own, *sources]):
        yield file
        beside = (file.with_name(file.name + ending) for ending in _SIDE_FILES)
        yield from (other for other in beside if other.is_file())

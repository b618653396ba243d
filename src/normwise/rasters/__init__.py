"""Windowed reading and writing of every image format: PNG, JPEG, TIFF, GeoTIFF, NPY and NPZ."""

from normwise.rasters.axes import Dimensions
from normwise.rasters.info import RasterInfo
from normwise.rasters.raster import Raster, Window
from normwise.rasters.reading import (
    SUFFIXES,
    open_raster,
    raster_info,
    read_raster,
    stem_of,
    suffix_of,
)
from normwise.rasters.writing import write_raster

__all__ = [
    "SUFFIXES",
    "Dimensions",
    "Raster",
    "RasterInfo",
    "Window",
    "open_raster",
    "raster_info",
    "read_raster",
    "stem_of",
    "suffix_of",
    "write_raster",
]

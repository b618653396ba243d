"""Windowed reading and writing of every image format: PNG, JPEG, TIFF, GeoTIFF, NPY and NPZ."""

from normwise.rasters.info import RasterInfo
from normwise.rasters.raster import Raster
from normwise.rasters.reading import SUFFIXES, open_raster, raster_info, read_raster
from normwise.rasters.writing import write_raster

__all__ = [
    "SUFFIXES",
    "Raster",
    "RasterInfo",
    "open_raster",
    "raster_info",
    "read_raster",
    "write_raster",
]

"""Windowed reading and writing of images: PNG, JPEG, TIFF, VRT, NPY, NPZ, NIfTI and Zarr."""

from normwise.rasters.axes import Dimensions
from normwise.rasters.info import RasterInfo
from normwise.rasters.raster import ImageFiles, Raster, Window
from normwise.rasters.reading import (
    FOLDER_SUFFIX,
    SUFFIXES,
    open_raster,
    raster_info,
    read_raster,
    stem_of,
    suffix_of,
)
from normwise.rasters.writing import write_raster

__all__ = [
    "FOLDER_SUFFIX",
    "SUFFIXES",
    "Dimensions",
    "ImageFiles",
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

"""Where a Zarr lies, in the words of the CF conventions that rioxarray and GDAL read.

An array names its `grid_mapping`: another one, without pixels, whose attributes `crs_wkt` and
`GeoTransform` are its coordinate system and transform. See CF 1.11, 5.6. The coordinates of pixels
stand in arrays with the names of the axes. GDAL itself writes them and an attribute `_CRS`.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from normwise.errors import RasterError
from normwise.rasters.cf import packing_of
from normwise.rasters.info import RasterInfo, numeric_dtype
from normwise.rasters.raster import Pixels
from normwise.rasters.tiff import gdal
from normwise.rasters.zarr_codecs import refuse_codecs

GRID_MAPPING: Final = "grid_mapping"
SPATIAL_REFERENCE: Final = "spatial_ref"
_WKT: Final = "crs_wkt"
_TRANSFORM: Final = "GeoTransform"
# Coordinates are rounded when they are written; so far may one be off, in pixels.
_SAME_PLACE: Final = 0.1
_COUNTED: Final = ((0.0, 1.0), (0.5, 1.0), (1.0, 1.0))
"""First number and step of coordinates that only count pixels."""
_SHOWN: Final = 40


@dataclass(frozen=True)
class Told:
    """An array that tells of the place of another.

    Attributes:
        axes: The names of its own.
        values: What it holds.
        attributes: What else it says.
    """

    axes: tuple[str, ...]
    values: Pixels
    attributes: dict[str, Any] = field(default_factory=dict)


def place_in(
    path: Path, array: Any, members: Mapping[str, Any], axes: Mapping[str, tuple[str, int]]
) -> dict[str, Any]:
    """What a Zarr tells of its place, as the `crs` and `transform` of its info; None where nothing.

    Args:
        path: The Zarr, for messages.
        array: Its image.
        members: The arrays beside it.
        axes: Its axes by their letters: how each is called, and how long it is.

    Raises:
        RasterError: What it tells is no coordinate system or transform, or a chunk is packed in a
            way that is not read.
    """
    told = _reference(array, members)
    crs, transform = _crs(path, told), _transform(path, told)
    if transform is None:
        transform = _along_axes(path, members, axes)
    return {"crs": crs, "transform": transform}


def arrays_of_place(like: RasterInfo | None, size: tuple[int, int]) -> dict[str, Told]:
    """The arrays that tell where an image lies, by their names; empty if it lies nowhere.

    Args:
        like: The image, or None.
        size: Rows and columns.
    """
    if like is None:
        return {}
    crs, transform = like.crs, like.transform
    if transform is not None and transform.is_identity:
        transform = None
    told: dict[str, Any] = {}
    if crs is not None:
        told = {_WKT: crs.to_wkt(), SPATIAL_REFERENCE: crs.to_wkt()}
    if transform is not None:
        told[_TRANSFORM] = " ".join(map(repr, transform.to_gdal()))
    found = {SPATIAL_REFERENCE: Told((), np.zeros((), np.int32), told)} if told else {}
    if transform is not None and transform.b == transform.d == 0:
        found |= dict(_coordinates(crs, transform, size))
    return found


def _coordinates(crs: Any, transform: Any, size: tuple[int, int]) -> Iterator[tuple[str, Told]]:
    """The middles of rows and columns."""
    words = ("latitude", "longitude") if crs is not None and crs.is_geographic else ()
    if crs is not None and crs.is_projected:
        words = ("projection_y_coordinate", "projection_x_coordinate")
    starts, steps = (transform.f, transform.c), (transform.e, transform.a)
    for index, name in enumerate("yx"):
        middles = starts[index] + steps[index] * (np.arange(size[index]) + 0.5)
        standard = {"standard_name": words[index]} if words else {}
        yield name, Told((name,), middles, {"axis": name.upper(), **standard})


def _reference(array: Any, members: Mapping[str, Any]) -> dict[str, Any]:
    """What tells of an array's place: its system as WKT, its transform."""
    own = dict(array.attrs)
    name = str(own.get(GRID_MAPPING, SPATIAL_REFERENCE)).split(":")[0].strip()
    told = dict(members[name].attrs) if name in members else own.get(SPATIAL_REFERENCE)
    told, by_gdal = (each if isinstance(each, dict) else {} for each in (told, own.get("_CRS")))
    found = {
        _WKT: told.get(_WKT) or told.get(SPATIAL_REFERENCE) or by_gdal.get("wkt"),
        _TRANSFORM: told.get(_TRANSFORM),
    }
    return {name: value for name, value in found.items() if value}


def _crs(path: Path, told: Mapping[str, Any]) -> Any:
    if _WKT not in told:
        return None
    from rasterio.crs import CRS  # noqa: PLC0415 - loads GDAL
    from rasterio.errors import CRSError  # noqa: PLC0415

    try:
        return CRS.from_wkt(told[_WKT])
    except (CRSError, TypeError, ValueError) as error:
        raise _wrong(path, told, _WKT, "a coordinate system in WKT") from error


def _transform(path: Path, told: Mapping[str, Any]) -> Any:
    if _TRANSFORM not in told:
        return None
    text = told[_TRANSFORM]
    try:
        numbers = [float(part) for part in (text.split() if isinstance(text, str) else text)]
        affine = gdal().Affine.from_gdal(*numbers)
    except (TypeError, ValueError) as error:
        raise _wrong(path, told, _TRANSFORM, "six numbers") from error
    if not all(map(math.isfinite, numbers)) or affine.is_degenerate:
        raise _wrong(path, told, _TRANSFORM, "an affine map")
    return affine


def _wrong(path: Path, told: Mapping[str, Any], name: str, wanted: str) -> RasterError:
    return RasterError(
        f"{path}: its attribute {name} is {told[name]!r:.{_SHOWN}}, which is not {wanted}. Correct "
        "or remove it, or write the image again."
    )


def _along_axes(path: Path, members: Mapping[str, Any], axes: Mapping[str, tuple[str, int]]) -> Any:
    """The transform that the coordinates of rows and columns tell, if these are evenly spaced."""
    lines = {
        axis: _line(path, members.get(name), size)
        for axis, (name, size) in axes.items()
        if axis in "XY"
    }
    across, down = lines.get("X"), lines.get("Y")
    if across is None or down is None or across in _COUNTED:
        return None
    (left, wide), (top, tall) = across, down
    return gdal().Affine(wide, 0.0, left - wide / 2, 0.0, tall, top - tall / 2)


def _line(path: Path, coordinates: Any, size: int) -> tuple[float, float] | None:
    """The first of some coordinates, and the distance of the next."""
    told = coordinates is not None and coordinates.shape == (size,) and size > 1
    if not told or coordinates.dtype.kind not in "iuf":
        return None
    refuse_codecs(path, coordinates)
    packing = packing_of(path, dict(coordinates.attrs), numeric_dtype(path, coordinates.dtype))
    values = packing.measured(np.asarray(coordinates[...])).astype(np.float64)
    first, step = float(values[0]), float(values[-1] - values[0]) / (size - 1)
    off = np.abs(values - (first + step * np.arange(size))).max()
    return (first, step) if off < _SAME_PLACE * abs(step) else None

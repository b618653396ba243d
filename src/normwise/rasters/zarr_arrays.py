"""Zarr (versions 2 and 3): a folder of chunks, read by windows."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from normwise.errors import RasterError
from normwise.rasters.axes import Dimensions, axes_of_shape, check_dimensions, sizes_of
from normwise.rasters.cf import FILL, Packing, packing_of
from normwise.rasters.info import RasterInfo, numeric_dtype
from normwise.rasters.ome import axes_of
from normwise.rasters.raster import Pixels, Raster, Window
from normwise.rasters.zarr_codecs import refuse_codecs
from normwise.rasters.zarr_place import place_in

IMAGE = "image"
"""The name of the array that is read of several."""
METADATA = ("zarr.json", ".zarray", ".zgroup")
"""Files of which a Zarr folder has one."""
DIMENSIONS = "_ARRAY_DIMENSIONS"
"""The attribute in which Zarr of version 2 keeps the names of axes."""
_LETTERS = {
    "z": "Z", "slice": "Z", "slices": "Z", "depth": "Z",
    "y": "Y", "row": "Y", "rows": "Y", "lat": "Y", "latitude": "Y", "height": "Y",
    "x": "X", "column": "X", "columns": "X", "lon": "X", "longitude": "X", "width": "X",
    "c": "C", "channel": "C", "channels": "C", "band": "C", "bands": "C",
}  # fmt: skip


class ZarrRaster(Raster):
    """An array of a Zarr folder.

    Args:
        info: What it holds.
        array: The array.
        axes: One letter an axis.
        packing: What its numbers mean.
    """

    def __init__(self, info: RasterInfo, array: Any, axes: str, packing: Packing) -> None:
        chunks = dict(zip(axes, _chunks(array), strict=True))
        order = "YX" if info.depth is None else "ZYX"
        super().__init__(info, tuple(chunks[axis] for axis in order))
        self._array = array
        self._axes = axes
        self._packing = packing
        self._order = f"{order}C"

    def close(self) -> None:
        """Nothing is open between two reads."""

    def _read(self, window: Window, channels: Sequence[int]) -> Pixels:
        low, high = min(channels), max(channels) + 1
        spans = dict(zip(self._order, (*window, slice(low, high)), strict=True))
        with _reported(self.info.path):
            read = np.asarray(self._array[tuple(spans.get(axis, 0) for axis in self._axes)])
        kept = [axis for axis in self._axes if axis in self._order]
        if "C" not in kept:
            read, kept = read[..., None], [*kept, "C"]
        pixels = read.transpose([kept.index(axis) for axis in self._order])
        chosen = pixels[..., [channel - low for channel in channels]]
        return self._packing.measured(np.ascontiguousarray(chosen))


def open_zarr(path: Path, dimensions: Dimensions | None = None) -> Raster:
    """Opens an array, or of a group the array `image` or the only one that isn't a coordinate.

    Args:
        path: An existing folder; of an OME-Zarr image its first, largest level is read.
        dimensions: 3 for a volume, 2 for an image; None: names of axes tell, else four axes.

    Returns:
        An open raster of the values that `scale_factor` and `add_offset` give.

    Raises:
        RasterError: If it is no Zarr, its metadata or chunks are damaged, its group has several
            arrays, or it holds no image.
    """
    import zarr  # noqa: PLC0415

    if not any((path / name).is_file() for name in METADATA):
        raise RasterError(
            f"{path}: is no Zarr, or lacks its metadata ({', '.join(METADATA)}). Copy it again."
        )
    with _reported(path):
        found: Any = zarr.open(path, mode="r")
        multiscale = _multiscale(dict(found.attrs))
        alone = isinstance(found, zarr.Array)
        members = {} if alone else dict(found.arrays())
        array = found if alone else _member(path, found, members, multiscale)
        refuse_codecs(path, array)
        axes = _axes(path, array, multiscale, dimensions)
        packing = packing_of(path, _attributes(array), numeric_dtype(path, array.dtype))
        named = dict(zip(axes, zip(_names(array), array.shape, strict=False), strict=False))
        place = place_in(path, array, members, named)
        info: Any = replace(_info(path, array, axes, packing), **place, **_scales(multiscale, axes))
        return ZarrRaster(info, array, axes, packing)


def _multiscale(attributes: dict[str, Any]) -> dict[str, Any]:
    """What OME-Zarr (0.4 and 0.5) says about its levels and axes; empty if it is none."""
    scales = attributes.get("multiscales") or attributes.get("ome", {}).get("multiscales")
    return dict(scales[0]) if scales else {}


def _member(path: Path, group: Any, members: Mapping[str, Any], multiscale: dict[str, Any]) -> Any:
    import zarr  # noqa: PLC0415

    if multiscale:
        member = group[multiscale["datasets"][0]["path"]]
        if isinstance(member, zarr.Array):
            return member
    if IMAGE in members or len(members) == 1:
        return members[IMAGE] if IMAGE in members else next(iter(members.values()))
    # Coordinates of axes stand along one, and what tells the coordinate system along none.
    images = {name: array for name, array in members.items() if array.ndim > 1}
    if len(images) == 1:
        return next(iter(images.values()))
    names = ", ".join(sorted(images or members)) or "no array"
    raise RasterError(f"{path}: holds {names}. Expected one array, or one that is named `image`.")


def _axes(path: Path, array: Any, multiscale: dict[str, Any], dimensions: Dimensions | None) -> str:
    """One letter an axis; one that is only 1 long and no image axis is `1`."""
    names = [
        axis["name"] if isinstance(axis, dict) else axis for axis in multiscale.get("axes", ())
    ]
    names = names or _names(array)
    if not names:
        return axes_of_shape(path, array.shape, dimensions)
    axes = "".join(
        _LETTERS.get(str(name).lower(), "1" if size == 1 else "?")
        for name, size in zip(names, array.shape, strict=True)
    )
    letters = axes.replace("1", "")
    if "?" in axes or len(set(letters)) < len(letters) or not set("YX") <= set(axes):
        told = ", ".join(f"{name} {size}" for name, size in zip(names, array.shape, strict=True))
        raise RasterError(
            f"{path}: has the axes {told}. Expected y and x, with or without z and c; an axis "
            "such as t must have the length 1."
        )
    if "C" in axes and "Z" not in axes and dimensions == 3:
        raise RasterError(f"{path}: its axes name no slices (z), but a volume is needed.")
    check_dimensions(path, 3 if "Z" in axes else 2, dimensions)
    return axes


def _names(array: Any) -> list[str]:
    told = getattr(array.metadata, "dimension_names", None)
    names = told or array.attrs.get(DIMENSIONS) or ()
    return [str(name) for name in names] if all(names) else []


def _attributes(array: Any) -> dict[str, Any]:
    """The attributes of an array, with the `_FillValue` that is kept elsewhere.

    In Zarr of version 2 xarray and GDAL make it the fill value. That is 0 where nobody chose it.
    """
    attributes = dict(array.attrs)
    if array.metadata.zarr_format == 2 and DIMENSIONS in attributes and array.fill_value:
        attributes.setdefault(FILL, array.fill_value.item())
    return attributes


def _info(path: Path, array: Any, axes: str, packing: Packing) -> RasterInfo:
    if 0 in array.shape:
        raise RasterError(f"{path}: an array of shape {array.shape} is no image.")
    kept = [(axis, size) for axis, size in zip(axes, array.shape, strict=True) if axis != "1"]
    depth, height, width, channels = sizes_of(
        tuple(size for _, size in kept), "".join(axis for axis, _ in kept)
    )
    return RasterInfo(
        path=path,
        height=height,
        width=width,
        channels=channels,
        dtype=packing.dtype,
        nodata=packing.nodata,
        depth=depth,
        masked=packing.masked,
    )


def _scales(multiscale: dict[str, Any], axes: str) -> dict[str, Any]:
    """The axes of an OME-Zarr, and the distances of its voxels."""
    found = axes_of(multiscale, axes)
    if found is None:
        return {}
    steps = {letter: axis.scale for letter, axis in found}
    return {"ome": found, "spacing": tuple(steps[axis] for axis in "ZYX") if "Z" in steps else None}


def _chunks(array: Any) -> tuple[int, ...]:
    return tuple(min(chunk, size) for chunk, size in zip(array.chunks, array.shape, strict=True))


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except (RasterError, MemoryError):
        raise
    # Each codec has errors of its own.
    except Exception as error:
        raise RasterError(
            f"{path}: can't be read; its metadata or a chunk is damaged ({error}). Copy or write "
            "it again."
        ) from error

"""Writing Zarr: an array with named axes, and what its numbers mean."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Final, Literal, final

import numpy as np

from normwise.rasters.cf import FILL, encoded_fill, flags_of
from normwise.rasters.class_map import Classes
from normwise.rasters.info import RasterInfo
from normwise.rasters.ome import LEVEL, attributes_of
from normwise.rasters.raster import Pixels, Window
from normwise.rasters.zarr_arrays import DIMENSIONS, IMAGE
from normwise.rasters.zarr_place import GRID_MAPPING, SPATIAL_REFERENCE, arrays_of_place

_AXES: Final = "ZYXC"
_CHUNK: Final = 64


def write_zarr(
    path: Path,
    read: Callable[..., Pixels],
    shape: tuple[int, ...],
    dtype: Any,
    like: RasterInfo | None,
    nodata: float | None = None,
    bands: Sequence[str] | Classes = (),
) -> None:
    """Writes an image or a volume chunk row by chunk row, so that memory is bounded.

    It is an array of rows, columns and channels. Where there is more to tell, a place or the axes
    of an OME-Zarr, it is a group; then the image is its array `image`, or of an OME-Zarr `0`, with
    the channels first, as others want it.

    Args:
        path: The folder, which must not exist.
        read: Gives slices, rows and columns, or rows and columns.
        shape: `(slices, rows, columns, channels)`, or without slices.
        dtype: Of the pixels.
        like: The image whose coordinate system and transform it takes, and if that is an OME-Zarr
            the units and scales of its axes. If it is a Zarr of version 2, so is this.
        nodata: The value that marks missing pixels; it becomes `_FillValue`.
        bands: One name for each channel, or none; they are the attribute `bands`. Of a single
            channel of class ids what they mean; see `flags_of`.
    """
    sides, channels = shape[:-1], shape[-1]
    zarr = _Zarr(path, _version_of(like))
    place = arrays_of_place(like, (shape[-3], shape[-2]))
    longest = _CHUNK if len(sides) == 3 else 4 * _CHUNK
    chunks = (*(min(longest, side) for side in sides), channels)
    axes, order, name = _AXES[-len(shape) :], list(range(len(shape))), None
    if place or _is_ome(like):
        order = [order[-1], *order[:-1]]
        name = zarr.make_group(like, "".join(axes[index] for index in order))
    array = zarr.array(
        name,
        [axes[index].lower() for index in order],
        [shape[index] for index in order],
        [chunks[index] for index in order],
        dtype,
        {
            **_meaning(bands),
            **zarr.missing(nodata, dtype),
            **({GRID_MAPPING: SPATIAL_REFERENCE} if place else {}),
        },
        nodata,
    )
    for area in _areas(sides, longest):
        array[area if name is None else (slice(None), *area)] = read(*area).transpose(order)
    for other, told in place.items():
        size, kind = told.values.shape, told.values.dtype
        zarr.array(other, told.axes, size, size, kind, told.attributes)[...] = told.values
    zarr.close()


def _is_ome(like: RasterInfo | None) -> bool:
    return like is not None and like.ome is not None


def _version_of(like: RasterInfo | None) -> Literal[2, 3]:
    old = like is not None and any((like.path / name).is_file() for name in (".zarray", ".zgroup"))
    return 2 if old else 3


@final
class _Zarr:
    """A Zarr that is written: an array, or a group of several.

    Args:
        path: The folder, which must not exist.
        version: Of the format.
    """

    def __init__(self, path: Path, version: Literal[2, 3]) -> None:
        self._path = path
        self._version: Final = version
        self._group = False

    def make_group(self, like: RasterInfo | None, letters: str) -> str:
        """Makes it a group, whose members follow.

        Args:
            like: What tells the axes of an OME-Zarr.
            letters: One for each axis of the image.

        Returns:
            The name of the image.
        """
        import zarr  # noqa: PLC0415

        axes = None if like is None else like.ome
        told = {} if axes is None else attributes_of(axes, letters, self._version)
        zarr.create_group(self._path, zarr_format=self._version, attributes=told)
        self._group = True
        return IMAGE if axes is None else LEVEL

    def array(
        self,
        name: str | None,
        axes: Sequence[str],
        shape: Sequence[int],
        chunks: Sequence[int],
        dtype: Any,
        attributes: Mapping[str, Any],
        nodata: float | None = None,
    ) -> Any:
        """A new array, empty.

        Args:
            name: Of a member of the group; None: the array is all.
            axes: Their names.
            shape: Of the array.
            chunks: The shape of a chunk.
            dtype: Of the numbers.
            attributes: What else it says.
            nodata: The number that marks missing ones, which is what stands where none was written.
        """
        import zarr  # noqa: PLC0415

        old = self._version == 2
        # What stands there in version 2 is `_FillValue` for others, so nothing where there is none.
        nothing = None if old else 0
        return zarr.create_array(
            self._path,
            name=name,
            shape=tuple(shape),
            chunks=tuple(chunks),
            dtype=np.dtype(dtype),
            zarr_format=self._version,
            dimension_names=None if old else list(axes),
            attributes={**({DIMENSIONS: list(axes)} if old else {}), **attributes},
            # NGFF asks for folders; version 3 has them anyway.
            chunk_key_encoding={"name": "v2", "separator": "/"} if old and self._group else None,
            fill_value=nothing if nodata is None else np.dtype(dtype).type(nodata),
        )

    def missing(self, nodata: float | None, dtype: Any) -> dict[str, Any]:
        """The attribute that tells the number of missing pixels, where it is kept in attributes."""
        if nodata is None or self._version == 2:
            return {}
        return {FILL: encoded_fill(nodata, np.dtype(dtype))}

    def close(self) -> None:
        """Gathers what its members say, where the version has a place for it."""
        import zarr  # noqa: PLC0415

        if self._group and self._version == 2:
            zarr.consolidate_metadata(self._path)


def _meaning(bands: Sequence[str] | Classes) -> dict[str, Any]:
    if isinstance(bands, Classes):
        return {"bands": [bands.band], **flags_of(bands)}
    return {"bands": list(bands)} if bands else {}


def _areas(sides: Sequence[int], longest: int) -> Iterator[Window]:
    """Rows of chunks over the whole width."""
    starts = (range(0, side, longest) for side in sides[:-1])
    for corner in product(*starts):
        spans = zip(corner, sides[:-1], strict=True)
        yield (*(slice(at, min(at + longest, side)) for at, side in spans), slice(0, sides[-1]))

"""What the axes of a TIFF stack mean, as ImageJ, OME and tifffile write them down."""

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normwise.errors import RasterError

_PLANE = "YX"
_SAMPLES = "S"


def slices_of(path: Path, planes: int, told: bool) -> NDArray[np.int64] | None:
    """Which plane of a TIFF is which slice and channel.

    Args:
        path: A TIFF file.
        planes: How many planes it has: pages times the samples of a page.
        told: Whether planes are slices where the file says nothing about its axes.

    Returns:
        Numbers of planes, shape `(slices, channels)`; None if the file is no volume.

    Raises:
        RasterError: If its axes don't fit its pages, or it is a series over time or another axis.
    """
    from tifffile import TiffFile, TiffFileError  # noqa: PLC0415

    try:
        # Of an OME file that names others only this one is read.
        with TiffFile(path, _multifile=False) as file:
            series = file.series[0]
            axes, shape = str(series.axes), tuple(int(size) for size in series.shape)
            pages = [page.index for page in series.pages if page is not None]
            samples = int(file.pages.first.samplesperpixel)
    except (TiffFileError, OSError, ValueError, IndexError, KeyError) as error:
        raise RasterError(f"{path}: its axes can't be read ({error}). Save it again.") from error
    if "Z" in axes and set(_PLANE) <= set(axes):
        return _places(path, planes, axes, shape, pages)
    return np.arange(planes).reshape(planes // samples, samples) if told else None


def _places(
    path: Path, planes: int, axes: str, shape: tuple[int, ...], pages: list[Any]
) -> NDArray[np.int64]:
    sizes = {axis: size for axis, size in zip(axes, shape, strict=True) if axis not in _PLANE}
    others = {axis: size for axis, size in sizes.items() if axis not in "ZCS" and size > 1}
    if others or prod(sizes.values()) != planes:
        told = ", ".join(f"{axis} {size}" for axis, size in zip(axes, shape, strict=True))
        raise RasterError(
            f"{path}: has the axes {told} in {planes} planes. Expected slices (Z) and channels "
            "(C) alone, all in one file; split other axes into files, or say `dimensions: 2` in "
            "dataset.yaml to read every plane as a channel."
        )
    samples = sizes.pop(_SAMPLES, 1)
    order = np.arange(planes).reshape(-1, samples)
    if len(pages) == len(order):
        order = order[pages]
    stored = order.reshape(*sizes.values(), samples)
    slices = np.moveaxis(stored, list(sizes).index("Z"), 0)
    return slices.reshape(sizes["Z"], -1)

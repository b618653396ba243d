"""Which axes of a stored array are slices, rows, columns and channels."""

from pathlib import Path
from typing import Literal

from normwise.errors import RasterError
from normwise.rasters.info import RasterInfo

Dimensions = Literal[2, 3]
"""Images have 2, volumes 3."""

_EXPECTED = (
    "Expected (rows, columns) or (rows, columns, channels), of a volume (slices, rows, columns, "
    "channels), or (slices, rows, columns) with `dimensions: 3` in dataset.yaml."
)


def axes_of_shape(path: Path, shape: tuple[int, ...], dimensions: Dimensions | None) -> str:
    """The axes of an array that says nothing but its shape.

    Args:
        path: The file, for the message.
        shape: Shape of the array.
        dimensions: 3 if it must be a volume, 2 if it must be an image, None if it may be either.

    Returns:
        One letter an axis: `Z` slices, `Y` rows, `X` columns, `C` channels.

    Raises:
        RasterError: If it is neither an image nor a volume, or not the one that it must be.
    """
    axes = {2: "YX", 3: "ZYX" if dimensions == 3 else "YXC", 4: "ZYXC"}.get(len(shape))
    if axes is None or min(shape) < 1:
        raise RasterError(f"{path}: an array of shape {shape} is no image. {_EXPECTED}")
    check_dimensions(path, 3 if "Z" in axes else 2, dimensions)
    return axes


def check_dimensions(path: Path, found: int, wanted: Dimensions | None) -> None:
    """Refuses an image where a volume is wanted, and a volume where an image is.

    Args:
        path: The file.
        found: 2 or 3, what the file holds.
        wanted: What it must hold; None if it may be either.

    Raises:
        RasterError: If the two differ.
    """
    if wanted in (None, found):
        return
    kinds = {2: "an image of rows and columns", 3: "a volume of slices, rows and columns"}
    raise RasterError(
        f"{path}: is {kinds[found]}, but {kinds[int(wanted)]} is needed (`dimensions: {wanted}`)."
    )


def sizes_of(shape: tuple[int, ...], axes: str) -> tuple[int | None, int, int, int]:
    """Depth (None for an image), height, width and channels of an array with these axes."""
    size = dict(zip(axes, shape, strict=True))
    return size.get("Z"), size["Y"], size["X"], size.get("C", 1)


def shape_of(info: RasterInfo) -> tuple[int, ...]:
    """The shape of the whole image as `Raster.read` gives it."""
    return (*info.shape, info.channels)

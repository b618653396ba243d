"""Writing predictions in the format that their name tells, piece by piece where that can be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy.typing as npt

from normwise.errors import RasterError
from normwise.files import refuse_no_folder
from normwise.rasters import ImageFiles, RasterInfo, stem_of, suffix_of, write_raster
from normwise.rasters.cog import write_cog
from normwise.rasters.outputs import Naming
from normwise.rasters.writing import write_by_windows

if TYPE_CHECKING:
    from normwise.workflows.prediction_outputs import Outputs

Array = npt.NDArray[Any]

log = logging.getLogger("normwise.inference")

TIFF: Final = (".tif", ".tiff")
_WRITTEN: Final = (*TIFF, ".npy", ".nii", ".nii.gz", ".zarr", ".png")
# Formats of images whose predictions are written in the same one; those of others are GeoTIFF.
_KEPT: Final = frozenset({".npy", ".nii", ".nii.gz", ".zarr"})
_SYSTEM, _TRANSFORM, _AFFINE = "coordinate system", "transform", "affine"
_POINTS, _RPCS, _AXES = "ground control points", "RPCs", "units of axes"
# What a format can tell of the image.
_KEEPS: Final[Mapping[str, Sequence[str]]] = {
    **dict.fromkeys(TIFF, (_SYSTEM, _TRANSFORM, _POINTS, _RPCS)),
    ".zarr": (_SYSTEM, _TRANSFORM, _AXES),
    **dict.fromkeys((".nii", ".nii.gz"), (_AFFINE,)),
}
_PICTURES: Final = frozenset({".png", ".jpg", ".jpeg"})


def write_prediction(
    made: Outputs,
    read: Callable[..., Array],
    shape: tuple[int, ...],
    like: RasterInfo | None,
    out: Path,
    naming: Naming,
) -> None:
    """Writes a prediction, whole or not at all.

    Args:
        made: What it consists of.
        read: Gives a window; without arguments all.
        shape: Shape (rows, columns, channels), of volumes with slices before.
        like: The image, whose place it takes.
        out: The file.
        naming: Whether an existing one may be replaced, and what is done before.

    Raises:
        RasterError: The disk is full, or the format can't hold it.
        OutputExistsError: It exists and may not be replaced.
    """
    suffix, bands = suffix_of(out), made.legend or made.names
    if suffix in TIFF and len(shape) == 3:
        rows, columns, channels = shape
        write_cog(
            out, read, (rows, columns, channels), made.dtype, like, made.nodata, naming, bands
        )
        return
    if not write_by_windows(out, read, shape, made.dtype, like, made.nodata, naming, bands):
        nodata = made.nodata if suffix in TIFF else None
        write_raster(out, read(), like, nodata, naming.overwrite, ready=naming.ready)


def outputs_in(
    folder: Path, images: Mapping[str, ImageFiles], made: Outputs
) -> dict[Path, ImageFiles]:
    """Images by the files of their predictions, sorted by name.

    Args:
        folder: Where predictions go.
        images: By their names.
        made: What a prediction consists of.
    """
    legend = made.legend is not None
    return {
        folder / f"{name}{_suffix_for(files, legend)}": files
        for name, files in sorted(images.items())
    }


def refuse_folders(*folders: Path | None) -> None:
    """Refuses what can be no folders to write to, before the work is done.

    Args:
        folders: For predictions and pictures; None for nowhere.

    Raises:
        OutputExistsError: One is a file, or lies in one.
    """
    for folder in folders:
        if folder is not None:
            refuse_no_folder(folder)


def pictures_in(folder: Path | None, outputs: Iterable[Path]) -> dict[Path, Path]:
    """The picture of each output; nothing without a folder for them."""
    return {} if folder is None else {out: folder / f"{stem_of(out)}.png" for out in outputs}


def _suffix_for(image: ImageFiles, legend: bool) -> str:
    """The image's own where that can hold its prediction; `legend`: a single map of class ids."""
    found = suffix_of(image if isinstance(image, Path) else image[0])
    if found == ".npz":
        return ".npy"
    if legend and found in _PICTURES:
        return ".png"
    return found if found in _KEPT else ".tif"


def say_unkept(info: RasterInfo, out: Path) -> None:
    """Says what the file of a prediction can't tell of its image.

    Args:
        info: The image.
        out: The file.
    """
    told = _told(info)
    lost = [word for word in told if word not in _KEEPS.get(suffix_of(out), ())]
    if not lost:
        return
    better = next((suffix for suffix, kept in _KEEPS.items() if set(told) <= set(kept)), "")
    log.warning(
        "%s: can't hold the %s of %s%s.",
        out.name, " and ".join(lost), info.path.name, better and f" (a {better} can)",
    )  # fmt: skip


def _told(info: RasterInfo) -> list[str]:
    """What an image tells of its place, in words."""
    located, transform = info.geolocation, info.transform
    told = {
        _SYSTEM: info.crs is not None,
        _TRANSFORM: transform is not None and not transform.is_identity,
        _POINTS: located is not None and bool(located.points),
        _RPCS: located is not None and located.rpcs is not None,
        _AFFINE: info.affine is not None,
        _AXES: info.ome is not None,
    }
    return [word for word, found in told.items() if found]


def refuse_format(out: Path, made: Outputs, axes: int) -> None:
    """Refuses a file that can't hold a prediction, before the work is done.

    Args:
        out: The file.
        made: What the prediction consists of.
        axes: 2 for images, 3 for volumes.

    Raises:
        RasterError: It can't.
    """
    suffix = suffix_of(out)
    if suffix not in _WRITTEN:
        raise RasterError(
            f"{out}: predictions can't be written as {out.suffix or 'a file without suffix'}. "
            f"Expected {', '.join(_WRITTEN)}."
        )
    if suffix == ".png" and (made.legend is None or axes != 2):
        held = "class ids of a volume" if axes != 2 else "several outputs"
        held = held if made.classes else "probabilities or values of a regression"
        advice = "a .tif" if made.classes else "a .tif, or class ids (--classes)"
        raise RasterError(f"{out}: a PNG can't hold {held}; write {advice} instead.")

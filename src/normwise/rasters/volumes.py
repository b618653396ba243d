"""Writing volumes: NIfTI and TIFF stacks."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np

from normwise.rasters.info import RasterInfo
from normwise.rasters.place_tags import place_tags
from normwise.rasters.raster import Pixels

_NIFTI_2_BYTES = 540
_ROWS = 64
# Below this a classic TIFF can't overflow, however badly it compresses.
_CLASSIC_TIFF_BYTES = 3 * 2**30
_NODATA_TAG = 42113


def write_nifti(path: Path, pixels: Pixels, like: RasterInfo | None, packed: bool) -> None:
    """Writes a volume with the place and orientation of another one.

    Args:
        path: The file.
        pixels: Shape `(slices, rows, columns, channels)`, or without slices.
        like: The volume whose affine and units it takes, if that is a NIfTI file; of others the
            distance of voxels.
        packed: Whether it is a `.nii.gz` file.
    """
    import nibabel  # noqa: PLC0415

    pixels = _at_least_single(pixels)
    volume = (pixels if pixels.ndim == 4 else pixels[None]).transpose(2, 1, 0, 3)
    data = volume[..., 0] if volume.shape[-1] == 1 else volume
    block = like.nifti if like is not None else b""
    second = len(block) == _NIFTI_2_BYTES
    nifti: Any = nibabel
    header = (nifti.Nifti2Header if second else nifti.Nifti1Header)(block or None)
    for name in ("cal_min", "cal_max", "intent_code"):
        header[name] = 0
    header["intent_name"] = b""
    affine = None if block else _affine(like)
    kind = nifti.Nifti2Image if second else nifti.Nifti1Image
    image = kind(data, affine, header, dtype=pixels.dtype)
    image.header.set_slope_inter(1, 0)
    content = image.to_bytes()
    # Without the time, so that the same volume is the same file.
    path.write_bytes(gzip.compress(content, 6, mtime=0) if packed else content)


def write_tiff_stack(
    path: Path, pixels: Pixels, like: RasterInfo | None, nodata: float | None
) -> None:
    """Writes a volume as pages whose axes have names, deflated.

    Args:
        path: The `.tif` or `.tiff` file.
        pixels: Shape `(slices, rows, columns, channels)`.
        like: The volume whose distance of slices it takes, and whose coordinate system and
            transform, or if it has the same size its ground control points and RPCs.
        nodata: The value that marks missing voxels, None for none.
    """
    import tifffile  # noqa: PLC0415

    pixels = _at_least_single(pixels)
    planes = np.moveaxis(pixels, -1, 1)
    single = planes.shape[1] == 1
    metadata: dict[str, Any] = {"axes": "ZYX" if single else "ZCYX"}
    if like is not None and like.spacing is not None:
        metadata["spacing"] = like.spacing[0]
    tags = place_tags(like, pixels.shape[:-1]) if like is not None else []
    if nodata is not None:
        tags.append((_NODATA_TAG, 2, 0, json.dumps(nodata).lower(), True))
    tifffile.imwrite(
        path,
        planes[:, 0] if single else planes,
        photometric="minisblack",
        compression="zlib",
        rowsperstrip=min(_ROWS, pixels.shape[1]),
        metadata=metadata,
        extratags=tags,
        bigtiff=pixels.nbytes > _CLASSIC_TIFF_BYTES,
    )


def _affine(like: RasterInfo | None) -> Any:
    steps = like.spacing if like is not None and like.spacing else (1.0, 1.0, 1.0)
    return np.diag([*steps[::-1], 1.0])


def _at_least_single(pixels: Pixels) -> Pixels:
    # Readers hardly know half precision, and nothing is lost.
    return pixels.astype(np.float32) if pixels.dtype == np.float16 else pixels

"""Which pixels of a batch hold measurements, and which features stand on them.

A pixel holds none where every one of its channels is missing: NaN, infinite, or the nodata value.
Where only some are missing it counts, and the missing values are filled, as everywhere in normwise.

A feature counts if the pixel under its centre does: feature `i` of `n` along an axis of `size`
pixels stands on pixel `floor((i + 1/2) * size / n)`. That holds for every resolution, coarser or
finer than the input's, whatever layers led there. Where a tensor has no such axes (behind a global
pooling, `Flatten` or a dense layer), a sample counts if any of its pixels does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from normwise.surgery.moments import Array, Bools


def missing_values(values: Array, nodata: float | None) -> Bools | None:
    """Where an array holds no measurement, None if it does everywhere.

    Args:
        values: Any numeric type.
        nodata: The value that says so, beside NaN and infinity, which always do; None: no other.
    """
    missing = np.zeros(values.shape, bool)
    if values.dtype.kind == "f":
        missing |= ~np.isfinite(values)
    if nodata is not None and not np.isnan(nodata):
        # The text in a file's header has more digits than the float32 that it stands for.
        wanted = values.dtype.type(nodata) if values.dtype.kind == "f" else nodata
        np.logical_or(missing, values == wanted, out=missing)
    return missing if missing.any() else None


def filled(values: Array, missing: Bools, fill: Array, axis: int) -> Array:
    """The array with one value for each channel where it holds no measurement.

    Args:
        values: For example `(batch, rows, columns, channels)`.
        missing: Booleans of the same shape.
        fill: One value for each channel, or a single one.
        axis: The axis of the channels.
    """
    shape = [1] * values.ndim
    shape[axis] = -1
    return np.where(missing, np.reshape(fill, shape), values)


def valid_pixels(missing: Bools, axis: int) -> Bools:
    """Where any channel holds a measurement; the shape is that of `missing` without the axis."""
    return np.asarray(~missing.all(axis=axis))


def valid_features(valid: Bools, shape: Sequence[int]) -> Bools:
    """Which features count.

    Args:
        valid: Valid pixels, `(batch, *spatial)`.
        shape: Shape of the features without their channel axis, `(batch, *spatial)`; the batch is
            that of `valid`.

    Returns:
        Booleans of that shape; by sample where the features have other axes than the pixels.
    """
    if len(shape) != valid.ndim:
        sample = valid.reshape(len(valid), -1).any(axis=1)
        rest = (1,) * (len(shape) - 1)
        return np.broadcast_to(sample.reshape(-1, *rest), tuple(shape))
    found = valid
    for axis in range(1, valid.ndim):
        found = found.take(_centres(valid.shape[axis], shape[axis]), axis=axis)
    return found


def _centres(pixels: int, features: int) -> Array:
    # In whole numbers: (2 i + 1) * pixels / (2 * features), rounded down.
    return np.asarray((2 * np.arange(features) + 1) * pixels // (2 * features))

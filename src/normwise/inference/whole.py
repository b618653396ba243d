"""The prediction of a whole image in one piece, whatever its size."""

import logging
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from normwise.errors import NetworkError

Image = npt.NDArray[np.generic]
Prediction = npt.NDArray[np.float32]

log = logging.getLogger("normwise.inference")


def predict_whole(
    model: keras.Model, image: Image, stride: int | tuple[int, int] | None = None
) -> Prediction:
    """Predicts an image of any size.

    A size that the total stride does not divide is padded by edge values at the bottom and
    right, and cropped back. A model that was built for one size gets tiles of that size, side by
    side and without overlap, the last ones padded in the same way: their seams may show.
    `fixed_size_note` says when that happens; it is logged as well.

    Args:
        model: From raw pixel values, shape (1, rows, columns, channels), to one output.
        image: Shape (rows, columns, channels), any numeric type.
        stride: Total stride of the model in pixels; by default read from the model.

    Returns:
        float32, shape (rows, columns, outputs).

    Raises:
        NetworkError: If the image has another number of channels than the model.
    """
    _check(model, image)
    rows, columns = image.shape[:2]
    if note := fixed_size_note(model, (rows, columns)):
        log.warning(note)
    height, width = _tile(model, (rows, columns), stride)
    padded = _padded(image, -(-rows // height) * height, -(-columns // width) * width)
    bands = [
        [
            _predict(model, padded[top : top + height, left : left + width])
            for left in range(0, padded.shape[1], width)
        ]
        for top in range(0, padded.shape[0], height)
    ]
    return np.concatenate([np.concatenate(band, axis=1) for band in bands])[:rows, :columns]


def fixed_size_note(model: keras.Model, size: tuple[int, int]) -> str:
    """Why an image of this size is predicted in tiles; empty if it is not.

    Args:
        model: The model.
        size: Rows and columns of the image in pixels.
    """
    fixed = model.input_shape[1:3]
    if all(given is None or given >= own for given, own in zip(fixed, size, strict=True)):
        return ""
    wanted = "x".join("any" if given is None else str(given) for given in fixed)
    return (
        f"The model takes {wanted} pixels and no other size: the image of {size[0]}x{size[1]} was "
        "predicted in tiles of that size without overlap, whose seams may show."
    )


def _tile(
    model: keras.Model, size: tuple[int, int], stride: int | tuple[int, int] | None
) -> tuple[int, int]:
    """The size that the model was built for; on a free axis the image's, padded to the stride."""
    rows, columns = model.input_shape[1:3]
    if rows is None or columns is None:
        down, across = _pair(stride or _stride_of(model))
        rows = rows or -(-size[0] // down) * down
        columns = columns or -(-size[1] // across) * across
    return rows, columns


def _stride_of(model: keras.Model) -> int | tuple[int, int]:
    from normwise.networks.stride import stride_of  # noqa: PLC0415 - only where no stride is given

    found: int | tuple[int, int] = stride_of(model)
    return found


def _pair(stride: int | tuple[int, int]) -> tuple[int, int]:
    return (stride, stride) if isinstance(stride, int) else (stride[0], stride[1])


def _check(model: keras.Model, image: Image) -> None:
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise NetworkError(
            f"The model has {len(model.inputs)} inputs and {len(model.outputs)} outputs; whole "
            "images need one of each."
        )
    taken, made = model.input_shape, model.output_shape
    if len(taken) != 4 or len(made) != 4:
        raise NetworkError(
            f"The model makes {made} from {taken}; whole images need (batch, rows, columns, "
            "channels) on both sides."
        )
    if image.ndim != 3 or taken[-1] not in (None, image.shape[-1]):
        raise NetworkError(
            f"The model takes {taken[-1]} channels, shape (rows, columns, {taken[-1]}); received "
            f"shape {image.shape}. Choose the bands that it was trained with (--bands)."
        )


def _padded(image: Image, rows: int, columns: int) -> Image:
    missing = ((0, rows - image.shape[0]), (0, columns - image.shape[1]), (0, 0))
    return np.pad(image, missing, mode="edge")


def _predict(model: keras.Model, image: Image) -> Prediction:
    batch: Any = np.ascontiguousarray(image, dtype=np.float32)[None]
    return np.asarray(model.predict_on_batch(batch)[0], np.float32)

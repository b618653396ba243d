"""The prediction of a whole image or volume in one piece, whatever its size."""

import logging
from collections.abc import Callable, Sequence
from math import lcm
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt

from normwise.errors import NetworkError
from normwise.keras_format.stride import strides_of

Image = npt.NDArray[np.generic]
Prediction = npt.NDArray[np.float32]
Size = tuple[int, ...]
Engine = Callable[[npt.NDArray[Any]], Any]

# By the number of axes of a batch.
_AXES: Final = {4: "rows, columns", 5: "slices, rows, columns"}
_BANDS: Final = "Choose the bands that it was trained with (--bands)."

log = logging.getLogger("normwise.inference")


def predict_whole(
    model: keras.Model,
    image: Image,
    stride: int | Sequence[int] | None = None,
    engine: Engine | None = None,
) -> Prediction:
    """Predicts an image or a volume of any size.

    A size that the total stride does not divide is padded by edge values at the end of its axis,
    and cropped back. A model that was built for one size gets tiles of that size, side by
    side and without overlap, the last ones padded in the same way: their seams may show.
    `fixed_size_note` says when that happens; it is logged as well.

    Args:
        model: From raw pixel values, shape (1, rows, columns, channels) or (1, slices, rows,
            columns, channels), to one output.
        image: Shape (rows, columns, channels) or (slices, rows, columns, channels), any numeric
            type.
        stride: Total stride of the model in pixels, one for all axes or one an axis; by default
            read from the model.
        engine: What applies the model to a batch, by default its own `predict_on_batch`.

    Returns:
        float32, shape (rows, columns, outputs) or (slices, rows, columns, outputs).

    Raises:
        NetworkError: If the image has another number of axes or channels than the model takes.
    """
    check_image(model, image.shape)
    size = image.shape[:-1]
    if note := fixed_size_note(model, size):
        log.warning(note)
    tile = _tile(model, size, stride)
    whole = _in_tiles(engine or model.predict_on_batch, _padded(image, tile), tile, ())
    return whole[tuple(slice(side) for side in size)]


def _in_tiles(engine: Engine, image: Image, tile: Size, corner: tuple[slice, ...]) -> Prediction:
    """Tiles side by side, joined along one axis after the other."""
    axis = len(corner)
    if axis == len(tile):
        return _predict(engine, image[corner])
    starts = range(0, image.shape[axis], tile[axis])
    spans = [slice(start, start + tile[axis]) for start in starts]
    parts = [_in_tiles(engine, image, tile, (*corner, span)) for span in spans]
    return np.concatenate(parts, axis=axis) if len(parts) > 1 else parts[0]


def fixed_size_note(model: keras.Model, size: Size) -> str:
    """Why an image of this size is predicted in tiles; empty if it is not.

    Args:
        model: The model.
        size: Rows and columns of the image in pixels, of a volume with slices before.
    """
    fixed = model.input_shape[1:-1]
    if all(given is None or given >= own for given, own in zip(fixed, size, strict=True)):
        return ""
    wanted = "x".join("any" if given is None else str(given) for given in fixed)
    return (
        f"The model takes {wanted} pixels and no other size: the image of "
        f"{'x'.join(map(str, size))} was predicted in tiles of that size without overlap, whose "
        "seams may show."
    )


def _tile(model: keras.Model, size: Size, stride: int | Sequence[int] | None) -> Size:
    """The size that the model was built for; on a free axis the image's, padded to the stride."""
    fixed = model.input_shape[1:-1]
    if None not in fixed:
        return tuple(fixed)
    strides = _each(stride or strides_of(model), len(size))
    sides = zip(fixed, size, strides, strict=True)
    return tuple(given or -(-own // step) * step for given, own, step in sides)


def _each(stride: int | Sequence[int], axes: int) -> Sequence[int]:
    if isinstance(stride, int):
        return [stride] * axes
    return stride if len(stride) == axes else [lcm(*stride)] * axes


def check_image(model: keras.Model, shape: Size, advice: str = _BANDS) -> None:
    """Refuses an image that a model doesn't take.

    Args:
        model: The model.
        shape: Of the image, shape (..., channels).
        advice: What helps if it has other channels.

    Raises:
        NetworkError: If the image has another number of axes or channels than the model takes, or
            no pixels.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise NetworkError(
            f"The model has {len(model.inputs)} inputs and {len(model.outputs)} outputs; whole "
            "images need one of each."
        )
    taken, made = model.input_shape, model.output_shape
    if len(taken) != len(made) or len(taken) not in _AXES:
        raise NetworkError(
            f"The model makes {made} from {taken}; whole images need (batch, rows, columns, "
            "channels), volumes (batch, slices, rows, columns, channels), on both sides."
        )
    if len(shape) != len(taken) - 1 or taken[-1] not in (None, shape[-1]):
        raise NetworkError(
            f"The model takes {taken[-1]} channels, shape ({_AXES[len(taken)]}, {taken[-1]}); "
            f"received shape {shape}. {advice}"
        )
    if 0 in shape:
        raise NetworkError(
            f"an image of shape {tuple(shape)} has no pixels; expected some along each axis."
        )


def _padded(image: Image, tile: Size) -> Image:
    missing = [(0, -size % side) for size, side in zip(image.shape, tile, strict=False)]
    return np.pad(image, (*missing, (0, 0)), mode="edge") if np.any(missing) else image


def _predict(engine: Engine, image: Image) -> Prediction:
    batch: Any = np.ascontiguousarray(image, dtype=np.float32)[None]
    made = np.asarray(engine(batch)[0], np.float32)
    if made.shape[:-1] != image.shape[:-1]:
        raise NetworkError(
            f"The model makes {_size(made)} pixels of {_size(image)}; whole images need one "
            "output for each pixel. Pad with `same` in its convolutions."
        )
    return made


def _size(image: Image) -> str:
    return "x".join(map(str, image.shape[:-1]))

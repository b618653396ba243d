"""Small pictures of arrays as PNG: images, classes, values and errors."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from PIL import Image

from normwise.report.preview import Meaning, class_colour, stretched

Pixels = npt.NDArray[Any]

_NO_LABEL = (1.0, 1.0, 1.0)
_WRONG = ("#efefec", "#c1272d")


def image_png(image: Pixels) -> bytes:
    """The first three channels, or the first in grey, stretched.

    Args:
        image: Raw pixel values, shape (rows, columns, channels).
    """
    shown = stretched(image)
    return _png(shown if shown.ndim == 3 else np.repeat(shown[..., None], 3, -1))


def classes_png(classes: Pixels, valid: Pixels, meaning: Meaning) -> bytes:
    """Class ids in the colours of the classes; white where there is no label."""
    colours = np.array([to_rgb(class_colour(meaning, k)) for k in range(len(meaning.classes))])
    return _png(np.where(valid[..., None], colours[classes], _NO_LABEL))


def wrong_png(truth: Pixels, predicted: Pixels, valid: Pixels) -> bytes:
    """Wrong pixels in red."""
    colours = np.array([to_rgb(colour) for colour in _WRONG])
    return _png(np.where(valid[..., None], colours[(truth != predicted).astype(int)], _NO_LABEL))


def values_png(values: Pixels, valid: Pixels, low: float, high: float) -> bytes:
    """Values from `low` to `high`, dark to bright."""
    return _png(_mapped(values, valid, low, high, "viridis"))


def error_png(error: Pixels, valid: Pixels, reach: float) -> bytes:
    """Errors from `-reach` (blue) through 0 (white) to `reach` (red)."""
    return _png(_mapped(error, valid, -reach, reach, "RdBu_r"))


def _mapped(values: Pixels, valid: Pixels, low: float, high: float, name: str) -> Pixels:
    shares = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    shown: Pixels = np.where(valid[..., None], colormaps[name](shares)[..., :3], _NO_LABEL)
    return shown


def _png(colours: Pixels) -> bytes:
    data = io.BytesIO()
    bytes_ = np.round(np.nan_to_num(colours) * 255).clip(0, 255).astype(np.uint8)
    Image.fromarray(bytes_, "RGB").save(data, "PNG", optimize=True)
    return data.getvalue()

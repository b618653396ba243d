"""Example predictions as rows of small pictures: input, truth, predictions and errors."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from normwise.report.page.facts import Row, Tile
from normwise.report.page.pictures import (
    classes_png,
    error_png,
    image_png,
    values_png,
    wrong_png,
)
from normwise.report.preview import Meaning

Array = npt.NDArray[Any]

SHOWN: Final = 256
"""Pixels along a side of a picture, at the most."""


@dataclass(frozen=True)
class Example:
    """One image with its truth and what is predicted; of a volume the middle slice.

    Attributes:
        name: The image's name.
        image: Raw pixel values, shape (rows, columns, channels).
        truth: Class ids or values of the first target, shape (rows, columns).
        valid: False where there is no label, likewise.
        predicted: By the name of who predicts, likewise; empty for a single one.
    """

    name: str
    image: Array
    truth: Array
    valid: Array
    predicted: Mapping[str, Array]


def middle(part: Array) -> Array:
    """The middle of a large image; shape (rows, columns, ...)."""
    top, left = (max(0, (size - SHOWN) // 2) for size in part.shape[:2])
    return np.asarray(part[top : top + SHOWN, left : left + SHOWN])


def example_row(example: Example, meaning: Meaning) -> Row:
    """One image: input, truth, and each prediction and its errors.

    Args:
        example: The image and what is predicted.
        meaning: What its values mean.

    Returns:
        What the row shows, and its pictures.
    """
    tiles = _classes if meaning.classes else _values
    title = f"{example.name}: {', '.join(meaning.classes) or meaning.quantity}"
    note = f"{meaning.image}"[:60]
    first = Tile("input", image_png(example.image), note)
    return title, (first, *tiles(example, meaning))


def _classes(example: Example, meaning: Meaning) -> Iterator[Tile]:
    truth, valid = example.truth, example.valid
    yield Tile("truth", classes_png(truth, valid, meaning))
    for name, predicted in example.predicted.items():
        yield Tile(_of(name, "prediction"), classes_png(predicted, valid, meaning))
        wrong = (truth != predicted)[valid]
        share = f"{wrong.mean():.1%} wrong" if wrong.size else ""
        yield Tile(_of(name, "errors"), wrong_png(truth, predicted, valid), share)


def _values(example: Example, meaning: Meaning) -> Iterator[Tile]:
    truth, valid = example.truth, example.valid
    if not valid.any():
        return
    low, high = (float(value) for value in np.percentile(truth[valid], (1, 99)))
    errors = {name: predicted - truth for name, predicted in example.predicted.items()}
    reach = max(float(np.percentile(np.abs(error[valid]), 99)) for error in errors.values())
    yield Tile("truth", values_png(truth, valid, low, high), f"{low:.3g} to {high:.3g}")
    for name, predicted in example.predicted.items():
        yield Tile(_of(name, "prediction"), values_png(predicted, valid, low, high))
        root = float(np.sqrt(np.mean(np.square(errors[name][valid], dtype=np.float64))))
        shown = error_png(errors[name], valid, reach)
        yield Tile(_of(name, "errors"), shown, f"RMSE {root:.3g}; red: too high")


def _of(name: str, what: str) -> str:
    return f"{name}: {what}" if name else what

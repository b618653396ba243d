"""Example predictions of a comparison as rows of small pictures."""

from collections.abc import Iterator, Mapping

import numpy as np

from normwise.report.compared.facts import Tile
from normwise.report.compared.pictures import (
    classes_png,
    error_png,
    image_png,
    values_png,
    wrong_png,
)
from normwise.report.preview import Meaning
from normwise.workflows.compare_examples import Example


def example_rows(
    example: Example, meaning: Meaning, letters: Mapping[str, str]
) -> tuple[str, tuple[Tile, ...]]:
    """One image: input, truth, and each variant's prediction and errors.

    Args:
        example: The image and what the variants predict.
        meaning: What its values mean.
        letters: By the variant's name.

    Returns:
        What the row shows, and its pictures.
    """
    tiles = _classes if meaning.classes else _values
    title = f"{example.name}: {', '.join(meaning.classes) or meaning.quantity}"
    note = f"{meaning.image}"[:60]
    first = Tile("input", image_png(example.image), note)
    return title, (first, *tiles(example, meaning, letters))


def _classes(example: Example, meaning: Meaning, letters: Mapping[str, str]) -> Iterator[Tile]:
    truth, valid = example.truth, example.valid
    yield Tile("truth", classes_png(truth, valid, meaning))
    for name, predicted in example.predicted.items():
        yield Tile(f"{letters[name]}: prediction", classes_png(predicted, valid, meaning))
        wrong = (truth != predicted)[valid]
        share = f"{wrong.mean():.1%} wrong" if wrong.size else ""
        yield Tile(f"{letters[name]}: errors", wrong_png(truth, predicted, valid), share)


def _values(example: Example, meaning: Meaning, letters: Mapping[str, str]) -> Iterator[Tile]:
    truth, valid = example.truth, example.valid
    if not valid.any():
        return
    low, high = (float(value) for value in np.percentile(truth[valid], (1, 99)))
    errors = {name: predicted - truth for name, predicted in example.predicted.items()}
    reach = max(float(np.percentile(np.abs(error[valid]), 99)) for error in errors.values())
    yield Tile("truth", values_png(truth, valid, low, high), f"{low:.3g} to {high:.3g}")
    for name, predicted in example.predicted.items():
        yield Tile(f"{letters[name]}: prediction", values_png(predicted, valid, low, high))
        root = float(np.sqrt(np.mean(np.square(errors[name][valid], dtype=np.float64))))
        shown = error_png(errors[name], valid, reach)
        yield Tile(f"{letters[name]}: errors", shown, f"RMSE {root:.3g}; red: too high")

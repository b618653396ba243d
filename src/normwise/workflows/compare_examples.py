"""What each variant makes of one image that it hasn't trained on."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from normwise.comparison.running import split_of
from normwise.data.dataset import Dataset
from normwise.data.reading import read_record
from normwise.report.page.examples import Example, middle
from normwise.report.preview import Meaning, Panel
from normwise.training.distribution import Distribution
from normwise.training.evaluate import evaluate, output_of
from normwise.training.output import Output
from normwise.training.pictures import meaning_of
from normwise.training.preparing import opened
from normwise.training.recipe import load_recipe
from normwise.training.run_files import MODEL, RECIPE
from normwise.training.seen import SeenImages

IMAGES: Final = 2

log = logging.getLogger("normwise.comparison")


def examples_of(folders: Mapping[str, Path]) -> tuple[tuple[Example, ...], Meaning | None]:
    """Predicts the first images that the metric was measured on, or the middle of large ones.

    Variants that were measured on other images than the first, or predict something else, are
    left out, and a warning names them.

    Args:
        folders: A run folder for each variant's name.

    Returns:
        The examples, and what their values mean; nothing where no variant has a model.
    """
    found: dict[str, list[Panel]] = {}
    shown: Meaning | None = None
    compared: Any = None
    for name, folder in folders.items():
        recipe = load_recipe(folder / RECIPE)
        dataset = opened(recipe)
        split = split_of(recipe, dataset)
        model = keras.saving.load_model(folder / MODEL, compile=False, safe_mode=True)
        distribution = Distribution.of_layers(layer.name for layer in model.layers)
        output = output_of(dataset, distribution)
        meaning = meaning_of(dataset, output)
        own = _compared(dataset, split, meaning)
        shown, compared = shown or meaning, compared or own
        if own == compared:
            found[name] = _panels(model, folder, dataset, split, output)
        else:
            log.warning("%s: no example predictions, for it was measured on other data", name)
    return tuple(_examples(found)), shown


def _compared(dataset: Dataset, split: str, meaning: Meaning) -> tuple[object, ...]:
    """What predictions must have in common to stand in one row; bands may differ."""
    items = dataset.split(split)[:IMAGES]
    places = [(item.name, item.origin, item.shape) for item in items]
    return places, meaning.classes, meaning.quantity


def _panels(
    model: keras.Model, folder: Path, dataset: Dataset, split: str, output: Output
) -> list[Panel]:
    """The first images with what is predicted of them."""
    record, seen = read_record(folder), SeenImages(output, ())
    first = replace(dataset, items=dataset.split(split)[:IMAGES])
    evaluate(model, first, split, [record.fill if record else None], seen=seen)
    return seen.panels


def _examples(found: Mapping[str, list[Panel]]) -> Iterator[Example]:
    for same in zip(*found.values(), strict=True):
        # Where bands differ, so may the pixels that were measured in them.
        valid = middle(np.logical_and.reduce([panel.valid for panel in same]))
        image, truth = (middle(part) for part in (same[0].image, same[0].truth))
        predicted = {
            variant: middle(panel.predicted) for variant, panel in zip(found, same, strict=True)
        }
        yield Example(same[0].name, image, truth, valid, predicted)

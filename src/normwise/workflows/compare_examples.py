"""What each variant makes of one image that it hasn't trained on."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import keras
import numpy.typing as npt

from normwise.comparison.running import split_of
from normwise.data.dataset import Dataset
from normwise.data.reading import read_record
from normwise.inference.whole import predict_whole
from normwise.report.page.examples import Example, middle
from normwise.report.preview import Meaning
from normwise.training.distribution import Distribution
from normwise.training.evaluate import input_mean, output_of
from normwise.training.output import predicted_classes
from normwise.training.pictures import meaning_of
from normwise.training.preparing import opened
from normwise.training.recipe import Recipe
from normwise.training.scaling import scaling_of_model
from normwise.training.whole_items import whole_items

Array = npt.NDArray[Any]
_Row = tuple[str, Array, Array, Array, Array]

IMAGES: Final = 2


def examples_of(
    recipe: Recipe, folders: Mapping[str, Path]
) -> tuple[tuple[Example, ...], Meaning | None]:
    """Predicts the first images that the metric was measured on, or the middle of large ones.

    Args:
        recipe: Any trial's resolved recipe.
        folders: A run folder for each variant's name.

    Returns:
        The examples, and what their values mean; nothing where no variant has a model.
    """
    if not folders:
        return (), None
    dataset = opened(recipe)
    split = split_of(recipe, dataset)
    found: dict[str, list[_Row]] = {}
    meaning = None
    for name, folder in folders.items():
        model = keras.saving.load_model(folder / "model.keras", compile=False, safe_mode=True)
        distribution = Distribution.of_layers(layer.name for layer in model.layers)
        meaning = meaning or meaning_of(dataset, output_of(dataset, distribution))
        found[name] = list(_rows(model, folder, dataset, split, distribution))
    return tuple(_examples(found)), meaning


def _rows(
    model: keras.Model, folder: Path, dataset: Dataset, split: str, distribution: Distribution
) -> Iterator[_Row]:
    """Name, image, truth, valid pixels and prediction of the first images."""
    record = read_record(folder)
    fill = (record.fill if record else None) or input_mean(model)
    own = replace(dataset, scaling=scaling_of_model(model))
    for item, image, truth, weight in islice(whole_items(own, split, fill), IMAGES):
        predicted = predict_whole(model, image)
        if dataset.task == "segmentation":
            drawn = (image, truth, weight > 0, predicted_classes(predicted))
        else:
            point = distribution.point(predicted)[..., 0]
            drawn = (image, truth[..., 0], weight[..., 0] > 0, point)
        first, second, third, fourth = (middle(part, item.depth) for part in drawn)
        yield item.name, first, second, third, fourth


def _examples(found: Mapping[str, list[_Row]]) -> list[Example]:
    made = []
    for same in zip(*found.values(), strict=True):
        name, image, truth, valid, _ = same[0]
        predicted = {variant: row[4] for variant, row in zip(found, same, strict=True)}
        made.append(Example(name, image, truth, valid, predicted))
    return made

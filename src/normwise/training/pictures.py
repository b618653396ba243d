"""The pictures of a run: its curves, and a preview of what the model predicts."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import keras

from normwise.data.dataset import Dataset
from normwise.files import whole_file
from normwise.inference.whole import predict_whole
from normwise.report.curves import draw_curves
from normwise.report.preview import Meaning, Panel, draw_preview
from normwise.report.rates import draw_rates
from normwise.training.output import Output, predicted_classes
from normwise.training.rate_finder import RateCurve
from normwise.training.recipe import Recipe
from normwise.training.standing import Standing
from normwise.training.whole_items import whole_items

_IMAGES: Final = 4
_IN_UNITS: Final = frozenset({"mae", "rmse", "pinball"})


def draw_run(
    model: keras.Model,
    recipe: Recipe,
    dataset: Dataset,
    output: Output,
    standing: Standing,
    folder: Path,
    fill: Sequence[float],
) -> None:
    """Draws `curves.png` and `preview.png` into a run folder.

    Args:
        model: The finished model.
        recipe: The resolved recipe.
        dataset: Its data; the preview shows validation images.
        output: What the model's output means.
        standing: How the run ended.
        folder: The run folder.
        fill: For each channel, what stands where nothing was measured.
    """
    metric = str(recipe.training.metric)
    unit = "target units" if metric in _IN_UNITS else ""
    with whole_file(folder / "curves.png") as path:
        draw_curves(
            path,
            standing.history,
            metric,
            standing.best_epoch,
            loss=str(recipe.training.loss),
            unit=unit,
        )
    with whole_file(folder / "preview.png") as path:
        panels = list(islice(_panels(model, dataset, output, fill), _IMAGES))
        draw_preview(path, panels, meaning_of(dataset, output))


def draw_curve(curve: RateCurve, path: Path) -> None:
    """Draws a learning-rate trial, whole or not at all."""
    with whole_file(path) as temporary:
        numbers = (curve.rates.tolist(), curve.losses.tolist(), curve.smoothed.tolist())
        draw_rates(temporary, *numbers, curve.suggestion)


def _panels(
    model: keras.Model, dataset: Dataset, output: Output, fill: Sequence[float]
) -> Iterator[Panel]:
    """The validation images, of volumes the middle slice.

    Of several target channels the first is shown, of a distribution its middle.
    """
    for item, image, truth, weight in whole_items(dataset, "val", fill):
        predicted = predict_whole(model, image)
        if dataset.task == "segmentation":
            drawn = (image, truth, predicted_classes(predicted), weight > 0)
        else:
            values = output.distribution.point(predicted)[..., 0]
            drawn = (image, truth[..., 0], values, weight[..., 0] > 0)
        if item.depth is None:
            yield Panel(item.name, *drawn)
        else:
            middle = item.depth // 2
            yield Panel(f"{item.name}, slice {middle}", *(array[middle] for array in drawn))


def meaning_of(dataset: Dataset, output: Output) -> Meaning:
    """What the pictures of a data set show."""
    shown = 3 if dataset.channels >= 3 else 1
    image = ", ".join(dataset.bands[:shown])
    if dataset.task == "segmentation":
        return Meaning(classes=output.names, colours=dataset.colours, image=image)
    return Meaning(quantity=f"{output.names[0]} (target units)", image=image)

"""The pictures of a run: its curves, and a preview of what the model predicts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from normwise.data.dataset import Dataset
from normwise.files import whole_file
from normwise.report.curves import draw_curves
from normwise.report.preview import Meaning, Panel, draw_preview
from normwise.report.rates import draw_rates
from normwise.training.output import Output
from normwise.training.rate_finder import RateCurve
from normwise.training.recipe import Recipe
from normwise.training.run_files import CURVES, PREVIEW
from normwise.training.standing import Standing

IN_UNITS: Final = frozenset({"mae", "rmse", "pinball"})
"""Metrics that are in the target's units."""


def draw_run(
    panels: Sequence[Panel], meaning: Meaning, recipe: Recipe, standing: Standing, folder: Path
) -> None:
    """Draws `curves.png` and `preview.png` into a run folder.

    Args:
        panels: Validation images with what the model predicts.
        meaning: What they show.
        recipe: The resolved recipe.
        standing: How the run ended.
        folder: The run folder.
    """
    metric = str(recipe.training.metric)
    unit = "target units" if metric in IN_UNITS else ""
    with whole_file(folder / CURVES) as path:
        draw_curves(
            path,
            standing.history,
            metric,
            standing.best_epoch if recipe.training.keep == "best" else 0,
            loss=str(recipe.training.loss),
            unit=unit,
        )
    with whole_file(folder / PREVIEW) as path:
        draw_preview(path, panels, meaning)


def draw_curve(curve: RateCurve, path: Path) -> None:
    """Draws a learning-rate trial, whole or not at all."""
    with whole_file(path) as temporary:
        numbers = (curve.rates.tolist(), curve.losses.tolist(), curve.smoothed.tolist())
        draw_rates(temporary, *numbers, curve.suggestion)


def meaning_of(dataset: Dataset, output: Output) -> Meaning:
    """What the pictures of a data set show."""
    shown = 3 if dataset.channels >= 3 else 1
    image = ", ".join(dataset.bands[:shown])
    if dataset.task == "segmentation":
        return Meaning(classes=output.names, colours=dataset.colours, image=image)
    return Meaning(quantity=f"{output.names[0]} (target units)", image=image)

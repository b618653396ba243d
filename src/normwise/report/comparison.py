"""One image with its truth and what several models make of it, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        image: Raw input, shape (rows, columns, channels).
        bands: Names of its channels.
        truth: Shape (rows, columns).
        predictions: By name, each of the shape of `truth`.
        quantity: What the values are.
    """

    image: Array
    bands: Sequence[str]
    truth: Array
    predictions: Mapping[str, Array]
    quantity: str


def draw_comparison(path: Path, shown: Comparison) -> None:
    """Draws the input channels, the truth, each prediction and its error as PNG.

    Truth and predictions share one scale (1st to 99.5th percentile of the truth), the errors
    another that is symmetric around 0.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - slow to load
    from matplotlib.figure import Figure  # noqa: PLC0415

    count, rows, columns = shown.image.shape[-1], *shown.image.shape[:2]
    panels = 1 + 2 * len(shown.predictions)
    width = max(1.25 * count, 2.0 * panels)
    heights = [width / cells * rows / columns + 0.6 for cells in (count, panels)]
    figure = Figure(figsize=(width, sum(heights) + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    parts: Any = figure.subfigures(2, 1, height_ratios=[heights[0], heights[1] + 0.5])
    _draw_inputs(parts[0], shown)
    _draw_results(parts[1], shown)
    figure.savefig(path, dpi=100)


def _draw_inputs(figure: Any, shown: Comparison) -> None:
    axes = np.atleast_1d(figure.subplots(1, shown.image.shape[-1]))
    for index, panel in enumerate(axes):
        channel = shown.image[..., index]
        low, high = np.percentile(channel, (1, 99))
        panel.imshow(channel, cmap="gray", vmin=low, vmax=high)
        name = shown.bands[index] if index < len(shown.bands) else f"channel {index}"
        panel.set_title(name, fontsize=9)
        panel.set_axis_off()
    figure.suptitle(f"Input: {shown.image.shape[-1]} channels", fontsize=11, x=0.01, ha="left")


def _draw_results(figure: Any, shown: Comparison) -> None:
    count = len(shown.predictions)
    values, errors = figure.subfigures(1, 2, width_ratios=[1 + count, count])
    truth = shown.truth.astype("float64")
    scale = dict(zip(("vmin", "vmax"), np.percentile(truth, (1, 99.5)), strict=True))
    axes = np.atleast_1d(values.subplots(1, 1 + count))
    drawn = _panel(axes[0], truth, f"truth: {shown.quantity}", cmap="magma", **scale)
    for axis, (name, value) in zip(axes[1:], shown.predictions.items(), strict=True):
        r = float(np.corrcoef(value.ravel(), truth.ravel())[0, 1])
        _panel(axis, value, f"{name.replace('-', ' ')}\nr = {r:.3f}", cmap="magma", **scale)
    values.colorbar(drawn, ax=list(axes), location="bottom", aspect=40, label=shown.quantity)
    _draw_errors(errors, shown, truth)


def _draw_errors(figure: Any, shown: Comparison, truth: Array) -> None:
    errors = {name: value - truth for name, value in shown.predictions.items()}
    reach = max(float(np.percentile(np.abs(error), 99)) for error in errors.values())
    axes = np.atleast_1d(figure.subplots(1, len(errors)))
    for axis, (name, error) in zip(axes, errors.items(), strict=True):
        title = f"{name.replace('-', ' ')}\nerror"
        drawn = _panel(axis, error, title, cmap="RdBu_r", vmin=-reach, vmax=reach)
    figure.colorbar(drawn, ax=list(axes), location="bottom", aspect=30, label="prediction - truth")


def _panel(axis: Any, values: Array, title: str, **drawing: Any) -> Any:
    axis.set_title(title, fontsize=10)
    axis.set_axis_off()
    return axis.imshow(values, interpolation="nearest", **drawing)

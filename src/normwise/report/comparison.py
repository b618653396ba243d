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
    height = 3.3 * rows / columns
    figure = Figure(figsize=(2.1 * max(count / 1.6, panels) + 1, height), layout="constrained")
    FigureCanvasAgg(figure)
    parts: Any = figure.subfigures(2, 1, height_ratios=[panels / count + 0.12, 1])
    inputs, results = parts
    _draw_inputs(inputs, shown)
    _draw_results(results, shown, panels)
    figure.savefig(path, dpi=110)


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


def _draw_results(figure: Any, shown: Comparison, panels: int) -> None:
    axes = figure.subplots(1, panels)
    truth = shown.truth.astype("float64")
    low, high = np.percentile(truth, (1, 99.5))
    errors = {name: value - truth for name, value in shown.predictions.items()}
    reach = max(float(np.percentile(np.abs(e), 99)) for e in errors.values())
    drawn = axes[0].imshow(truth, cmap="magma", vmin=low, vmax=high)
    axes[0].set_title(f"Truth: {shown.quantity}", fontsize=10)
    for position, (name, value) in enumerate(shown.predictions.items()):
        first, second = axes[1 + 2 * position], axes[2 + 2 * position]
        drawn = first.imshow(value, cmap="magma", vmin=low, vmax=high)
        r = float(np.corrcoef(value.ravel(), truth.ravel())[0, 1])
        first.set_title(f"{name.replace('-', ' ')}: r = {r:.3f}", fontsize=10)
        off = second.imshow(errors[name], cmap="RdBu_r", vmin=-reach, vmax=reach)
        second.set_title(f"{name.replace('-', ' ')}: error", fontsize=10)
    for panel in axes:
        panel.set_axis_off()
    values, differences = [axes[0], *axes[1::2]], list(axes[2::2])
    figure.colorbar(drawn, ax=values, location="bottom", aspect=40, pad=0.02, label=shown.quantity)
    figure.colorbar(
        off, ax=differences, location="bottom", aspect=40, pad=0.02, label="prediction - truth"
    )

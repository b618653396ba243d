"""A few images beside their truth, their prediction and where the two differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from normwise.report.class_colours import CLASS_COLOURS

Pixels = npt.NDArray[Any]

_WRONG: Final = ("#f2f2f2", "#c1272d")
_IGNORED: Final = "#ffffff"
# In characters: what fits above one picture.
_LONGEST: Final = 42


@dataclass(frozen=True)
class Panel:
    """One image with its truth and its prediction.

    Args:
        name: The name of the image.
        image: Raw pixel values, shape (rows, columns, channels).
        truth: Class ids or values, shape (rows, columns).
        predicted: The shape of `truth`.
        valid: False where there is no label; the shape of `truth`.
    """

    name: str
    image: Pixels
    truth: Pixels
    predicted: Pixels
    valid: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Meaning:
    """What truth and prediction mean.

    Args:
        classes: Names of the classes; empty for values.
        colours: A colour for each class; empty for colours of our own.
        quantity: What the values are and their unit, such as `depth (m)`.
        image: How the image is shown, such as `red, green, blue`.
    """

    classes: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    quantity: str = "value"
    image: str = ""


def draw_preview(path: Path, panels: Sequence[Panel], meaning: Meaning) -> None:
    """Draws input, truth, prediction and error of each panel into a PNG, one row each.

    Args:
        path: The PNG file.
        panels: At least one; four are readable.
        meaning: What the values mean.
    """
    figure = Figure(figsize=(11.5, 2.75 * len(panels) + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(len(panels), 4, squeeze=False)
    for axes, panel in zip(rows, panels, strict=True):
        axes[0].imshow(stretched(panel.image), cmap="gray", interpolation="nearest")
        axes[0].set_ylabel(panel.name, fontsize=9)
        _draw_classes(axes, panel, meaning) if meaning.classes else _draw_values(
            figure, axes, panel, meaning
        )
    input_title = f"input\n{_short(meaning.image)}" if meaning.image else "input"
    error = "wrong pixels" if meaning.classes else "prediction - truth"
    for axes, title in zip(rows[0], (input_title, "truth", "prediction", error), strict=True):
        axes.set_title(title, fontsize=10)
    for axes in rows.ravel():
        axes.set(xticks=[], yticks=[])
    if meaning.classes:
        draw_legend(figure, meaning)
    figure.savefig(path, dpi=110)


def stretched(image: Pixels) -> Pixels:
    """The first three channels, or the first, from their 2nd to their 98th percentile in 0..1."""
    shown = np.asarray(image[..., : 3 if image.shape[-1] >= 3 else 1], np.float32)
    low, high = np.nanpercentile(shown, [2, 98], axis=(0, 1))
    scaled: Pixels = np.nan_to_num((shown - low) / np.maximum(high - low, 1e-12)).clip(0, 1)
    return scaled if scaled.shape[-1] == 3 else scaled[..., 0]


def _draw_classes(axes: Any, panel: Panel, meaning: Meaning) -> None:
    colours = ListedColormap(
        [class_colour(meaning, index) for index in range(len(meaning.classes))]
    )
    norm = BoundaryNorm(np.arange(len(meaning.classes) + 1) - 0.5, colours.N)
    for place, values in ((axes[1], panel.truth), (axes[2], panel.predicted)):
        shown = np.ma.masked_where(~panel.valid, values)
        place.imshow(shown, cmap=colours, norm=norm, interpolation="nearest")
    wrong = np.ma.masked_where(~panel.valid, panel.truth != panel.predicted)
    axes[3].imshow(wrong, cmap=ListedColormap(_WRONG), vmin=0, vmax=1, interpolation="nearest")
    share = wrong.mean() if wrong.count() else float("nan")
    axes[3].set_xlabel(f"{share:.1%} wrong", fontsize=9)


def _draw_values(figure: Figure, axes: Any, panel: Panel, meaning: Meaning) -> None:
    truth = np.ma.masked_where(~panel.valid, panel.truth)
    error = np.ma.masked_where(~panel.valid, panel.predicted - panel.truth)
    filled = truth.compressed() if truth.count() else np.zeros(1)
    low, high = np.percentile(filled, [1, 99])
    for place, values in ((axes[1], truth), (axes[2], panel.predicted)):
        shown = place.imshow(values, vmin=low, vmax=high, interpolation="nearest")
    figure.colorbar(shown, ax=axes[2], shrink=0.85, label=meaning.quantity)
    reach = np.percentile(np.abs(error.compressed()), 99) if error.count() else 1.0
    shown = axes[3].imshow(error, cmap="RdBu_r", vmin=-reach, vmax=reach, interpolation="nearest")
    figure.colorbar(shown, ax=axes[3], shrink=0.85, label=f"error of {meaning.quantity}")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def class_colour(meaning: Meaning, index: int) -> str:
    """The colour of a class: its own, or one of ours."""
    given = meaning.colours or CLASS_COLOURS
    return given[index % len(given)]


def draw_legend(figure: Figure, meaning: Meaning, wrong: bool = True) -> None:
    """Names of the classes below all pictures, with what wrong pixels and no label look like."""
    colours = [class_colour(meaning, index) for index in range(len(meaning.classes))]
    named = [*zip(meaning.classes, colours, strict=True)]
    named += [("wrong", _WRONG[1])] if wrong else []
    patches = [
        Patch(facecolor=colour, edgecolor="#888888", label=name)
        for name, colour in [*named, ("no label", _IGNORED)]
    ]
    figure.legend(
        handles=patches, loc="outside lower center", ncols=min(len(patches), 7), frameon=False
    )

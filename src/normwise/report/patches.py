"""A sheet of training patches: as they are cut, and as the network sees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure

from normwise.report.preview import Meaning, class_colour, draw_legend

Pixels = npt.NDArray[Any]

_SHOWN: Final = 2.5
"""Scaled values between minus and plus this many standard deviations are told apart."""
_OVERLAY: Final = 0.45
_TITLES: Final = ("as cut", "label", "varied", "label of it", "as the network sees it")


@dataclass(frozen=True)
class PatchPanel:
    """One patch before and after it is varied and scaled.

    Args:
        name: Its image and place.
        before: Raw values, shape (rows, columns, channels).
        before_label: Class ids or values, shape (rows, columns).
        before_valid: False where there is no label; the shape of `before_label`.
        after: Raw values of the varied patch, shaped as `before`.
        after_label: Its label.
        after_valid: Where that counts.
        scaled: What the first learned layer reads: `after` with mean 0 and variance 1.
    """

    name: str
    before: Pixels
    before_label: Pixels
    before_valid: npt.NDArray[np.bool_]
    after: Pixels
    after_label: Pixels
    after_valid: npt.NDArray[np.bool_]
    scaled: Pixels


def draw_patches(path: Path, panels: Sequence[PatchPanel], meaning: Meaning) -> None:
    """Draws a PNG with a row for each patch.

    The patch as cut and as varied are each shown from their 2nd to their 98th percentile, so that
    shapes can be seen; the last column shows the scaled values from -2.5 to 2.5, alike for all, so
    that changes of intensity can be. Classes lie over the patch, and what doesn't count is white.

    Args:
        path: The PNG file.
        panels: At least one; six are readable.
        meaning: What the labels mean, and in `image` how the patches are shown.
    """
    figure = Figure(figsize=(12.5, 2.6 * len(panels) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(len(panels), len(_TITLES), squeeze=False)
    labels = _label_range(panels)
    shown: Any = None
    for axes, panel in zip(rows, panels, strict=True):
        pictures = [_shown(values, *_range(values)) for values in (panel.before, panel.after)]
        axes[0].imshow(pictures[0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes[2].imshow(pictures[1], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes[0].set_ylabel(panel.name, fontsize=8)
        sides = (
            (axes[1], pictures[0], panel.before_label, panel.before_valid),
            (axes[3], pictures[1], panel.after_label, panel.after_valid),
        )
        for place, picture, label, valid in sides:
            shown = _draw_label(place, picture, label, valid, meaning, labels)
        scaled = _shown(panel.scaled, -_SHOWN, _SHOWN)
        axes[4].imshow(scaled, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    for axes, title in zip(rows[0], _TITLES, strict=True):
        axes.set_title(title, fontsize=10)
    for axes in rows.ravel():
        axes.set(xticks=[], yticks=[])
    if meaning.classes:
        draw_legend(figure, meaning, wrong=False)
    else:
        figure.colorbar(shown, ax=rows[:, -1].tolist(), shrink=0.6, label=meaning.quantity)
    if meaning.image:
        figure.suptitle(f"{meaning.image}; last column from -{_SHOWN:g} to {_SHOWN:g}", fontsize=9)
    figure.savefig(path, dpi=100)


def _channels(image: Pixels) -> Pixels:
    """The first three channels, or the first."""
    return np.asarray(image[..., : 3 if image.shape[-1] >= 3 else 1], np.float32)


def _range(image: Pixels) -> tuple[Pixels, Pixels]:
    low, high = np.nanpercentile(_channels(image), [2, 98], axis=(0, 1))
    return low, high


def _shown(image: Pixels, low: Any, high: Any) -> Pixels:
    width = np.maximum(high - low, 1e-12)
    values: Pixels = np.nan_to_num((_channels(image) - low) / width).clip(0, 1)
    return values if values.shape[-1] == 3 else values[..., 0]


def _label_range(panels: Sequence[PatchPanel]) -> tuple[float, float]:
    parts = [panel.before_label[panel.before_valid] for panel in panels]
    values = np.concatenate([part.ravel() for part in parts])
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, [1, 99])
    return float(low), float(high)


def _draw_label(
    axes: Any,
    picture: Pixels,
    label: Pixels,
    valid: npt.NDArray[np.bool_],
    meaning: Meaning,
    limits: tuple[float, float],
) -> Any:
    masked = np.ma.masked_where(~valid, label)
    if not meaning.classes:
        return axes.imshow(masked, vmin=limits[0], vmax=limits[1], interpolation="nearest")
    axes.imshow(
        np.where(valid[..., None] if picture.ndim == 3 else valid, picture, 1),
        cmap="gray", vmin=0, vmax=1, interpolation="nearest",
    )  # fmt: skip
    colours = ListedColormap([class_colour(meaning, i) for i in range(len(meaning.classes))])
    norm = BoundaryNorm(np.arange(len(meaning.classes) + 1) - 0.5, colours.N)
    return axes.imshow(masked, cmap=colours, norm=norm, alpha=_OVERLAY, interpolation="nearest")

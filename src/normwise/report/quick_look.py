"""A prediction at a glance: the image with its classes laid over it, or beside the values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from normwise.report.preview import stretched

Pixels = npt.NDArray[Any]

_ALPHA: Final = 0.4
_PANEL: Final = 6.0
"""Inches along the longer side of a panel; 170 dots an inch show 1024 pixels one by one."""
_DPI: Final = 170
_IN_A_ROW: Final = 3
_EMPTY: Final = "#ffffff"
_BINARY: Final = 2


@dataclass(frozen=True)
class ClassPanel:
    """Class ids and what they mean.

    Args:
        ids: Shape (rows, columns).
        names: One for each class.
        colours: One for each class, such as `#0072b2`.
        nodata: The id of pixels without data.
        title: Above the panel.
    """

    ids: Pixels
    names: tuple[str, ...]
    colours: tuple[str, ...]
    nodata: int = 255
    title: str = "classes"


@dataclass(frozen=True)
class ValuePanel:
    """Predicted values.

    Args:
        values: Shape (rows, columns), NaN where there is no data.
        name: What they are.
    """

    values: Pixels
    name: str


Panel = ClassPanel | ValuePanel


def draw_quick_look(
    path: Path, image: Pixels, panels: Sequence[Panel], title: str, shown: str = ""
) -> None:
    """Draws an image and what was predicted for it, side by side, into a PNG.

    Of two classes only the second is laid over the image, of more all; borders between classes
    are drawn in the classes' colours.

    Args:
        path: The PNG file.
        image: Shape (rows, columns, channels), NaN where there is no data; the first three
            channels, or the first, are shown.
        panels: What was predicted, of the image's rows and columns.
        title: The name of the image.
        shown: Which channels of the image are shown.
    """
    count = 1 + len(panels)
    columns = min(count, _IN_A_ROW)
    rows = ceil(count / columns)
    figure = Figure(figsize=_size(image.shape, rows, columns), layout="constrained", dpi=_DPI)
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    picture = _picture(image)
    grid[0].imshow(picture, interpolation="nearest")
    grid[0].set_title(f"image ({shown})" if shown else "image", fontsize=10)
    for axes, panel in zip(grid[1:], panels, strict=False):
        if isinstance(panel, ClassPanel):
            _draw_classes(axes, picture, panel)
        else:
            _draw_values(figure, axes, panel)
    for axes in grid:
        axes.set(xticks=[], yticks=[])
    for axes in grid[count:]:
        axes.set_axis_off()
    figure.suptitle(title, fontsize=11)
    _legend(figure, panels)
    figure.savefig(path, dpi=_DPI, format="png")


def _size(shape: tuple[int, ...], rows: int, columns: int) -> tuple[float, float]:
    longer = max(shape[:2])
    height, width = (_PANEL * max(side / longer, 0.25) for side in shape[:2])
    return columns * (width + 0.5), rows * (height + 0.5) + 0.6


def _picture(image: Pixels) -> Pixels:
    """Red, green and blue from 0 to 1; white where there is no data."""
    empty: Pixels = np.all(np.isnan(image), axis=-1)
    if empty.all():
        return np.ones((*empty.shape, 3))
    found = stretched(image)
    coloured = found if found.ndim == 3 else np.repeat(found[..., None], 3, axis=-1)
    return np.where(empty[..., None], 1.0, coloured)


def _draw_classes(axes: Any, picture: Pixels, panel: ClassPanel) -> None:
    colours = np.array([to_rgb(colour) for colour in panel.colours])
    known = panel.ids != panel.nodata
    own = colours[np.where(known, panel.ids, 0)]
    filled = known & _is_laid_over(panel, panel.ids)
    blended = np.where(filled[..., None], (1 - _ALPHA) * picture + _ALPHA * own, picture)
    shown = np.where((filled & _borders(panel.ids))[..., None], own, blended)
    axes.imshow(np.where(known[..., None], shown, to_rgb(_EMPTY)), interpolation="nearest")
    axes.set_title(panel.title, fontsize=10)


def _is_laid_over(panel: ClassPanel, ids: Any) -> Any:
    """Which classes are coloured."""
    return (ids > 0) | (len(panel.names) != _BINARY)


def _borders(ids: Pixels) -> npt.NDArray[np.bool_]:
    """Pixels that have another class above, below, left or right."""
    found = np.zeros(ids.shape, bool)
    for axis in (0, 1):
        differs = np.diff(ids.astype(np.int16), axis=axis) != 0
        ends = [(0, 0), (0, 0)]
        ends[axis] = (0, 1)
        found |= np.pad(differs, ends)
        ends[axis] = (1, 0)
        found |= np.pad(differs, ends)
    return found


def _draw_values(figure: Figure, axes: Any, panel: ValuePanel) -> None:
    known = panel.values[np.isfinite(panel.values)]
    low, high = np.percentile(known, [1, 99]) if known.size else (0.0, 1.0)
    drawn = axes.imshow(panel.values, vmin=low, vmax=high, interpolation="nearest")
    axes.set_title(panel.name, fontsize=10)
    figure.colorbar(drawn, ax=axes, shrink=0.8)


def _legend(figure: Figure, panels: Sequence[Panel]) -> None:
    named = {
        (name, colour) if _is_laid_over(panel, number) else (f"{name} (not coloured)", "none"): None
        for panel in panels
        if isinstance(panel, ClassPanel)
        for number, (name, colour) in enumerate(zip(panel.names, panel.colours, strict=True))
    }
    if not named:
        return
    patches = [
        Patch(
            facecolor=colour,
            edgecolor="#888888",
            label=name,
            linestyle="--" if colour == "none" else "-",
        )
        for name, colour in named
    ]
    patches.append(Patch(facecolor=_EMPTY, edgecolor="#888888", label="no data"))
    figure.legend(
        handles=patches, loc="outside lower center", ncols=min(len(patches), 8), frameon=False
    )

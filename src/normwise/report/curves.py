"""The course of a training run, drawn from its history."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

TRAIN_COLOUR: Final = "#0072b2"
VALIDATION_COLOUR: Final = "#d55e00"
_GREY: Final = "#666666"


def draw_curves(
    path: Path,
    history: Sequence[Mapping[str, float]],
    metric: str,
    best_epoch: int,
    loss: str = "loss",
    unit: str = "",
) -> None:
    """Draws the losses and the deciding metric of each epoch into a PNG.

    Args:
        path: The PNG file.
        history: One row an epoch with `epoch`, `loss`, `val_loss` and `val_<metric>`.
        metric: The metric that decided; where it is no number in the best epoch, the loss did.
        best_epoch: Its best epoch, counted from 1, whose weights were kept; 0 marks none.
        loss: What the loss is called.
        unit: The unit of the metric, such as `m`; empty for none.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    losses, values = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in history]
    _line(losses, epochs, [row["loss"] for row in history], "training", TRAIN_COLOUR)
    _line(losses, epochs, [row["val_loss"] for row in history], "validation", VALIDATION_COLOUR)
    losses.legend(frameon=False)
    _label(losses, "Loss", loss)
    own = [row[f"val_{metric}"] for row in history]
    _line(values, epochs, own, "validation", VALIDATION_COLOUR)
    _label(values, "Validation metric", f"{metric} ({unit})" if unit else metric)
    if best_epoch and math.isfinite(own[best_epoch - 1]):
        _mark_best(values, best_epoch, own[best_epoch - 1])
    elif best_epoch:
        _mark_best(losses, best_epoch, history[best_epoch - 1]["val_loss"])
    figure.savefig(path, dpi=120)


def _line(axes: Any, epochs: list[float], values: list[float], name: str, colour: str) -> None:
    marker = "o" if len(epochs) < 40 else None
    axes.plot(epochs, values, color=colour, marker=marker, markersize=3, linewidth=1.5, label=name)


def _label(axes: Any, title: str, ylabel: str) -> None:
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_xlabel("epoch")
    axes.set_ylabel(ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _mark_best(axes: Any, epoch: int, value: float) -> None:
    axes.axvline(epoch, color=_GREY, linewidth=1, linestyle=":")
    axes.plot([epoch], [value], marker="o", markersize=7, color=VALIDATION_COLOUR)
    axes.text(
        0.98,
        0.04,
        f"best: {value:.4g} in epoch {epoch}",
        transform=axes.transAxes,
        ha="right",
        color=_GREY,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 2},
    )

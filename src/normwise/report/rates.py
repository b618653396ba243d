"""The curve of a learning-rate trial."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from normwise.report.curves import TRAIN_COLOUR, VALIDATION_COLOUR


def draw_rates(
    path: Path,
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    suggestion: float,
) -> None:
    """Draws the loss over the learning rate into a PNG.

    Args:
        path: The PNG file.
        rates: The learning rate of each step.
        losses: The loss of each step.
        smoothed: The same without the noise from batch to batch.
        suggestion: The rate that is marked.
    """
    figure = Figure(figsize=(7, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot(rates, losses, ".", color=TRAIN_COLOUR, alpha=0.35, label="each step")
    axes.plot(rates, smoothed, color=TRAIN_COLOUR, linewidth=1.8, label="smoothed")
    axes.axvline(
        suggestion, color=VALIDATION_COLOUR, linestyle="--", label=f"suggested: {suggestion:.2g}"
    )
    # The steps at which the loss blows up would flatten all that is of interest.
    low, first = min(smoothed), losses[0]
    axes.set_ylim(low - 0.15 * (first - low), first + 0.6 * (first - low))
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    axes.set_title("Learning-rate trial", fontsize=11, loc="left")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)

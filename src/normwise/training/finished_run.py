"""What a training hands back; this file imports no Keras."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from normwise.training.history import History
from normwise.training.metrics import Metrics
from normwise.training.run_files import MODEL

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Run:
    """A finished training run.

    Args:
        folder: Its folder.
        metrics: Of the kept epoch on the whole validation images, in the target's units.
        history: One row an epoch.
        best_epoch: The epoch whose weights were kept, counted from 1.
    """

    folder: Path
    metrics: Metrics
    history: History = field(repr=False)
    best_epoch: int

    @property
    def model(self) -> keras.Model:
        """The trained model, loaded anew: raw pixel values to probabilities or target units."""
        import keras  # noqa: PLC0415 - light start-up

        return keras.saving.load_model(self.folder / MODEL, compile=False, safe_mode=True)

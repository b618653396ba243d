"""An epoch with loading beside its steps alone: `python loading.py FOLDER`.

One run whose epochs take turns: in one the patches are cut from the files while it trains, as
`normwise train` does; in the next the same batches lie in memory before the clock starts. Prints
one JSON object: the median epoch of both in seconds, and the median ratio over the pairs with its
95 % bootstrap interval.
"""

import json
import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from pairs import paired_ratio

from normwise.memory import keep_freed_memory

STEPS, PAIRS, PATCH, BATCH = 6, 8, 256, 4


class InTurn:
    """Batches that are cut in even epochs, and lie ready in odd ones."""

    def __init__(self, cut: Any) -> None:
        self.cut, self.cuts = cut, True
        self.ready = [cut[step] for step in range(STEPS)]

    def __len__(self) -> int:
        return STEPS

    def set_epoch(self, epoch: int) -> None:
        """Whose turn it is."""
        self.cuts = epoch % 2 == 0
        self.cut.set_epoch(epoch)

    def __getitem__(self, step: int) -> tuple:
        return self.cut[step] if self.cuts else self.ready[step]


def seconds(folder: str) -> list[float]:
    """Seconds of the steps of each epoch, in turn, without the first pair, which compiles."""
    import normwise as nw
    from normwise.data import Augmentation, PatchBatches, open_dataset
    from normwise.training.fit import fit
    from normwise.training.recipe import Recipe

    model = nw.build("unet", (PATCH, PATCH, 9), 1)
    dataset = open_dataset(folder, read_pixels=False)
    fill, std = np.full(9, 5000.0), np.full(9, 2900.0)
    recipe = Recipe(
        data={"path": folder, "patch": PATCH},
        training={
            "epochs": 2 * (PAIRS + 1), "steps": STEPS, "batch_size": BATCH, "metric": "rmse",
            "loss": "mean-squared", "learning_rate": 1e-6,
        },
    )  # fmt: skip
    with PatchBatches(
        dataset, "train", (PATCH, PATCH), BATCH, fill=fill, std=std, steps=STEPS,
        augmentation=Augmentation(intensity=0.1),
    ) as cut, TemporaryDirectory() as run:  # fmt: skip
        measured = {"loss": 0.0, "rmse": 0.0}
        standing = fit(model, InTurn(cut), lambda m: measured, recipe, Path(run))
    return [STEPS * BATCH / row["patches_per_second"] for row in standing.history[2:]]


def summary(values: list[float]) -> dict[str, float]:
    """The median epoch of both, and their ratio pair by pair."""
    cut, ready = values[::2], values[1::2]
    medians = {"cut": statistics.median(cut), "ready": statistics.median(ready)}
    return {**medians, **paired_ratio(cut, ready)}


if __name__ == "__main__":
    keep_freed_memory()
    print(json.dumps(summary(seconds(sys.argv[1]))))

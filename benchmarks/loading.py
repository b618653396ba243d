"""Seconds of an epoch: `python loading.py FOLDER loaded|ready`.

`loaded` cuts every patch from the files while training, as `normwise train` does; `ready` has the
same batches in memory before the clock starts. Prints the median over the counted epochs.
"""

import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

STEPS, EPOCHS, PATCH = 8, 3, 256


class Ready:
    """The batches of one epoch, in memory."""

    def __init__(self, batches: list) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def set_epoch(self, epoch: int) -> None:
        """The same batches in each epoch."""

    def __getitem__(self, step: int) -> tuple:
        return self.batches[step]


def main(folder: str, how: str) -> float:
    """Trains the 32-filter U-Net for a few short epochs; seconds of the median epoch's steps."""
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
            "epochs": EPOCHS, "steps": STEPS, "loss": "mean-squared", "metric": "rmse",
            "learning_rate": 1e-6,
        },
    )  # fmt: skip
    with PatchBatches(
        dataset, "train", (PATCH, PATCH), 8, fill=fill, std=std, steps=STEPS,
        augmentation=Augmentation(intensity=0.1),
    ) as cut, TemporaryDirectory() as run:  # fmt: skip
        batches = cut if how == "loaded" else Ready([cut[step] for step in range(STEPS)])
        standing = fit(model, batches, lambda m: {"loss": 0.0, "rmse": 0.0}, recipe, Path(run))
    rows = standing.history[1:]
    return statistics.median(STEPS * 8 / row["patches_per_second"] for row in rows)


if __name__ == "__main__":
    print(main(*sys.argv[1:3]))

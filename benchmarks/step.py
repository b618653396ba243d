"""A training step through normwise beside a plain Keras script: `python step.py question|unet`.

All ways run in one process and take turns, a few steps each, so that a machine whose speed drifts
slows them alike: A B C, A C B, A B C, ... Prints one JSON object: for each way the median seconds
of a step, and the median ratio to plain Keras over the turns with its 95 % bootstrap interval.

The networks are the question's at 512x512x9, batch 8, and a 32-filter U-Net of depth 4 at
256x256x9, batch 4; float32, MSE, AdamW. normwise's way is `normwise.training.fit`, as `normwise
train` runs it. Freed memory is kept, as that command does; this holds for the whole process, so
for all ways alike.
"""

import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pairs import paired_ratio

from normwise.memory import keep_freed_memory

STEPS = 4
BATCHES, TURNS = {"question": 8, "unet": 4}, {"question": 30, "unet": 16}
SIZES = {"question": 512, "unet": 256}
PLANS = {"question": "batch@encoder:post-activation/raw-skip", "unet": "batch@pre-activation"}

Batch = tuple[np.ndarray, ...]


class Clock:
    """Seconds between the ends of the steps of one turn; the first, which starts a turn, apart."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.last = 0.0

    def tick(self, step: int) -> None:
        """A step has ended; steps count from 1."""
        now = time.perf_counter()
        if step > 1:
            self.steps.append(now - self.last)
        self.last = now

    def turn(self) -> float:
        """The median step of the turn that ends here."""
        median = statistics.median(self.steps)
        self.steps.clear()
        return median


class Watch:
    """Hears of normwise's steps, as the progress bar does."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def start(self, done: int, epochs: int, steps: int) -> None:
        """Nothing to do."""

    def step(self, epoch: int, step: int, loss: float, patches_per_second: float) -> None:
        """Counts a step."""
        self.clock.tick(step)

    def epoch(self, epoch: int, row: object, note: str) -> None:
        """Nothing to do."""

    def stop(self) -> None:
        """Nothing to do."""


class Same:
    """Batches that cost nothing."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return STEPS

    def set_epoch(self, epoch: int) -> None:
        """The same in each epoch."""

    def __getitem__(self, step: int) -> Batch:
        return self.batch


def data(network: str) -> Batch:
    """One batch, the same for all."""
    size, batch, rng = SIZES[network], BATCHES[network], np.random.default_rng(0)
    x = rng.normal(size=(batch, size, size, 9)).astype("float32")
    return x, rng.normal(size=(batch, size, size, 1)).astype("float32")


def plain_turns(network: str, batch: Batch) -> Callable[[], float]:
    """A plain Keras script: the network written by hand, `compile`, `fit`."""
    import keras
    from plain_networks import NETWORKS

    clock = Clock()

    class Timed(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
            clock.tick(batch + 1)

    def batches() -> Iterator[Batch]:
        while True:
            yield batch

    model = NETWORKS[network](SIZES[network])
    model.compile(keras.optimizers.AdamW(1e-3, weight_decay=1e-4), "mse")

    def turn() -> float:
        model.fit(batches(), steps_per_epoch=STEPS, epochs=1, verbose=0, callbacks=[Timed()])
        return clock.turn()

    return turn


def torch_turns(network: str, batch: Batch) -> Callable[[], float]:
    """PyTorch with channels_last memory, the same network."""
    import torch
    from torch_networks import NETWORKS

    torch.manual_seed(0)
    model = NETWORKS[network]().to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=1e-4)
    x, y = (
        torch.from_numpy(a).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        for a in batch
    )
    clock = Clock()

    def turn() -> float:
        for step in range(STEPS):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(model(x), y).backward()
            optimizer.step()
            clock.tick(step + 1)
        return clock.turn()

    return turn


def measure(network: str) -> dict[str, list[float]]:
    """Median seconds of a step for each way, in each turn but the first, which compiles."""
    import normwise as nw
    from normwise.training.fit import fit
    from normwise.training.recipe import Recipe

    batch, clock = data(network), Clock()
    model = nw.build(network, (SIZES[network], SIZES[network], 9), 1, norm=PLANS[network])
    others = {"plain": plain_turns(network, batch)}
    if importlib.util.find_spec("torch"):
        others["torch"] = torch_turns(network, batch)
    found: dict[str, list[float]] = {"normwise": [], **{name: [] for name in others}}

    def others_turn(_: object) -> dict[str, float]:
        """Where a run validates, the other ways have their turn."""
        found["normwise"].append(clock.turn())
        order = reversed(others.items()) if len(found["normwise"]) % 2 else others.items()
        for name, turn in order:
            found[name].append(turn())
        return {"loss": 0.0, "rmse": 0.0}

    recipe = Recipe(
        data={"path": "."},
        network={"name": network},
        training={
            "epochs": TURNS[network] + 1, "batch_size": BATCHES[network], "warmup": 0.0,
            "loss": "mean-squared", "metric": "rmse",
        },
    )  # fmt: skip
    with TemporaryDirectory() as folder:
        batches = Same((*batch, np.ones_like(batch[1])))
        fit(model, batches, others_turn, recipe, Path(folder), watcher=Watch(clock))
    return {name: values[1:] for name, values in found.items()}


def summary(found: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Median seconds and the ratio to plain Keras, turn by turn."""
    told = {}
    for name, values in found.items():
        told[name] = {
            "seconds": statistics.median(values),
            **paired_ratio(values, found["plain"]),
        }
    return told


if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    # PyTorch's threads would go on spinning into the others' turns.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    keep_freed_memory()
    print(json.dumps(summary(measure(sys.argv[1]))))

"""Seconds of one training step: `python step.py normwise|plain|torch question|unet`.

Prints one number, the median over the counted steps. The networks are the question's at
512x512x9 and a 32-filter U-Net of depth 4 at 256x256x9, batch 8, float32, MSE, AdamW.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np

BATCH, WARM_UP, COUNTED = 8, 2, 10
SIZES = {"question": 512, "unet": 256}


def data(network: str) -> tuple[np.ndarray, np.ndarray]:
    """One batch, the same for all."""
    size, rng = SIZES[network], np.random.default_rng(0)
    x = rng.normal(size=(BATCH, size, size, 9)).astype("float32")
    return x, rng.normal(size=(BATCH, size, size, 1)).astype("float32")


def normwise_step(network: str) -> float:
    """Through `normwise.training.fit`, as `normwise train` does it: seconds a step."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    import normwise as nw
    from normwise.training.fit import fit
    from normwise.training.recipe import Recipe

    model = nw.build(network, (SIZES[network], SIZES[network], 9), 1, norm=PLANS[network])
    x, y = data(network)
    recipe = Recipe(
        data={"path": "."},
        network={"name": network},
        training={
            "epochs": 2, "steps": COUNTED, "batch_size": BATCH, "loss": "mean-squared",
            "metric": "rmse", "warmup": 0.0,
        },
    )  # fmt: skip
    clock = Clock()
    with TemporaryDirectory() as folder:
        batches = Same((x, y, np.ones_like(y)))
        fit(model, batches, lambda m: {"loss": 0.0, "rmse": 0.0}, recipe, Path(folder),
            watcher=clock)  # fmt: skip
    return statistics.median(clock.steps[WARM_UP:])


PLANS = {"question": "batch@encoder:post-activation/raw-skip", "unet": "batch@pre-activation"}


class Same:
    """Endless batches that cost nothing."""

    def __init__(self, batch: tuple[np.ndarray, ...]) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return COUNTED

    def set_epoch(self, epoch: int) -> None:
        """Nothing changes."""

    def __getitem__(self, step: int) -> tuple[np.ndarray, ...]:
        return self.batch


class Clock:
    """Seconds between the ends of steps of one epoch."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.last = 0.0

    def start(self, done: int, epochs: int, steps: int) -> None:
        """Begins."""

    def step(self, epoch: int, step: int, loss: float, patches_per_second: float) -> None:
        """Counts a step."""
        now = time.perf_counter()
        if step > 1:
            self.steps.append(now - self.last)
        self.last = now

    def epoch(self, epoch: int, row: object, note: str) -> None:
        """An epoch ended."""

    def stop(self) -> None:
        """Ends."""


def plain_step(network: str) -> float:
    """A plain Keras script: the network written by hand, `compile`, `fit`."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras
    from plain_networks import NETWORKS

    class Timed(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.clock = Clock()

        def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
            self.clock.step(1, batch + 1, 0.0, 0.0)

    model = NETWORKS[network](SIZES[network])
    model.compile(keras.optimizers.AdamW(1e-3, weight_decay=1e-4), "mse")
    x, y = data(network)

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        while True:
            yield x, y

    timed = Timed()
    model.fit(batches(), steps_per_epoch=2 * COUNTED, epochs=1, verbose=0, callbacks=[timed])
    return statistics.median(timed.clock.steps[WARM_UP:])


def torch_step(network: str) -> float:
    """PyTorch with channels_last memory, the same network."""
    import torch
    from torch_networks import NETWORKS

    torch.manual_seed(0)
    model = NETWORKS[network]().to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=1e-4)
    x, y = (
        torch.from_numpy(a).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        for a in data(network)
    )
    seconds = []
    for _ in range(WARM_UP + COUNTED):
        started = time.perf_counter()
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[WARM_UP:])


WAYS: dict[str, Callable[[str], float]] = {
    "normwise": normwise_step,
    "plain": plain_step,
    "torch": torch_step,
}

if __name__ == "__main__":
    print(WAYS[sys.argv[1]](sys.argv[2]))

"""Seconds of a prediction before and after folding, on the backend that KERAS_BACKEND names.

`python fold.py` prints, as JSON, for each network and engine the median seconds of both and the
median ratio of the turns with its 95 % bootstrap interval (A B A B, one process). Engines are what
Keras itself offers on that backend: `predict_on_batch`, and on TensorFlow the same compiled by XLA.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
from pairs import paired_ratio

import normwise as nw

TURNS, CALLS, WARM_UP = 15, 2, 2


def networks() -> dict[str, Callable[[], Any]]:
    """From names to builders: norms before activations, after fused ones, and depthwise ones."""
    return {
        "unet 256x256x4, batch@pre-activation": lambda: nw.build(
            "unet", (256, 256, 4), 1, norm="batch@pre-activation"
        ),
        "question 512x512x9": lambda: nw.build("question", (512, 512, 9)),
        "MobileNetV2 224x224x3": lambda: keras.applications.MobileNetV2(weights=None),
    }


def engines() -> dict[str, bool]:
    """From engines of this backend to whether they compile by XLA."""
    if keras.backend.backend() == "tensorflow":
        return {"tensorflow": False, "tensorflow jit_compile": True}
    return {keras.backend.backend(): keras.backend.backend() == "jax"}


def randomized(model: Any) -> Any:
    """The model, its norms no identities."""
    rng = np.random.default_rng(0)
    for variable in model.variables:
        name = variable.path.rsplit("/", 1)[-1]
        if name in {"moving_variance", "gamma"}:
            variable.assign(rng.uniform(0.5, 1.5, tuple(variable.shape)))
        elif name in {"moving_mean", "beta"}:
            variable.assign(rng.normal(0, 0.1, tuple(variable.shape)))
    return model


def seconds(model: Any, batch: np.ndarray) -> float:
    """Seconds of one prediction."""
    started = time.perf_counter()
    for _ in range(CALLS):
        model.predict_on_batch(batch)
    return (time.perf_counter() - started) / CALLS


def measure(name: str, jit: bool) -> dict[str, float]:
    """One network on one engine."""
    model = randomized(networks()[name]())
    done = nw.fold(model)
    batch = np.random.default_rng(1).normal(size=(1, *model.input_shape[1:])).astype("float32")
    pair = {"unfolded": model, "folded": done.model}
    for each in pair.values():
        each.compile(jit_compile=jit)
        for _ in range(WARM_UP):
            each.predict_on_batch(batch)
    times: dict[str, list[float]] = {way: [] for way in pair}
    for _ in range(TURNS):
        for way, each in pair.items():
            times[way].append(seconds(each, batch))
    return {
        "norms": len(done.report.changed) + len(done.report.skipped),
        "folded_norms": len(done.report.changed),
        **{way: statistics.median(found) for way, found in times.items()},
        **paired_ratio(times["folded"], times["unfolded"]),
    }


if __name__ == "__main__":
    chosen = [name for name in networks() if len(sys.argv) < 2 or sys.argv[1] in name]
    found = {
        f"{engine}: {name}": measure(name, jit)
        for engine, jit in engines().items()
        for name in chosen
    }
    print(json.dumps(found))

"""Seconds of a prediction before and after folding, on the backend that KERAS_BACKEND names.

`python fold.py` prints, as JSON, for each network and engine the median seconds of both and the
median ratio of the turns with its 95 % bootstrap interval (A B A B, one process). Engines are what
Keras itself offers on that backend, `predict_on_batch`, and on TensorFlow the same compiled by XLA,
and ONNX Runtime and OpenVINO in float32 where they are installed, as `predict --engine` runs them:
these fold some norms by themselves.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
from pairs import paired_ratio

import normwise as nw
from normwise.inference.engines.wanted import CONVERTED
from normwise.inference.formats.conversion import convert
from normwise.inference.formats.format import FORMATS
from normwise.inference.formats.runtimes import ports_of, runtime

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


Predict = Callable[[np.ndarray], Any]


def keras_engine(jit: bool) -> Callable[[Any], Predict]:
    """`predict_on_batch`, compiled by XLA or not."""

    def prepared(model: Any) -> Predict:
        model.compile(jit_compile=jit)
        return model.predict_on_batch

    return prepared


def converted_engine(name: str) -> Callable[[Any], Predict]:
    """The exported model in ONNX Runtime or OpenVINO, float32, for any size."""

    def prepared(model: Any) -> Predict:
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"model{FORMATS[name].suffix}"
            convert(model, path, FORMATS[name])
            run = runtime(FORMATS[name], path, ports_of(model))
        return lambda batch: run([batch])

    return prepared


def engines() -> dict[str, Callable[[Any], Predict]]:
    """What can run a model here."""
    backend = keras.backend.backend()
    found = {backend: keras_engine(backend == "jax")}
    if backend == "tensorflow":
        found["tensorflow jit_compile"] = keras_engine(True)
        here = (name for name in CONVERTED if not FORMATS[name].missing)
        found |= {name: converted_engine(name) for name in here}
    return found


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


def seconds(predict: Predict, batch: np.ndarray) -> float:
    """Seconds of one prediction."""
    started = time.perf_counter()
    for _ in range(CALLS):
        predict(batch)
    return (time.perf_counter() - started) / CALLS


def measure(name: str, engine: Callable[[Any], Predict]) -> dict[str, float]:
    """One network on one engine."""
    model = randomized(networks()[name]())
    done = nw.fold(model)
    batch = np.random.default_rng(1).normal(size=(1, *model.input_shape[1:])).astype("float32")
    pair = {"unfolded": engine(model), "folded": engine(done.model)}
    for predict in pair.values():
        for _ in range(WARM_UP):
            predict(batch)
    times: dict[str, list[float]] = {way: [] for way in pair}
    for _ in range(TURNS):
        for way, predict in pair.items():
            times[way].append(seconds(predict, batch))
    return {
        "norms": len(done.report.changed) + len(done.report.skipped),
        "folded_norms": len(done.report.changed),
        **{way: statistics.median(found) for way, found in times.items()},
        **paired_ratio(times["folded"], times["unfolded"]),
    }


if __name__ == "__main__":
    chosen = [name for name in networks() if len(sys.argv) < 2 or sys.argv[1] in name]
    found = {
        f"{engine}: {name}": measure(name, prepared)
        for engine, prepared in engines().items()
        for name in chosen
    }
    print(json.dumps(found))

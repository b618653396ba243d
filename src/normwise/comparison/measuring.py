"""What is measured of a trained network beside its metrics."""

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Final

import keras
import numpy as np

from normwise.comparison.outcome import Images, Norms
from normwise.data.dataset import Dataset, Item
from normwise.graph.catalogue import BATCH_NORMS, Role, role_of
from normwise.graph.flatten import flatten
from normwise.keras_format.reading import read_graph
from normwise.training.checking import findings_in
from normwise.training.run_files import MODEL

_WARM_UPS: Final = 2
_TIMED: Final = 7
_LEAST_SIDE: Final = 256


def parameters_of(model: keras.Model) -> tuple[int, int]:
    """Numbers that training changes by gradients, and those that are kept beside them.

    The statistics of the input's scaling and the states of random numbers are not counted.
    """
    scaling = {
        id(variable)
        for layer in model.layers
        if isinstance(layer, keras.layers.Normalization)
        for variable in layer.variables
    }
    kept = [variable for variable in model.non_trainable_weights if id(variable) not in scaling]
    sizes = (sum(prod(v.shape) for v in part) for part in (model.trainable_weights, kept))
    trained, state = sizes
    return trained, state


def seconds_per_megapixel(model: keras.Model, patch: Sequence[int]) -> float:
    """The median time of a prediction, for a million of its pixels or voxels.

    Args:
        model: A model of free size.
        patch: A size that it takes. Images of less than 256 pixels a side are made of several, for
            the time of a call would hide that of the work; volumes are one patch.
    """
    whole = [side * -(-_LEAST_SIDE // side) for side in patch] if len(patch) == 2 else list(patch)
    image = np.zeros((1, *whole, model.input_shape[-1]), np.float32)
    times = []
    for _ in range(_WARM_UPS + _TIMED):
        started = time.perf_counter()
        model.predict_on_batch(image)
        times.append(time.perf_counter() - started)
    return statistics.median(times[_WARM_UPS:]) / prod(whole) * 1e6


def seconds_per_step(history: Sequence[Mapping[str, float]], batch_size: int) -> float:
    """The median of the epochs behind the first, which compiles; loading is included."""
    times = [
        batch_size / row["patches_per_second"]
        for row in (history[1:] or history)
        if row["patches_per_second"] > 0
    ]
    return statistics.median(times) if times else math.nan


def norms_of(folder: Path, measured: Sequence[tuple[str, str]] = ()) -> Norms:
    """The normalization of a run's network, from its model file and its `check.json`.

    Args:
        folder: The run folder.
        measured: Findings of the rules that need data, with their severity.
    """
    findings = findings_in(folder)
    stuck = {layer for f in findings if f["name"] == "unfoldable-norm" for layer in f["layers"]}
    layers, batch = 0, set()
    model = folder / MODEL
    for node in flatten(read_graph(model)).nodes if model.is_file() else ():
        if role_of(node) is Role.NORM and node.class_name != "Normalization" and not node.call:
            layers += 1
            if node.class_name in BATCH_NORMS:
                batch.add(node.name)
    told = ((f"{f['code']} {f['name']}", str(f["severity"])) for f in findings)
    return Norms(layers, len(batch - stuck), tuple(dict.fromkeys((*told, *measured))))


def images_of(dataset: Dataset, split: str) -> Images:
    """How many images train and are measured, and which ones."""
    train, items = dataset.split("train"), dataset.split(split)
    return Images(len(train), len(items), _key(items), _key(train))


def _key(items: Sequence[Item]) -> str:
    names = "\n".join(f"{item.name} {item.origin} {item.shape}" for item in items)
    # A file's name may be any bytes: those that are not UTF-8 come back as they are on disk.
    return sha256(names.encode("utf-8", "surrogateescape")).hexdigest()[:12]

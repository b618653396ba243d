"""Starts new normalizations from the statistics of data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, final

import keras
import numpy as np

from normwise.graph.editing import Draft
from normwise.keras_format.replayed import Replayed
from normwise.keras_format.weights import Weights
from normwise.surgery.batches import Batch
from normwise.surgery.identity import calibrated
from normwise.surgery.population import MeasureSettings
from normwise.surgery.statistics import (
    apply_statistics,
    batch_norms,
    input_statistics,
    population_statistics,
)
from normwise.surgery.work import Work


@final
class FirstBatch:
    """The first batch of those that are measured; an iterator gives it only once.

    Args:
        settings: How is measured.

    Attributes:
        settings: The same, with an eye on the batches.
        inputs: The batch as the model takes it.
        seen: Whether there is one.
    """

    def __init__(self, settings: MeasureSettings | None) -> None:
        own = settings or MeasureSettings()
        self.inputs: Any = None
        self.seen = False

        def track(batches: Iterable[Batch], title: str, total: int) -> Iterator[Batch]:
            for batch in own.track(batches, title, total):
                if not self.seen:
                    self.inputs, self.seen = batch.inputs, True
                yield batch

        self.settings = replace(own, track=track)


def calibrate(work: Work, copy: Replayed, data: Any, measure: MeasureSettings) -> list[str]:
    """Gives the normalizations that a rewrite put in the statistics of what they read.

    Where outputs are kept, they start so that training doesn't change anything either at first;
    else they normalize to mean 0 and variance 1, each fed by those before it.

    Args:
        work: The rewrite.
        copy: The rewritten copy, new normalizations still at their defaults.
        data: Batches of raw input.
        measure: How statistics are measured.

    Returns:
        Notes for the report.

    Raises:
        DataError: The data don't fit the model.
    """
    if work.settings.keep:
        return _keep(work, copy, data, measure)
    if not work.fresh:
        return []
    # A layer that stands in several models has the first of its paths there.
    paths = {id(norm): path for path, norm in batch_norms(copy.model).items()}
    chosen = dict.fromkeys(paths[id(copy.layers[path])] for path in work.fresh)
    found = population_statistics(copy.model, data, list(chosen), measure, instead="")
    copy.transfer(Weights(copy.sources))  # random and stateful layers have moved on
    apply_statistics(copy.model, found.statistics)
    return found.warnings()


def _keep(work: Work, copy: Replayed, data: Any, measure: MeasureSettings) -> list[str]:
    notes = [
        f"{path} starts with mean 0 and variance 1: statistics of data would change the outputs"
        for path in work.standardized
    ]
    layers = {path: copy.layers[path] for path in work.fresh}
    fit = {path: layer for path, layer in layers.items() if layer.scale and layer.center}
    notes += [
        f"{path} starts as the identity in inference only: without gamma and beta it can't start "
        "so in training"
        for path in layers
        if path not in fit
    ]
    if fit:
        found = input_statistics(copy.model, data, list(fit), measure).statistics
        for path, layer in fit.items():
            # A bias that was dropped is in the moving mean by now, and no longer in the data.
            bias = -_array(layer.moving_mean)
            mean = found[path].mean + bias
            values = calibrated(mean, found[path].variance, work.fresh[path])
            work.start(path, values, layer.get_config())
        copy.rules = work.rules()
        copy.transfer(Weights(copy.sources))
    return notes


def standardize(work: Work, copy: Replayed, data: Any) -> None:
    """Gives new fixed normalizations of inputs the mean and variance of these.

    They are settings of the layers, so the copy has to be made again afterwards.

    Args:
        work: The rewrite.
        copy: Its copy, in which they stand with other settings.
        data: Batches of raw input.

    Raises:
        DataError: The data don't fit the model.
    """
    found = input_statistics(copy.model, data, work.standardized, work.settings.measure).statistics
    for path in work.standardized:
        level, _, layer = path.rpartition("/")
        settings = {
            "mean": found[path].mean.tolist(),
            "variance": found[path].variance.tolist(),
        }
        _draft(work.levels.root, level).configure(layer, **settings)


def _draft(root: Draft, level: str) -> Draft:
    for layer in level.split("/") if level else ():
        root = root.inner[layer]
    return root


def _array(variable: Any) -> np.ndarray[Any, Any]:
    return np.asarray(keras.ops.convert_to_numpy(variable.value), "float64")

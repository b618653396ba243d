"""Exact statistics for the batch normalizations of a trained network, if validation agrees."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np

from normwise.surgery.statistics import apply_statistics, batch_norms, population_statistics
from normwise.training.loading import Batches, loaded
from normwise.training.metrics import is_better
from normwise.training.training_settings import TrainingSettings

_BATCHES: Final = 32
"""Most batches that are looked at, once for each depth of norms."""

log = logging.getLogger("normwise.training")


def refine_statistics(
    network: keras.Model,
    batches: Batches,
    validate: Callable[[keras.Model], Mapping[str, float]],
    training: TrainingSettings,
) -> bool:
    """Replaces moving averages by the population statistics of training patches.

    They are exact for up to 32 batches of patches: each norm is measured behind norms that already
    hold theirs. They stay only if what decides between epochs (the metric, or the loss where that
    is no number) is not worse with them; else the old ones are put back. The log says which, and
    both numbers. Frozen norms keep theirs.

    Args:
        network: The trained network, changed in place.
        batches: Training batches.
        validate: Takes the network; returns metrics, among them `training.metric`.
        training: Names the metric.

    Returns:
        Whether the new statistics stay.
    """
    norms = [path for path, norm in batch_norms(network).items() if norm.trainable]
    if not norms:
        log.info("precise batch statistics: there is no batch normalization that could have them")
        return False
    measured = validate(network)
    old = [np.array(keras.ops.convert_to_numpy(v)) for v in network.non_trainable_variables]
    batches.set_epoch(training.epochs)
    found = population_statistics(network, _Images(batches, training.workers), norms)
    apply_statistics(network, found.statistics)
    for warning in found.warnings():
        log.warning(warning)
    metric, (before, after) = _compared(measured, validate(network), str(training.metric))
    kept = bool(np.isfinite(after)) and not is_better(metric, before, after)
    if not kept:
        for variable, value in zip(network.non_trainable_variables, old, strict=True):
            variable.assign(value)
    log.info(
        "precise batch statistics of %d patches %s: %s %.6g with them, %.6g with moving averages",
        found.samples, "kept" if kept else "not kept", metric, after, before,
    )  # fmt: skip
    return kept


def _compared(
    before: Mapping[str, float], after: Mapping[str, float], metric: str
) -> tuple[str, tuple[float, float]]:
    """The metric with both values; the loss where the validation labels say nothing of it."""
    if not any(np.isfinite(values[metric]) for values in (before, after)):
        metric = "loss"
    return metric, (float(before[metric]), float(after[metric]))


@dataclass(frozen=True)
class _Images:
    """The images of some batches, which can be gone through again."""

    batches: Batches
    workers: int

    def __len__(self) -> int:
        return min(len(self.batches), _BATCHES)

    def __iter__(self) -> Iterator[Any]:
        for batch in loaded(self.batches, len(self), self.workers, lambda batch: batch):
            yield batch[0]

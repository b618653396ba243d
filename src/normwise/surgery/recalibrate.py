"""Recalibration: batch normalizations get the statistics of all the data, instead of averages.

Before:  norm holds moving averages of training batches, or those of another sensor
After:   norm holds mean and variance of what it reads, over all data, consistent with every norm
         before it (`surgery.statistics`)

Gamma, beta and every other weight stay. With unlabeled images of a new sensor this is AdaBN (Li et
al. 2016, "Revisiting Batch Normalization For Practical Domain Adaptation"). Outputs change; that
is its purpose, so nothing is promised of them; that the copy is right is verified before.

Conditions: the norm is trainable (a frozen one is left alone unless asked) and gets called; it is
Keras' own, as a class that is made from it may compute something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from normwise.keras_format.reading import read_graph
from normwise.keras_format.replay import replay
from normwise.keras_format.weights import Weights
from normwise.surgery.moments import Doubles
from normwise.surgery.population import Measured, MeasureSettings, Population
from normwise.surgery.rewrite import Change, Promise, Rewrite, RewriteReport, Skip
from normwise.surgery.statistics import (
    apply_statistics,
    batch_norms,
    derived_batch_norms,
    population_statistics,
)
from normwise.surgery.verify import verify_plain_copy


@dataclass(frozen=True)
class Offset:
    """How far the statistics of a norm were off.

    Attributes:
        mean: Largest difference of the means over all channels, in new standard deviations.
        narrower: Smallest ratio of old and new standard deviation.
        wider: Largest such ratio.
    """

    mean: float
    narrower: float
    wider: float

    def __str__(self) -> str:
        ratios = sorted({f"{self.narrower:.3g}", f"{self.wider:.3g}"}, key=float)
        return (
            f"the old mean was off by up to {self.mean:.3g} standard deviations, the old standard "
            f"deviation was {' to '.join(ratios)} times the new one"
        )


def recalibrate(
    model: Any, batches: Any, settings: MeasureSettings | None = None, *, frozen: bool = False
) -> Rewrite:
    """A copy of a model whose batch normalizations hold the statistics of these data.

    Args:
        model: A live functional or Sequential model; it is not changed, not even by an
            interruption.
        batches: Raw input, as for `population_statistics`.
        settings: Exact or fast, missing values, progress.
        frozen: Whether norms with `trainable=False` are recalibrated too.

    Returns:
        The copy, and a report that says for each norm how far its old statistics were off.

    Raises:
        DataError, NormwiseError, ModelReadError: As `population_statistics`.
        SurgeryError: A layer can't be copied.
        PromiseError: Its copy computes something else.

    Example:
        >>> recalibrate(model, new_images).report.changed[0].action
        'the old mean was off by up to 0.31 standard deviations, ...'
    """
    norms = batch_norms(model)
    chosen = [path for path, norm in norms.items() if frozen or norm.trainable]
    graph = read_graph(model)
    copy = replay(graph, model, original=graph)
    doubts = verify_plain_copy(graph, model, copy)
    # A layer inside a user's layer may have got another name in the copy.
    theirs = dict(zip(norms, batch_norms(copy.model), strict=True))
    own = {theirs[path]: path for path in chosen}
    found = population_statistics(copy.model, batches, list(own), settings)
    copy.transfer(Weights(copy.sources))  # random and stateful layers have moved on
    changed = tuple(
        Change(own[path], _action(norms[own[path]], statistics))
        for path, statistics in found.statistics.items()
    )
    apply_statistics(copy.model, found.statistics)
    skipped = tuple(
        Skip(path, "it is frozen (trainable=False); ask for frozen norms to change it")
        for path in norms
        if path not in chosen
    )
    skipped += tuple(Skip(own[path], "it is never called") for path in found.uncalled)
    derived = tuple(
        Skip(
            path,
            f"its class {type(layer).__name__} is made from BatchNormalization and may compute "
            "something else",
        )
        for path, layer in derived_batch_norms(model).items()
    )
    notes = (*_notes(found, norms, own, bool(derived)), *copy.notes, *doubts)
    return Rewrite(
        copy.model, RewriteReport(Promise.NOT_KEPT, changed, skipped + derived, None, notes)
    )


def offset_of(norm: Any, found: Population) -> Offset:
    """How far the statistics that a norm holds are from those that were found."""
    mean, variance = (
        keras.ops.convert_to_numpy(v).astype(np.float64)
        for v in (norm.moving_mean, norm.moving_variance)
    )
    new = _deviation(found.variance, norm.epsilon)
    ratio = _deviation(variance, norm.epsilon) / new
    return Offset(
        float((np.abs(mean - found.mean) / new).max()), float(ratio.min()), float(ratio.max())
    )


def _deviation(variance: Doubles, epsilon: float) -> Doubles:
    # As the norm uses it: a channel that never varies is divided by the root of epsilon.
    return np.asarray(np.sqrt(np.maximum(variance, 0) + epsilon))


def _action(norm: Any, found: Population) -> str:
    unsettled = "" if found.settled else "; it reads its own results and had not settled"
    return f"{offset_of(norm, found)}{unsettled}"


def _notes(
    found: Measured, norms: Iterable[str], own: Mapping[str, str], derived: bool
) -> list[str]:
    if not list(norms):
        return ["the model has no batch normalization" + (" of Keras' own" if derived else "")]
    passes = "1 pass" if found.passes == 1 else f"{found.passes} passes"
    return [f"{passes} over {found.samples} samples", *found.warnings(own)]

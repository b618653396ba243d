"""Averaged weights: a moving average of a run's weights is often the better network.

The statistics of batch normalizations are averaged likewise, epoch by epoch. Statistics taken anew
from a few batches would fit the averaged weights more closely, but they differ from draw to draw by
more than the weights do from epoch to epoch, and validation would choose the luckiest draw.

Keras' own `use_ema` is not used, for three reasons read in the source of Keras 3.15: at the end
of every `fit`, here of every epoch, it overwrites the weights in training with the average; with
accumulated gradients it averages at each micro-batch; and it starts with the full decay, so that
after 400 updates at 0.999 two thirds of the average are still the first weights.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
from keras import ops

MOVING: Final = frozenset({"moving_mean", "moving_variance"})
"""Names of the variables in which batch normalizations keep statistics."""


class AveragingAdamW(keras.optimizers.AdamW):  # type: ignore[misc]
    """AdamW that keeps an average of the weights beside them.

    After update t (from 0) the average moves by 1 - d towards the weights, where d is the smaller
    of `decay` and (1 + t) / (10 + t): the first weights are soon forgotten. Micro-batches that only
    accumulate gradients, and steps skipped for an overflow, don't count.

    Args:
        decay: The decay d in the long run, such as 0.999.
        statistics: Variables that no gradient moves, such as moving means. They are averaged
            by `average_statistics`, not by updates.
        **options: Those of `keras.optimizers.AdamW`.
    """

    def __init__(self, decay: float, statistics: Iterable[Any] = (), **options: Any) -> None:
        super().__init__(**options)
        self.decay = decay
        self.statistics = Average(tuple(statistics), ())

    def build(self, variables: Iterable[Any]) -> None:
        """Makes the slots; the averages begin as the variables themselves."""
        averaged = tuple(variables)
        super().build(list(averaged))
        self.average = self._average_of(averaged, "average")
        self.statistics = self._average_of(self.statistics.variables, "average_statistics")

    def _average_of(self, variables: tuple[Any, ...], name: str) -> "Average":
        found = Average(variables, tuple(self.add_optimizer_variables(variables, name)))
        for average, variable in found.pairs:
            # A copy: on JAX both would have one buffer, which can't be given away twice.
            average.assign(np.array(ops.convert_to_numpy(variable)))
        return found

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """One step of AdamW, and of the averages if it was an update."""
        before = ops.add(self.iterations, 0)
        super().apply(grads, trainable_variables)
        updates = ops.cast(before, "float32")
        decay = ops.minimum(self.decay, (1.0 + updates) / (10.0 + updates))
        share = (1.0 - decay) * ops.cast(self.iterations - before, "float32")
        for average, variable in self.average.pairs:
            average.assign(average + ops.cast(share, average.dtype) * (variable - average))


@dataclass(frozen=True)
class Average:
    """Variables and their averages; in a list of its own an optimizer would take both for slots.

    Args:
        variables: The trainable variables.
        averages: One for each.
    """

    variables: tuple[Any, ...]
    averages: tuple[Any, ...]

    @property
    def pairs(self) -> list[tuple[Any, Any]]:
        """Each average with its variable."""
        return list(zip(self.averages, self.variables, strict=True))


def statistics_of(model: keras.Model) -> list[Any]:
    """The moving means and variances of a model, each once; those of frozen layers stay anyway."""
    return [v for v in model.non_trainable_variables if v.name in MOVING]


def average_statistics(optimizer: keras.optimizers.Optimizer, updates: float) -> tuple[Any, ...]:
    """Moves the averages of statistics towards what the statistics are now.

    Args:
        optimizer: One that averages.
        updates: How many updates were made since the last call, with the share of the one that
            gradients are accumulated for: they move as far as averaged weights would by so many
            updates at the decay of the last one.

    Returns:
        The averages, in the order of the statistics.
    """
    own = _averaging(optimizer)
    now = int(ops.convert_to_numpy(own.iterations))
    kept = min(own.decay, (1 + now) / (10 + now)) ** updates
    for average, variable in own.statistics.pairs:
        old, new = (np.array(ops.convert_to_numpy(value)) for value in (average, variable))
        # In this form those of frozen layers stay to the last bit.
        average.assign(old + (1 - kept) * (new - old))
    return own.statistics.averages


def averages_of(optimizer: keras.optimizers.Optimizer) -> tuple[Any, ...]:
    """The averages that an optimizer keeps, in the order of its trainable variables."""
    return _averaging(optimizer).average.averages


def _averaging(optimizer: keras.optimizers.Optimizer) -> AveragingAdamW:
    own: AveragingAdamW = getattr(optimizer, "inner_optimizer", optimizer)
    return own

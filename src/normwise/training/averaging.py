"""Averaged weights: a moving average of a run's weights is often the better network.

Keras' own `use_ema` is not used, for three reasons read in the source of Keras 3.15: at the end
of every `fit`, here of every epoch, it overwrites the weights in training with the average; with
accumulated gradients it averages at each micro-batch; and it starts with the full decay, so that
after 400 updates at 0.999 two thirds of the average are still the first weights.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops


class AveragingAdamW(keras.optimizers.AdamW):  # type: ignore[misc]
    """AdamW that keeps an average of the weights beside them.

    After update t (from 0) the average moves by 1 - d towards the weights, where d is the smaller
    of `decay` and (1 + t) / (10 + t): the first weights are soon forgotten. Micro-batches that only
    accumulate gradients, and steps skipped for an overflow, don't count.

    Args:
        decay: The decay d in the long run, such as 0.999.
        **options: Those of `keras.optimizers.AdamW`.
    """

    def __init__(self, decay: float, **options: Any) -> None:
        super().__init__(**options)
        self.decay = decay

    def build(self, variables: Iterable[Any]) -> None:
        """Makes the slots; the averages begin as the weights themselves."""
        averaged = tuple(variables)
        super().build(list(averaged))
        self.average = Average(averaged, tuple(self.add_optimizer_variables(averaged, "average")))
        for average, variable in self.average.pairs:
            # A copy: on JAX both would have one buffer, which can't be given away twice.
            average.assign(np.array(ops.convert_to_numpy(variable)))

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


def averages_of(optimizer: keras.optimizers.Optimizer) -> tuple[Any, ...]:
    """The averages that an optimizer keeps, in the order of its trainable variables."""
    averages: tuple[Any, ...] = getattr(optimizer, "inner_optimizer", optimizer).average.averages
    return averages

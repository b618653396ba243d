"""How a model is, or will be, trained, as far as rules ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Training:
    """How a model is, or will be, trained; None for what isn't known.

    Attributes:
        batch_size: Samples of a batch, over all replicas.
        samples: Samples of an epoch.
        epochs: Their number.
        steps: Optimizer's or loader's steps of the whole training; else from the three above.
        loss: Its name.
        optimizer: Settings in Keras' names, such as `weight_decay`; what its method
            `exclude_from_weight_decay` was told as `var_names` stands under the method's name.
        replicas: Devices that share a batch.
        accumulation: Batches whose gradients are added before a step.
        recalibrated: Whether moving statistics are measured anew at the end.
        read: Whether the optimizer's settings were read from a file, which doesn't say what was
            left out of weight decay.
    """

    batch_size: int | None = None
    samples: int | None = None
    epochs: int | None = None
    steps: int | None = None
    loss: str | None = None
    optimizer: Mapping[str, Any] = field(default_factory=dict)
    replicas: int = 1
    accumulation: int = 1
    recalibrated: bool = False
    read: bool = False

    @property
    def total_steps(self) -> int | None:
        """Batches that the training shows to the model."""
        if self.steps is not None:
            return self.steps
        if self.samples is None or self.batch_size is None or self.epochs is None:
            return None
        return self.epochs * -(-self.samples // self.batch_size)

    @property
    def samples_per_statistic(self) -> int | None:
        """N: the samples behind a batch statistic, which replicas take each by themselves."""
        batch = self.largest_batch
        return None if batch is None else max(1, batch // self.replicas)

    @property
    def largest_batch(self) -> int | None:
        """Samples of the largest batch: no more than the data set has."""
        if self.batch_size is None or self.samples is None:
            return self.batch_size
        return max(1, min(self.batch_size, self.samples))

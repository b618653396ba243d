"""What a user tells of a training, in the form in which the rules take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import index
from typing import Any

from normwise.errors import CheckError
from normwise.keras_format.compiled import STEPS, Compiled
from normwise.keras_format.live_compiled import is_optimizer, loss_name, optimizer_settings
from normwise.rules import Training

_MOST_STEPS = 10**6
"""Batches of a step; a file can state any number."""


@dataclass(frozen=True)
class Told:
    """What a user says of a training, checked; None for what isn't said.

    Attributes:
        batch_size: Samples of a training batch.
        samples: Training samples of an epoch.
        epochs: Their number.
        loss: Name of the loss, or a live one.
        replicas: Devices that share a batch.
        accumulation: Batches whose gradients are added before a step.
        optimizer: Its settings, or a live Keras optimizer. Settings that say nothing of accumulated
            batches leave what the model was compiled with.

    Raises:
        CheckError: A count, a loss or an optimizer that is none.
    """

    batch_size: int | None
    samples: int | None
    epochs: int | None
    loss: Any
    replicas: int
    accumulation: int | None
    optimizer: Any

    def __post_init__(self) -> None:
        for name in ("batch_size", "samples", "epochs", "replicas", "accumulation"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, count_of(name, getattr(self, name)))
        if self.loss is not None:
            object.__setattr__(self, "loss", name_of_loss(self.loss))
        if self.optimizer is not None:
            object.__setattr__(self, "optimizer", settings_of(self.optimizer))

    def training(self, compiled: Compiled | None = None, exact: bool = False) -> Training:
        """The training, with what the model was compiled with where nothing else is said.

        Args:
            compiled: What the model itself tells.
            exact: Whether that tells what is left out of the weight decay, too.
        """
        own = compiled or Compiled()
        optimizer = own.optimizer if self.optimizer is None else self.optimizer
        accumulating = optimizer if STEPS in optimizer else own.optimizer
        return Training(
            self.batch_size,
            self.samples,
            self.epochs,
            loss=self.loss or own.loss,
            optimizer=optimizer,
            replicas=self.replicas,
            accumulation=self.accumulation or _steps(accumulating),
            read=self.optimizer is None and bool(own.optimizer) and not exact,
        )


def _steps(optimizer: Mapping[str, Any]) -> int:
    steps = optimizer.get(STEPS)
    if not isinstance(steps, int) or isinstance(steps, bool):
        return 1
    return steps if 1 < steps <= _MOST_STEPS else 1


def count_of(name: str, count: Any) -> int:
    """A count as an int; NumPy's are counts, too.

    Raises:
        CheckError: It is no whole number, or less than 1; `name` is in the message.
    """
    try:
        whole = 0 if isinstance(count, bool) else index(count)
    except TypeError:
        whole = 0
    if whole < 1:
        raise CheckError(f"check: {name} is {count!r}; expected a whole number, 1 or more.")
    return whole


def settings_of(optimizer: Any) -> Mapping[str, Any]:
    """Settings of an optimizer in Keras' names, also those of a live one.

    Raises:
        CheckError: Neither settings nor a Keras optimizer.
    """
    if isinstance(optimizer, Mapping):
        return optimizer
    if not is_optimizer(optimizer):
        raise CheckError(
            f"check: optimizer is {optimizer!r}; expected its settings, such as "
            '{"weight_decay": 0.01}, or a Keras optimizer.'
        )
    return optimizer_settings(optimizer)


def name_of_loss(loss: Any) -> str:
    """The name of a loss, also of a live one.

    Raises:
        CheckError: No loss, or several.
    """
    name = loss_name(loss)
    if name is None:
        raise CheckError(
            f"check: loss is {loss!r}; expected the name of one, such as 'mse', a Keras loss or a "
            "function. Leave it out where a model has several."
        )
    return name

"""How the learning rate goes over a run: a warm-up, then a cosine, restarts of it, or no change."""

import math
from typing import Any

import keras
from keras import ops

from normwise.errors import RecipeError
from normwise.training.training_settings import TrainingSettings


def learning_rate_schedule(
    settings: TrainingSettings, total_steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Linear up to `learning_rate` over the share `warmup` of all steps, then as `schedule` says.

    The first step already moves the weights: the warm-up starts at one step's share of the
    rate, not at 0. `cosine` ends at 0. `cosine-restarts` does so `cycles` times, each time from
    the full rate (Loshchilov & Hutter 2017, arXiv:1608.03983). `constant` stays.

    Args:
        settings: Rate, warm-up, schedule and cycles.
        total_steps: Steps of the whole run, warm-up included; with accumulation each
            micro-batch is one.

    Returns:
        A schedule of the step, counted from 0.

    Raises:
        RecipeError: If the rate is still `auto`.
    """
    peak = peak_rate(settings)
    warmup_steps = max(0, min(round(settings.warmup * total_steps), total_steps - 1))
    rest = max(total_steps - warmup_steps, 1)
    if settings.schedule == "cosine":
        return _cosine(peak, warmup_steps, rest)
    cycle = -(-rest // settings.cycles) if settings.schedule == "cosine-restarts" else None
    return Restarts(peak, warmup_steps, cycle)


def peak_rate(settings: TrainingSettings) -> float:
    """The highest learning rate, as a number.

    Raises:
        RecipeError: If it is still `auto`.
    """
    if isinstance(settings.learning_rate, str):
        raise RecipeError(
            "training.learning_rate: received 'auto' where a number is needed. `train` finds it; "
            "elsewhere run `normwise train RECIPE --find-rate` and write the number down."
        )
    return settings.learning_rate


def _cosine(peak: float, warmup_steps: int, rest: int) -> Any:
    if warmup_steps < 1:
        return keras.optimizers.schedules.CosineDecay(peak, rest)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=peak / (warmup_steps + 1),
        decay_steps=rest,
        warmup_target=peak,
        warmup_steps=warmup_steps,
    )


class Restarts(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A warm-up, then half cosines from the full rate to 0; without a cycle the rate stays.

    Keras' own `CosineDecayRestarts` has no warm-up.

    Args:
        peak: The full rate.
        warmup_steps: Steps of the linear way up to it.
        cycle: Steps of one half cosine; None for a constant rate.
    """

    def __init__(self, peak: float, warmup_steps: int, cycle: int | None) -> None:
        self.peak, self.warmup_steps, self.cycle = peak, warmup_steps, cycle

    def __call__(self, step: Any) -> Any:
        """The rate at a step, a float32 scalar."""
        step = ops.cast(step, "float32")
        up = self.peak * (step + 1.0) / (self.warmup_steps + 1.0)
        return ops.where(step < self.warmup_steps, up, self._after(step - self.warmup_steps))

    def _after(self, step: Any) -> Any:
        if self.cycle is None:
            return ops.full((), self.peak, dtype="float32")
        done = ops.mod(step, float(self.cycle)) / self.cycle
        return 0.5 * self.peak * (1.0 + ops.cos(math.pi * done))

    def get_config(self) -> dict[str, Any]:
        """The arguments of `__init__`."""
        return {"peak": self.peak, "warmup_steps": self.warmup_steps, "cycle": self.cycle}

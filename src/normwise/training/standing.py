"""How far a run has come, and whether it should go on."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from normwise.training.history import History, Row
from normwise.training.metrics import is_better
from normwise.training.training_settings import TrainingSettings


@dataclass(frozen=True)
class Standing:
    """How far a run has come; with the variables this is all that it goes on from.

    Args:
        epochs: Epochs that are done.
        best: The best value of the metric so far; None before the first epoch, NaN where it was
            a number in none.
        best_epoch: The epoch whose weights are kept, counted from 1: where the best value was
            reached; without any number, where the validation loss was lowest; or the last one.
        waited: Epochs without a better value.
        seconds: Time that all epochs took.
        history: One row an epoch.
        stopped: Why the run ended before its last epoch; empty if it did not.
    """

    epochs: int = 0
    best: float | None = None
    best_epoch: int = 0
    waited: int = 0
    seconds: float = 0.0
    history: History = field(default=(), repr=False)
    stopped: str = ""

    @property
    def improved(self) -> bool:
        """Whether the last epoch is the one to keep."""
        return self.epochs > 0 and self.best_epoch == self.epochs

    def paused(self, training: TrainingSettings) -> bool:
        """Whether epochs are left that nothing but a pause keeps from being trained."""
        return self.epochs < training.epochs and not self.stopped

    def to_state(self) -> dict[str, Any]:
        """As plain values, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Standing":
        """What `to_state` gave."""
        return cls(**{**state, "history": tuple(state["history"])})


def judged(standing: Standing, row: Row, training: TrainingSettings) -> Standing:
    """The standing after one more epoch.

    An epoch whose metric is a number is better than one whose metric isn't; as long as there is
    none, the lower validation loss is better.

    Args:
        standing: The standing before it.
        row: What was measured, with `seconds` and the metric as `val_<metric>`.
        training: Names the metric, the patience and the budget.

    Returns:
        The new standing; `stopped` says why no further epoch should follow.
    """
    value, history = row[f"val_{training.metric}"], (*standing.history, row)
    better = best_epoch(history, str(training.metric)) == len(history)
    after = replace(
        standing,
        epochs=standing.epochs + 1,
        best=value if better else standing.best,
        best_epoch=kept_epoch(history, training),
        waited=0 if better else standing.waited + 1,
        seconds=standing.seconds + row["seconds"],
        history=history,
    )
    return replace(after, stopped=_reason_to_stop(after, training))


def kept_epoch(history: History, training: TrainingSettings) -> int:
    """The epoch whose weights are kept, counted from 1; 0 without any.

    Args:
        history: One row an epoch.
        training: Says whether that is the best or the last one, and which metric decides.
    """
    return len(history) if training.keep == "last" else best_epoch(history, str(training.metric))


def best_epoch(history: History, metric: str) -> int:
    """The best epoch of a history, counted from 1; 0 without any.

    Args:
        history: One row an epoch.
        metric: What decides; see `deciding`. Without any number at all the last epoch is the best.
    """
    name = deciding(history, metric)
    best, least = 0, math.nan
    for place, row in enumerate(history, start=1):
        value = row.get(f"val_{name}", math.nan)
        if math.isfinite(value) and is_better(name, value, least):
            best, least = place, value
    return best or len(history)


def deciding(history: History, metric: str) -> str:
    """What tells which epoch of a history is the best: the metric, or `loss` where it can't.

    Args:
        history: One row an epoch.
        metric: The metric that was chosen for it. It is no number where validation labels say
            nothing of it, such as the IoU of a class that no validation image has.
    """
    known = any(math.isfinite(row.get(f"val_{metric}", math.nan)) for row in history)
    return metric if known else "loss"


def _reason_to_stop(standing: Standing, training: TrainingSettings) -> str:
    if standing.epochs >= training.epochs:
        return ""
    if training.early_stopping is not None and standing.waited >= training.early_stopping:
        better = f"better {training.metric}"
        if deciding(standing.history, str(training.metric)) == "loss":
            better = "lower validation loss"
        return f"no {better} for {standing.waited} epochs"
    if standing.seconds >= (training.budget or math.inf):
        return f"the budget of {training.budget:g} s is used"
    return ""

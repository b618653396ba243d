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
        best: The best value of the metric so far; None before the first epoch.
        best_epoch: Where it was reached, counted from 1.
        waited: Epochs since then.
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
        """Whether the last epoch is the best one."""
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

    Args:
        standing: The standing before it.
        row: What was measured, with `seconds` and the metric as `val_<metric>`.
        training: Names the metric, the patience and the budget.

    Returns:
        The new standing; `stopped` says why no further epoch should follow.
    """
    metric = str(training.metric)
    value = row[f"val_{metric}"]
    better = is_better(metric, value, standing.best)
    after = replace(
        standing,
        epochs=standing.epochs + 1,
        best=value if better else standing.best,
        best_epoch=standing.epochs + 1 if better else standing.best_epoch,
        waited=0 if better else standing.waited + 1,
        seconds=standing.seconds + row["seconds"],
        history=(*standing.history, row),
    )
    return replace(after, stopped=_reason_to_stop(after, training))


def _reason_to_stop(standing: Standing, training: TrainingSettings) -> str:
    if standing.epochs >= training.epochs:
        return ""
    if training.early_stopping is not None and standing.waited >= training.early_stopping:
        return f"no better {training.metric} for {standing.waited} epochs"
    if standing.seconds >= (training.budget or math.inf):
        return f"the budget of {training.budget:g} s is used"
    return ""

"""The section `training` of a recipe: loss, steps, rates and what is kept."""

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from normwise.training.loss_settings import ClassWeights, LossOptions, LossText
from normwise.training.section import Section

ScheduleName = Literal["cosine", "cosine-restarts", "constant"]
TrackerName = Literal["tensorboard", "mlflow"]
PrecisionName = Literal["float32", "mixed_bfloat16", "mixed_float16"]
MetricName = Literal[
    "iou",
    "dice",
    "precision",
    "recall",
    "accuracy",
    "mean_iou",
    "mean_dice",
    "mean_precision",
    "mean_recall",
    "mean_accuracy",
    "mean_image_iou",
    "mae",
    "rmse",
    "r2",
    "correlation",
    "pinball",
    "nll",
]


def _rate(value: Any) -> Any:
    """A positive number, or `auto`; a union would report a wrong value twice."""
    if value == "auto":
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ValueError(f"received {value!r}; allowed: a number greater than 0, or auto.")
    return float(value)


Rate = Annotated[float | Literal["auto"], BeforeValidator(_rate)]


class TrainingSettings(Section):
    """How the weights are found."""

    epochs: int = Field(default=40, ge=1)
    steps: int | None = Field(default=None, ge=1, description="steps an epoch; null: one pass")
    batch_size: int = Field(default=8, ge=1, description="patches a step")
    accumulate: int = Field(default=1, ge=1, description="steps whose gradients make one update")
    learning_rate: Rate = Field(
        default=1e-3, description="highest rate, after the warm-up; or auto"
    )
    schedule: ScheduleName = "cosine"
    cycles: int = Field(default=3, ge=1, description="of cosine-restarts")
    weight_decay: float = Field(default=1e-4, ge=0, description="on kernels only")
    warmup: float = Field(default=0.05, ge=0, lt=1, description="share of all steps")
    clip_norm: float | None = Field(
        default=None, gt=0, description="largest norm of all gradients together"
    )
    ema: float | None = Field(
        default=None, gt=0, lt=1, description="decay of averaged weights; null: none are kept"
    )
    precise_bn: bool = Field(
        default=False, description="exact batch statistics at the end, if validation agrees"
    )
    precision: PrecisionName = Field(default="float32", description="of the training steps")
    loss: LossText | None = Field(
        default=None, description="a loss or a sum such as 0.5*focal+dice; null: the task's own"
    )
    loss_options: LossOptions = LossOptions()
    class_weights: ClassWeights = Field(
        default=None, description="null, balanced, a list, or a mapping from class names"
    )
    metric: MetricName | None = Field(default=None, description="decides which epoch is the best")
    keep: Literal["best", "last"] = Field(
        default="best", description="whose weights are kept: of the best epoch, or of the last one"
    )
    early_stopping: int | None = Field(
        default=None, ge=1, description="epochs without a better metric"
    )
    seed: int = Field(default=0, ge=0, lt=2**31)
    weights_by_name: bool = Field(
        default=False,
        description="first weights by seed and layer name: other plans begin with the same",
    )
    budget: float | None = Field(
        default=None, gt=0, description="seconds, looked at after each epoch"
    )
    trackers: tuple[TrackerName, ...] = Field(
        default=(), description="tensorboard, mlflow; beside the run's own files"
    )
    workers: int = Field(default=2, ge=1, description="threads that cut patches")
    deterministic: bool = Field(default=True, description="the same seed gives the same weights")

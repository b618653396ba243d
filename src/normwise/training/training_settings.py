"""The section `training` of a recipe: loss, steps, rates and what is kept."""

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from normwise.training.loss_settings import ClassWeights, LossOptions, LossText
from normwise.training.losses.expression import REGRESSION, SEGMENTATION
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

    epochs: int = Field(
        default=40,
        ge=1,
        description="how many at most; a stop or the budget ends a run sooner",
    )
    steps: int | None = Field(
        default=None, ge=1, description="steps an epoch; null: one pass over the training images"
    )
    batch_size: int = Field(default=8, ge=1, description="patches a step")
    accumulate: int = Field(default=1, ge=1, description="steps whose gradients make one update")
    learning_rate: Rate = Field(
        default=1e-3,
        description="highest rate, above 0, after the warm-up; auto: found before the training",
    )
    schedule: ScheduleName = Field(
        default="cosine",
        description="of the rate after the warm-up: half a cosine down to 0, several, or no change",
    )
    cycles: int = Field(default=3, ge=1, description="half cosines of cosine-restarts")
    weight_decay: float = Field(
        default=1e-4, ge=0, description="of AdamW; on kernels only, not on gamma, beta and biases"
    )
    warmup: float = Field(
        default=0.05, ge=0, lt=1, description="share of all steps in which the rate goes up"
    )
    clip_norm: float | None = Field(
        default=None, gt=0, description="largest norm of all gradients together"
    )
    ema: float | None = Field(
        default=None, gt=0, lt=1, description="decay of averaged weights; null: none are kept"
    )
    precise_bn: bool = Field(
        default=False, description="exact batch statistics at the end, if validation agrees"
    )
    precision: PrecisionName = Field(
        default="float32", description="in which training steps compute; what is saved is float32"
    )
    loss: LossText | None = Field(
        default=None,
        description=f"a loss, or a sum such as 0.5*focal+dice; of masks {', '.join(SEGMENTATION)}, "
        f"of targets {', '.join(REGRESSION)}; null: the task's own",
    )
    loss_options: LossOptions = LossOptions()
    class_weights: ClassWeights = Field(
        default=None,
        description="in the loss: equal in total (balanced), a number for each class, or by name",
    )
    metric: MetricName | None = Field(
        default=None,
        description="decides which epoch is the best, on the validation images; null: iou of two "
        "classes, mean_iou of more, r2 of targets",
    )
    keep: Literal["best", "last"] = Field(
        default="best", description="whose weights are kept: of the best epoch, or of the last one"
    )
    early_stopping: int | None = Field(
        default=None,
        ge=1,
        description="epochs without a better metric after which the run ends; null: it goes on",
    )
    seed: int = Field(
        default=0, ge=0, lt=2**31, description="of weights, patches and an automatic split"
    )
    weights_by_name: bool = Field(
        default=False,
        description="first weights by seed and layer name: other plans begin with the same",
    )
    budget: float | None = Field(
        default=None,
        gt=0,
        description="seconds, looked at after each epoch, after which the run ends; null: no limit",
    )
    trackers: tuple[TrackerName, ...] = Field(
        default=(), description="what else records the run, beside its own files"
    )
    workers: int = Field(default=2, ge=1, description="threads that cut patches")
    deterministic: bool = Field(
        default=True, description="the same seed gives the same weights on the same machine"
    )

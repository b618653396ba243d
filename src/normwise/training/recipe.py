"""What a training run is made of: every setting in one YAML file that a person can read.

```yaml
data:
  path: rivers            # the only setting that must be given
network:
  name: unet
norm: batch@pre-activation
training:
  epochs: 40
```

This file imports no Keras: a recipe can be read and mended without a backend.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
)
from pydantic_core import ErrorDetails

from normwise.errors import PlanError, RecipeError
from normwise.norms.plan import NormPlan
from normwise.training.loss_settings import ClassWeights, LossOptions, LossText
from normwise.training.recipe_problems import describe_problem, join_problems, yaml_problem

_UNNAMED: Final = "The recipe"

# The names in `networks.NETWORKS`, whose import loads a backend.
NetworkName = Literal["question", "unet", "residual", "attention", "nested", "encoder"]

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


def _sides(value: Any) -> Any:
    """`128` means a square or, of volumes, a cube."""
    return [value] if isinstance(value, int) and not isinstance(value, bool) else value


def _short(sides: tuple[int, ...]) -> int | tuple[int, ...]:
    return sides[0] if len(sides) == 1 else sides


def _two_or_three(sides: tuple[int, ...]) -> tuple[int, ...]:
    if len(sides) > 3:
        raise ValueError("expected one number, two for images, or three for volumes")
    return sides


PatchSize = Annotated[
    tuple[Annotated[int, Field(ge=1)], ...],
    Field(min_length=1),
    BeforeValidator(_sides),
    AfterValidator(_two_or_three),
    PlainSerializer(_short),
]
"""Sizes along the axes of an image or a volume; a single one stands for each of them."""


def _parsable(plan: str) -> str:
    try:
        NormPlan.parse(plan)
    except PlanError as error:
        raise ValueError(str(error)) from None
    return plan


PlanText = Annotated[str, Field(min_length=1), AfterValidator(_parsable)]


def _rate(value: Any) -> Any:
    """A positive number, or `auto`; a union would report a wrong value twice."""
    if value == "auto":
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ValueError(f"received {value!r}; allowed: a number greater than 0, or auto.")
    return float(value)


Rate = Annotated[float | Literal["auto"], BeforeValidator(_rate)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class AugmentationSettings(_Section):
    """How training patches are varied; validation patches never are."""

    flips: bool = Field(default=True, description="mirror at random along both axes")
    rotations: bool = Field(default=True, description="turn by a random multiple of 90 degrees")
    intensity: float = Field(
        default=0.0, ge=0, description="random gain and offset, in standard deviations of each band"
    )
    scale: float = Field(
        default=0.0, ge=0, description="largest change of size; 0.25: from 1/1.25 to 1.25 times"
    )
    angle: float = Field(default=0.0, ge=0, le=180, description="largest rotation, in degrees")
    elastic: float = Field(
        default=0.0, ge=0, description="standard deviation of a smooth displacement, in pixels"
    )
    gamma: float = Field(
        default=0.0, ge=0, description="standard deviation of the logarithm of an exponent"
    )
    noise: float = Field(
        default=0.0, ge=0, description="noise, in standard deviations of each band"
    )
    blur: float = Field(
        default=0.0, ge=0, description="largest standard deviation of a blur, in pixels"
    )
    channel_dropout: float = Field(
        default=0.0, ge=0, le=1, description="probability that a band is replaced by its mean"
    )


def _sampling(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    share = isinstance(value, float) and 0 < value <= 1
    if share or value in (None, "uniform", "class-balanced"):
        return value
    raise ValueError(
        f"received {value!r}; allowed: null or uniform (patches from anywhere), class-balanced, or "
        "a number above 0 and up to 1, the share of patches centred on rare classes."
    )


SamplingSetting = Annotated[
    Literal["uniform", "class-balanced"] | float | None, BeforeValidator(_sampling)
]


class DataSettings(_Section):
    """Which data, and how patches are cut from them."""

    path: str = Field(description="the data folder")
    labels: Literal["masks", "targets"] | None = Field(
        default=None, description="null: what is there"
    )
    bands: tuple[int, ...] | None = Field(
        default=None, min_length=1, description="from 0; null: all"
    )
    targets: tuple[int, ...] | None = Field(
        default=None, min_length=1, description="from 0; null: all"
    )
    fold: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=2)]] | None = Field(
        default=None, description="[2, 5]: of five folds the second validates; null: no folds"
    )
    validation: float = Field(
        default=0.2, gt=0, lt=1, description="share of images without a split"
    )
    patch: PatchSize | None = Field(
        default=None, description="rows and columns, or slices, rows and columns; null: chosen"
    )
    scaling: Literal["per-channel", "percentiles"] = Field(
        default="per-channel", description="by the data set's statistics, or each image by its own"
    )
    percentiles: tuple[float, float] = Field(
        default=(1.0, 99.8), description="of each image and channel, to 0 and 1"
    )
    sampling: SamplingSetting = Field(
        default=None,
        description="null or uniform, class-balanced, or the share of patches on rare classes",
    )
    augmentation: AugmentationSettings = AugmentationSettings()


class NetworkSettings(BaseModel):
    """Which network; further keys are the network's own options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: NetworkName = "unet"
    filters: int | tuple[int, ...] | None = Field(
        default=None, description="null: the network's own"
    )
    depth: int | None = Field(default=None, ge=1, description="null: the network's own")
    input_residual: bool = Field(
        default=False,
        description="predict what a linear function of the input leaves of the target",
    )

    @property
    def options(self) -> dict[str, Any]:
        """The network's own options, those that are no setting of every network."""
        return dict(self.model_extra or {})


class TrainingSettings(_Section):
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
    early_stopping: int | None = Field(
        default=None, ge=1, description="epochs without a better metric"
    )
    seed: int = Field(default=0, ge=0, lt=2**31)
    budget: float | None = Field(
        default=None, gt=0, description="seconds, looked at after each epoch"
    )
    trackers: tuple[TrackerName, ...] = Field(
        default=(), description="tensorboard, mlflow; beside the run's own files"
    )
    workers: int = Field(default=2, ge=1, description="threads that cut patches")
    deterministic: bool = Field(default=True, description="the same seed gives the same weights")


class Recipe(_Section):
    """Every setting of a training run.

    Example:
        ```python
        recipe = Recipe(data={"path": "rivers"}, training={"epochs": 5})
        ```
    """

    data: DataSettings
    network: NetworkSettings = NetworkSettings()
    norm: PlanText | None = Field(default=None, description="null: the network's own plan")
    training: TrainingSettings = TrainingSettings()
    out: str | None = Field(default=None, description="the run folder")

    def __init__(self, **settings: Any) -> None:
        # One error type for every way a recipe is made; pydantic's own names no near key.
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise RecipeError(_explain(error, _UNNAMED)) from None


def load_recipe(path: str | Path) -> Recipe:
    """Reads a recipe from a YAML file.

    Args:
        path: A `.yaml` file. A relative `data.path` stays as it is written: it is relative to
            the working folder.

    Returns:
        The recipe, with defaults for what the file leaves out.

    Raises:
        RecipeError: If the file can't be read, or with every unknown or impossible setting.
    """
    path = Path(path)
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"The recipe {path} can't be read: {error}.") from None
    except yaml.YAMLError as error:
        raise RecipeError(f"The recipe {path} is no YAML: {yaml_problem(error)}") from None
    return _checked(settings, f"The recipe {path}")


def with_settings(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """A recipe with some settings replaced, as `--set` on the command line does.

    Args:
        recipe: The recipe to start from; it is not changed.
        settings: Texts like `training.epochs=5`; values are read as YAML, so that
            `data.bands=[1,2,3]`, `data.patch=null` and `norm=batch@skip` all work.

    Returns:
        A new recipe.

    Raises:
        RecipeError: If a text has no `=`, or with every unknown or impossible setting.
    """
    changed = json.loads(recipe.model_dump_json())
    for setting in settings:
        key, value = _key_and_value(setting)
        _put(changed, key.split("."), value, setting)
    return _checked(changed, "The recipe with these settings")


def to_yaml(recipe: Recipe) -> str:
    """The recipe as YAML text that `load_recipe` reads back to an equal recipe."""
    plain = json.loads(recipe.model_dump_json())
    return str(yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True))


class _Dumper(yaml.SafeDumper):
    """One line a setting: sections as blocks, lists such as `[96, 96]` in their line."""


_Dumper.add_representer(
    list,
    lambda dumper, values: dumper.represent_sequence(
        "tag:yaml.org,2002:seq", values, flow_style=True
    ),
)


_HARMLESS: Final = frozenset({"out", "training.workers", "training.trackers"})


def differences(one: Recipe, two: Recipe) -> list[str]:
    """What two recipes disagree about, but for `out`, the number of threads and trackers.

    Returns:
        Texts like `training.epochs is 5, was 4`, in the order of the keys.
    """
    was, now = flat_settings(one), flat_settings(two)
    return [
        f"{key} is {now.get(key)!r}, was {was.get(key)!r}"
        for key in dict.fromkeys([*was, *now])
        if was.get(key) != now.get(key) and key not in _HARMLESS
    ]


def flat_settings(recipe: Recipe) -> dict[str, Any]:
    """Every setting of a recipe by its dotted key, such as `training.epochs`."""
    return _flat(recipe.model_dump(mode="json"))


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return flat


def _checked(settings: Any, source: str) -> Recipe:
    if not isinstance(settings, dict) or not all(isinstance(key, str) for key in settings):
        raise RecipeError(
            f"{source} must hold named settings such as `data:` and `training:`; "
            f"received {type(settings).__name__}."
        )
    try:
        return Recipe(**settings)
    except RecipeError as error:
        raise RecipeError(source + str(error).removeprefix(_UNNAMED)) from None


def _explain(error: ValidationError, source: str) -> str:
    details: list[ErrorDetails] = error.errors(include_url=False)
    return join_problems(source, [describe_problem(detail, known_keys()) for detail in details])


def known_keys() -> tuple[str, ...]:
    """Every setting of a recipe as a dotted key, such as `data.augmentation.flips`."""
    return tuple(_keys(Recipe, ""))


def _keys(section: type[BaseModel], prefix: str) -> list[str]:
    keys: list[str] = []
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys += [prefix + name, *_keys(kind, f"{prefix}{name}.")]
        else:
            keys.append(prefix + name)
    return keys


def _key_and_value(setting: str) -> tuple[str, Any]:
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise RecipeError(
            f"A setting is written key=value, for example training.epochs=5; received {setting!r}."
        )
    try:
        return key.strip(), yaml.safe_load(text)
    except yaml.YAMLError:
        raise RecipeError(f"The value of {setting!r} is no YAML.") from None


def _put(settings: dict[str, Any], path: list[str], value: Any, setting: str) -> None:
    for part in path[:-1]:
        settings = settings.setdefault(part, {})
        if not isinstance(settings, dict):
            raise RecipeError(f"{part!r} in {setting!r} is a value and has no settings of its own.")
    settings[path[-1]] = value

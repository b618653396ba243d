"""The settings of a recipe that belong to its loss, and what can be wrong with them."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from normwise.training.distribution import Distribution
from normwise.training.losses.expression import canonical_loss, parse_loss

LossText = Annotated[str, Field(min_length=1), AfterValidator(canonical_loss)]

_OWNERS: Final = {
    "label_smoothing": ("cross-entropy",),
    "focal_gamma": ("focal",),
    "tversky_alpha": ("tversky",),
    "tversky_beta": ("tversky",),
    "huber_delta": ("huber",),
    "quantiles": ("quantile",),
}


def _ascending(quantiles: tuple[float, ...]) -> tuple[float, ...]:
    if list(quantiles) != sorted(set(quantiles)) or not 0 < quantiles[0] <= quantiles[-1] < 1:
        raise ValueError(
            f"received {list(quantiles)}; allowed: ascending numbers between 0 and 1, such as "
            "[0.1, 0.5, 0.9]."
        )
    return quantiles


class LossOptions(BaseModel):
    """Numbers of single losses; one that the loss doesn't use must stay at its default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="cross-entropy: share spread over all classes"
    )
    focal_gamma: float = Field(default=2.0, ge=0, description="how little easy pixels count")
    tversky_alpha: float = Field(default=0.3, gt=0, description="weight of false positives")
    tversky_beta: float = Field(default=0.7, gt=0, description="weight of false negatives")
    huber_delta: float = Field(
        default=1.0, gt=0, description="where errors turn linear, in target deviations"
    )
    quantiles: Annotated[tuple[float, ...], Field(min_length=1), AfterValidator(_ascending)] = (
        Field(default=(0.1, 0.5, 0.9), description="one output for each target and quantile")
    )


def _class_weights(value: Any) -> Any:
    if value is None or value == "balanced":
        return value
    if isinstance(value, (list, tuple)) and value and all(map(_is_weight, value)) and any(value):
        return tuple(float(weight) for weight in value)
    if isinstance(value, dict) and value and all(map(_is_weight, value.values())):
        return {str(name): float(weight) for name, weight in value.items()}
    raise ValueError(
        f"received {value!r}; allowed: null, balanced, a list with a number from 0 for each "
        "class, not all of them 0, or a mapping from class names to numbers."
    )


def _is_weight(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 0 <= value < float("inf")


ClassWeights = Annotated[
    Literal["balanced"] | tuple[float, ...] | dict[str, float] | None,
    BeforeValidator(_class_weights),
]


def distribution_of(loss: str, options: LossOptions) -> Distribution:
    """What a loss makes the outputs of a regression say about each target."""
    name = parse_loss(loss)[0].name
    if name == "quantile":
        return Distribution(quantiles=options.quantiles)
    return Distribution(gaussian=name == "gaussian")


def owners_of(option: str) -> tuple[str, ...]:
    """The losses that an option of `LossOptions` belongs to."""
    return _OWNERS[option]


def unused_options(loss: str, options: LossOptions) -> list[str]:
    """What is wrong with options that the loss has no use for, one line each.

    Args:
        loss: A loss or a sum, as a recipe names it.
        options: The recipe's.
    """
    names = [term.name for term in parse_loss(loss)]
    return [
        f"training.loss_options.{key}: has no effect on {loss}; it belongs to "
        f"{' and '.join(owners)} in training.loss."
        for key, owners in _OWNERS.items()
        if getattr(options, key) != _default(key) and not set(owners) & set(names)
    ]


def _default(key: str) -> Any:
    return LossOptions.model_fields[key].default


def class_weight_problems(weights: Any, loss: str, task: str, classes: Sequence[str]) -> list[str]:
    """What is wrong with class weights for these classes and this loss, one line each."""
    if weights is None:
        return []
    if task != "segmentation":
        return ["training.class_weights: a regression has no classes; leave them out."]
    key, problems = "training.class_weights", []
    if isinstance(weights, tuple) and len(weights) != len(classes):
        problems.append(
            f"{key}: received {len(weights)} numbers; expected {len(classes)}, one for each of "
            f"{', '.join(classes)}."
        )
    if isinstance(weights, dict):
        problems += [
            f"{key}: {name!r} is no class; expected some of {', '.join(classes)}."
            for name in weights
            if name not in classes
        ]
        if not any(weights.get(name, 1.0) for name in classes):
            problems.append(f"{key}: every class has weight 0; nothing would be learnt.")
    if len(classes) == 2 and {term.name for term in parse_loss(loss)} <= {"dice", "tversky"}:
        problems.append(
            f"{key}: has no effect on {loss} of two classes, which counts the foreground alone; "
            "add cross-entropy or focal to training.loss."
        )
    return problems

"""Which loss other settings ask for: options of a loss, and metrics of a distribution."""

from typing import Final

from normwise.training.configure.situation import Chosen
from normwise.training.loss_settings import LossOptions, owners_of
from normwise.training.losses.expression import task_of

_OPTIONS: Final = "training.loss_options."
_QUANTILES: Final = "training.loss_options.quantiles"
_METRICS: Final = {"pinball": "quantile", "nll": "gaussian"}


def needs(chosen: Chosen) -> dict[str, str]:
    """By key the loss that it has no effect without."""
    found = {}
    for key, value in chosen.items():
        option = key.removeprefix(_OPTIONS)
        if key != option and not _is_default(option, value):
            found[key] = owners_of(option)[0]
    if (metric := chosen.get("training.metric")) in _METRICS:
        found["training.metric"] = _METRICS[str(metric)]
    return found


def has_several_outputs(loss: str, chosen: Chosen) -> bool:
    """Whether a loss has several outputs for each target."""
    usual = LossOptions.model_fields["quantiles"].default
    return loss == "gaussian" or (loss == "quantile" and len(chosen.get(_QUANTILES, usual)) > 1)


def implied_loss(chosen: Chosen, task: str) -> str | None:
    """The loss that makes all settings of losses have an effect; None where nothing asks for one.

    Args:
        chosen: The choices so far.
        task: `segmentation`, whose losses are added, or `regression`, whose aren't.
    """
    asked = [loss for loss in dict.fromkeys(needs(chosen).values()) if task_of(loss) == task]
    if task == "regression":
        return asked[0] if asked else None
    pixels = [name for name in ("cross-entropy", "focal") if name in asked] or ["cross-entropy"]
    areas = ["tversky"] if "tversky" in asked else ["dice"]
    return "+".join([*pixels, *areas]) if asked else None


def _is_default(option: str, value: object) -> bool:
    default = LossOptions.model_fields[option].default
    plain = list(default) if isinstance(default, tuple) else default
    return value in (default, plain)

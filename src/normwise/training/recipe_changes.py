"""A recipe with other settings, and what two recipes disagree about."""

import json
import math
from collections.abc import Sequence
from typing import Any, Final

import yaml

from normwise.errors import RecipeError
from normwise.training.recipe import Recipe, checked
from normwise.training.yaml_values import read_yaml

_HARMLESS: Final = frozenset({"out", "training.workers", "training.trackers", "prediction.tta"})


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
    return checked(changed, "The recipe with these settings")


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


def as_setting(value: Any) -> str:
    """A value as `--set` and `--vary` read it, however long in one line."""
    text = str(yaml.safe_dump(value, default_flow_style=True, width=math.inf))
    return text.removesuffix("...\n").strip()


def told_settings(recipe: Recipe) -> dict[str, Any]:
    """The settings of a recipe that aren't at their defaults, without the data's path and `out`."""
    default = flat_settings(Recipe(data={"path": recipe.data.path}))
    return {
        key: value
        for key, value in flat_settings(recipe).items()
        if key != "out" and default.get(key) != value
    }


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return flat


def _key_and_value(setting: str) -> tuple[str, Any]:
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise RecipeError(
            f"A setting is written key=value, for example training.epochs=5; received {setting!r}."
        )
    try:
        return key.strip(), read_yaml(text)
    except yaml.YAMLError:
        raise RecipeError(f"The value of {setting!r} is no YAML.") from None


def _put(settings: dict[str, Any], path: list[str], value: Any, setting: str) -> None:
    for part in path[:-1]:
        settings = settings.setdefault(part, {})
        if not isinstance(settings, dict):
            raise RecipeError(f"{part!r} in {setting!r} is a value and has no settings of its own.")
    settings[path[-1]] = value

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
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import AfterValidator, BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails

from normwise.errors import PlanError, RecipeError
from normwise.norms.plan import NormPlan
from normwise.training.data_settings import DataSettings
from normwise.training.network_settings import NetworkSettings
from normwise.training.prediction_settings import PredictionSettings
from normwise.training.recipe_problems import describe_problem, join_problems, yaml_problem
from normwise.training.section import Section
from normwise.training.training_settings import TrainingSettings
from normwise.training.yaml_values import read_yaml

_UNNAMED: Final = "The recipe"


def _parsable(plan: str) -> str:
    try:
        NormPlan.parse(plan)
    except PlanError as error:
        raise ValueError(str(error)) from None
    return plan


PlanText = Annotated[str, Field(min_length=1), AfterValidator(_parsable)]


class Recipe(Section):
    """Every setting of a training run.

    Example:
        ```python
        recipe = Recipe(data={"path": "rivers"}, training={"epochs": 5})
        ```
    """

    data: DataSettings
    network: NetworkSettings = NetworkSettings()
    norm: PlanText | None = Field(
        default=None, description="the norm plan; null: the network's own"
    )
    training: TrainingSettings = TrainingSettings()
    prediction: PredictionSettings = PredictionSettings()
    out: str | None = Field(
        default=None, description="the run folder; null: `runs/` and the data's name"
    )

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
        settings = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"The recipe {path} can't be read: {error}.") from None
    except yaml.YAMLError as error:
        raise RecipeError(f"The recipe {path} is no YAML: {yaml_problem(error)}") from None
    return checked(settings, f"The recipe {path}")


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


def checked(settings: Any, source: str) -> Recipe:
    """A recipe from plain settings, with the source's name in what is wrong with them.

    Raises:
        RecipeError: With every unknown or impossible setting.
    """
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

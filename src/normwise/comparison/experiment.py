"""A comparison as data: which variants, which seeds and folds, and the recipe of each trial."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import yaml

from normwise.errors import RecipeError
from normwise.norms.plan import NormPlan, with_standardized_input
from normwise.training.recipe import Recipe
from normwise.training.recipe_changes import as_setting, with_settings
from normwise.training.yaml_values import read_yaml

_OURS: Final = {
    "norm": "name plans with --norm",
    "training.seed": "say how many seeds with --seeds",
    "data.fold": "say how many folds with --folds",
    "data.path": "compare each data set by itself",
    "out": "trials have folders of their own",
}
"""Settings that a comparison decides itself, and what to do instead."""


@dataclass(frozen=True)
class Variant:
    """What differs between the trials that are compared.

    Attributes:
        plan: A norm plan in canonical form; unless it names the input, that is standardized.
        settings: Varied settings as texts, such as `network.decoder_activation=relu`.
    """

    plan: str
    settings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The plan and the settings, as a person reads them."""
        return " · ".join((self.plan, *self.settings))

    @property
    def folder(self) -> str:
        """The name of its folder: readable, and its own whatever else is compared."""
        words = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")[:60].strip("-")
        return f"{words}-{hashlib.sha256(self.name.encode()).hexdigest()[:6]}"


@dataclass(frozen=True)
class Trial:
    """One training.

    Attributes:
        variant: What differs.
        seed: Of its weights and patches.
        fold: Of a cross-validation, or None.
        until: The epoch after which it pauses to be judged; None trains to the end.
    """

    variant: Variant
    seed: int
    fold: tuple[int, int] | None = None
    until: int | None = None

    @property
    def folder(self) -> str:
        """The path of its run folder inside the comparison's."""
        fold = f"-fold{self.fold[0]}of{self.fold[1]}" if self.fold else ""
        return f"trials/{self.variant.folder}/seed{self.seed}{fold}"

    @property
    def name(self) -> str:
        """For messages."""
        fold = f", fold {self.fold[0]} of {self.fold[1]}" if self.fold else ""
        return f"{self.variant.name}, seed {self.seed}{fold}"


@dataclass(frozen=True)
class Experiment:
    """Which trials are made.

    Attributes:
        base: What all trials have in common.
        variants: What is compared.
        seeds: How many seeds, counted on from the seed of `base`.
        folds: How many folds, None for the split of the data.
    """

    base: Recipe
    variants: tuple[Variant, ...]
    seeds: int = 3
    folds: int | None = None

    def blocks(self) -> Iterator[tuple[int, tuple[int, int] | None]]:
        """Seed and fold of each group of trials that are paired."""
        first = self.base.training.seed
        folds = [(k + 1, self.folds) for k in range(self.folds)] if self.folds else [None]
        yield from product(range(first, first + self.seeds), folds)

    def trials(self) -> Iterator[Trial]:
        """All trials, seed by seed, so that what is done by any time can be compared."""
        for seed, fold in self.blocks():
            for variant in self.variants:
                yield Trial(variant, seed, fold)

    def recipe(self, trial: Trial) -> Recipe:
        """The recipe of a trial; `normwise train` makes the same run of it.

        Raises:
            RecipeError: If a varied setting is unknown or impossible.
        """
        varied = with_settings(self.base, trial.variant.settings)
        data = varied.data.model_copy(update={"fold": trial.fold})
        own = {"seed": trial.seed, "weights_by_name": True}
        training = varied.training.model_copy(update=own)
        changes = {"data": data, "training": training, "norm": trial.variant.plan, "out": None}
        return varied.model_copy(update=changes)


def variants_of(plans: Sequence[str], vary: Sequence[str] = ()) -> tuple[Variant, ...]:
    """Every plan with every combination of varied settings.

    Args:
        plans: Norm plans as texts.
        vary: Texts like `network.decoder_activation=null,relu`.

    Raises:
        PlanError: A text is no plan.
        RecipeError: There is nothing to compare, something is named twice, or a text varies
            nothing.
    """
    parsed = [NormPlan.parse(plan) for plan in plans]
    # A plan that says nothing of the input scales it, like one that says so.
    complete = [str(with_standardized_input(plan)) for plan in parsed]
    axes = [_axis(text) for text in vary]
    keys = [axis[0].partition("=")[0] for axis in axes]
    for kind, named in (("plan", complete), ("setting", keys)):
        twice = sorted({one for one in named if named.count(one) > 1})
        if twice:
            raise RecipeError(f"the {kind} {twice[0]!r} is named twice; name it once.")
    found = tuple(Variant(str(plan), chosen) for plan in parsed for chosen in product(*axes))
    if len(found) < 2:
        raise RecipeError(
            f"a comparison needs two variants or more; received {len(plans)} plan(s) and nothing "
            "that varies. Name another --norm, or --vary a setting."
        )
    return found


def _axis(text: str) -> tuple[str, ...]:
    key, equals, values = text.partition("=")
    key = key.strip()
    try:
        found: Any = read_yaml(f"[{values}]") if equals else []
    except yaml.YAMLError:
        found = []
    if len(found) < 2:
        raise RecipeError(
            f"--vary is written key=value,value, for example training.batch_size=2,8; received "
            f"{text!r}."
        )
    if key in _OURS:
        raise RecipeError(f"--vary {text}: {key} is no setting to vary; {_OURS[key]}.")
    settings = tuple(f"{key}={as_setting(value)}" for value in found)
    for place, value in enumerate(found):
        named = settings[place] in settings[:place]
        if named or any(_same(value, before) for before in found[:place]):
            raise RecipeError(
                f"--vary {text}: {settings[place]} is named twice; name each value once."
            )
    return settings


def _same(one: Any, other: Any) -> bool:
    """Whether two values are one and the same setting, such as 2 and 2.0; `true` is no 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)

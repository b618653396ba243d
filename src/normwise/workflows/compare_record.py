"""What a comparison was begun with, kept in its folder: others are refused there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from normwise.comparison.experiment import Experiment
from normwise.data.content_hash import content_hash
from normwise.data.dataset import Dataset
from normwise.data.told import Told, told_by
from normwise.errors import OutputExistsError, RecipeError, RunError
from normwise.files import refuse_no_folder, write_text
from normwise.training.recipe import Recipe
from normwise.training.recipe_changes import differences

EXPERIMENT_FILE: Final = "experiment.json"
OUTPUTS: Final = ("comparison.json", "report.md", "report.html")


@dataclass(frozen=True)
class Ground:
    """What all trials have in common that stands in no recipe.

    Attributes:
        fingerprint: Of the files of the data.
        told: What the data folder says beside them.
        backend: What computes.
    """

    fingerprint: str
    told: Told
    backend: str

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the record."""
        return {
            "data": self.fingerprint,
            "splits": self.told.splits,
            "description": dict(self.told.description),
            "backend": self.backend,
        }

    def differing(self, was: Mapping[str, Any]) -> Iterator[str]:
        """What a record says otherwise; what it doesn't say isn't compared."""
        if was["data"] != self.fingerprint:
            yield "the data have changed"
        if was.get("splits", self.told.splits) != self.told.splits:
            yield "images of the data folder stand in other splits or groups"
        now = self.told.description
        before = was.get("description", now)
        if keys := [k for k in dict.fromkeys([*before, *now]) if before.get(k) != now.get(k)]:
            yield f"dataset.yaml says otherwise of {', '.join(keys)}"
        if was.get("backend", self.backend) != self.backend:
            yield f"the backend is {self.backend}, was {was['backend']}"


def ground_of(data: str, dataset: Dataset, backend: str) -> Ground:
    """What the trials of a comparison stand on.

    Args:
        data: The path of the data.
        dataset: The same, opened.
        backend: What computes.

    Raises:
        DataError: If its tables can't be read any more.
    """
    told = told_by(Path(data), "masks" if dataset.task == "segmentation" else "targets")
    return Ground(content_hash(dataset), told, backend)


def prepare(
    folder: Path,
    experiment: Experiment,
    ground: Ground,
    budget: float | None,
    overwrite: bool,
) -> None:
    """Clears what is replaced, and leaves the record of what is compared.

    Args:
        folder: Of the comparison.
        experiment: What is compared.
        ground: What its trials stand on.
        budget: Seconds of the whole comparison, None for any.
        overwrite: Whether what the folder holds is replaced.
    """
    if overwrite:
        shutil.rmtree(folder / "trials", ignore_errors=True)
        for name in (EXPERIMENT_FILE, *OUTPUTS):
            (folder / name).unlink(missing_ok=True)
    content = {
        **ground.to_dict(),
        "recipe": experiment.base.model_dump(mode="json"),
        "variants": [[v.plan, list(v.settings)] for v in experiment.variants],
        "seeds": experiment.seeds,
        "folds": experiment.folds,
        "budget": budget,
    }
    text = json.dumps(content, indent=2, ensure_ascii=False)
    write_text(folder / EXPERIMENT_FILE, f"{text}\n")


def refuse_unknown(folder: Path, overwrite: bool) -> None:
    """Refuses a folder whose results or trials no record tells to be those of a comparison.

    Args:
        folder: Of the comparison.
        overwrite: Whether results may be replaced. Trials that may be something else never are.

    Raises:
        OutputExistsError: It holds some, or is a file.
    """
    refuse_no_folder(folder)
    if (folder / EXPERIMENT_FILE).exists():
        return
    kept = ("trials",) if overwrite else (*OUTPUTS, "trials")
    if present := [name for name in kept if (folder / name).exists()]:
        raise OutputExistsError(
            f"{folder} holds {present[0]}, but no {EXPERIMENT_FILE} that tells what of. Name "
            f"another folder{'' if 'trials' in present else ', or replace it with `--overwrite`'}."
        )


def refuse_others(folder: Path, experiment: Experiment, ground: Ground) -> None:
    """Refuses a folder that holds anything but the same comparison, or a part of it.

    Args:
        folder: Of the comparison.
        experiment: What is compared.
        ground: What its trials stand on.

    Raises:
        RunError: It holds another comparison, or no readable record of one.
    """
    record = folder / EXPERIMENT_FILE
    if not record.exists():
        return
    try:
        was = json.loads(record.read_text(encoding="utf-8"))
        recipe, folds = Recipe(**was["recipe"]), was["folds"]
        other = list(ground.differing(was))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecipeError) as error:
        raise RunError(f"{record}: no record of a comparison ({error}).") from error
    differing = [*differences(recipe, experiment.base), *other]
    if folds != experiment.folds:
        differing.append(f"folds is {experiment.folds}, was {folds}")
    if differing:
        raise RunError(
            f"The comparison in {folder} was begun otherwise: {'; '.join(differing)}. Plans, seeds "
            "and varied settings can be added; for the rest name another folder, or replace it "
            "with `--overwrite`."
        )

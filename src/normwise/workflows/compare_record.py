"""What a comparison was begun with, kept in its folder: others are refused there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

from normwise.comparison.experiment import Experiment
from normwise.errors import OutputExistsError, RecipeError, RunError
from normwise.files import write_text
from normwise.training.recipe import Recipe
from normwise.training.recipe_changes import differences

EXPERIMENT_FILE: Final = "experiment.json"
OUTPUTS: Final = ("comparison.json", "report.md", "report.html")


def prepare(
    folder: Path,
    experiment: Experiment,
    fingerprint: str,
    budget: float | None,
    overwrite: bool,
) -> None:
    """Clears what is replaced, and leaves the record of what is compared.

    Args:
        folder: Of the comparison.
        experiment: What is compared.
        fingerprint: Of the data.
        budget: Seconds of the whole comparison, None for any.
        overwrite: Whether what the folder holds is replaced.
    """
    if overwrite:
        shutil.rmtree(folder / "trials", ignore_errors=True)
        for name in (EXPERIMENT_FILE, *OUTPUTS):
            (folder / name).unlink(missing_ok=True)
    content = {
        "data": fingerprint,
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
        OutputExistsError: It holds some.
    """
    if (folder / EXPERIMENT_FILE).exists():
        return
    kept = ("trials",) if overwrite else (*OUTPUTS, "trials")
    if present := [name for name in kept if (folder / name).exists()]:
        raise OutputExistsError(
            f"{folder} holds {present[0]}, but no {EXPERIMENT_FILE} that tells what of. Name "
            f"another folder{'' if 'trials' in present else ', or replace it with `--overwrite`'}."
        )


def refuse_others(folder: Path, experiment: Experiment, fingerprint: str) -> None:
    """Refuses a folder that holds anything but the same comparison, or a part of it.

    Args:
        folder: Of the comparison.
        experiment: What is compared.
        fingerprint: Of the data.

    Raises:
        RunError: It holds another comparison, or no readable record of one.
    """
    record = folder / EXPERIMENT_FILE
    if not record.exists():
        return
    try:
        was = json.loads(record.read_text(encoding="utf-8"))
        recipe, data, folds = Recipe(**was["recipe"]), was["data"], was["folds"]
    except (OSError, ValueError, TypeError, KeyError, RecipeError) as error:
        raise RunError(f"{record}: no record of a comparison ({error}).") from error
    differing = differences(recipe, experiment.base)
    if data != fingerprint:
        differing.append("the data have changed")
    if folds != experiment.folds:
        differing.append(f"folds is {experiment.folds}, was {folds}")
    if differing:
        raise RunError(
            f"The comparison in {folder} was begun otherwise: {'; '.join(differing)}. Plans, seeds "
            "and varied settings can be added; for the rest name another folder, or replace it "
            "with `--overwrite`."
        )

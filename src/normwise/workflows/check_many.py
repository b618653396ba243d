"""Checking many models, in files and folders, without stopping at one that can't be read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normwise.errors import CheckError, ModelReadError, NoModelError, NormwiseError
from normwise.keras_format.reading import RUN_MODEL
from normwise.rules import Severity
from normwise.rules.allowing import Allowance, allowed
from normwise.rules.project import project_allowances
from normwise.workflows.check import check
from normwise.workflows.models import is_callable_name

if TYPE_CHECKING:
    from normwise.rules import Finding, Report

SUFFIXES = (".keras", ".h5", ".hdf5")
_START = 512
_ARCHITECTURE = re.compile(
    rb'\s*{\s*(?:"module"\s*:\s*"[^"]*"\s*,\s*)?"class_name"\s*:\s*"(?:Functional|Model|Sequential)"'
)


@dataclass(frozen=True)
class Checked:
    """What came of one of the models.

    Attributes:
        model: How it was named, or its path.
        report: The findings, without those that are allowed; None if it couldn't be read.
        allowed: Findings that are allowed, each with what allows it.
        error: Why it couldn't be read; empty if it could.
    """

    model: str
    report: Report | None
    allowed: tuple[tuple[Finding, Allowance], ...] = ()
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        nothing: dict[str, Any] = {"model": self.model, "worst": None, "findings": [], "unread": []}
        found = self.report.to_dict() if self.report else nothing
        return {
            **found,
            "source": self.model,
            "allowed": [
                {**finding.to_dict(), "reason": allowance.reason}
                for finding, allowance in self.allowed
            ],
            "error": self.error or None,
        }


def check_many(
    models: Iterable[str], ignore: Sequence[str] = (), **settings: Any
) -> Iterator[Checked]:
    """Checks models one after the other.

    Args:
        models: Model files, run folders, `package.module:callable`, or folders that are searched
            for `.keras` files, and for `.h5` and `.json` files that hold a model; hidden folders
            are left out.
        ignore: Rules to leave out, where wanted only for layers that match a pattern:
            `"wrong-axis:audio_*"`. What the project's pyproject.toml allows is left out as well.
        **settings: What is known of the training, and data, as for `check`.

    Returns:
        What came of each model, as soon as it is known.

    Raises:
        CheckError: An impossible training set-up, an unknown rule, or a table in pyproject.toml
            that can't be read.
    """
    allowances = (*map(Allowance.parse, ignore), *project_allowances())
    return _each(models, allowances, settings)


def _each(
    models: Iterable[str], allowances: Sequence[Allowance], settings: dict[str, Any]
) -> Iterator[Checked]:
    for name in dict.fromkeys(models):
        try:
            paths = _models_in(name)
        except ModelReadError as error:
            yield Checked(name, None, error=str(error))
            continue
        none = True
        for path in paths:
            try:
                yield _checked(path, allowances, settings)
            except NoModelError as error:
                if path != name:
                    continue  # a folder may hold HDF5 files of any kind
                yield Checked(name, None, error=str(error))
            none = False
        if none:
            yield Checked(name, None, error=_no_model_in(name))


def exit_code(done: Sequence[Checked], fail_on: str) -> int:
    """What the command exits with: 2 if a model couldn't be read, 1 for findings that count.

    Args:
        done: What came of the models.
        fail_on: The severity from which findings count, or `"never"`.
    """
    if any(one.error for one in done):
        return 2
    if fail_on == "never":
        return 0
    worst = Severity(fail_on)
    return int(any(one.report and one.report.at_least(worst) for one in done))


def _checked(model: str, allowances: Sequence[Allowance], settings: dict[str, Any]) -> Checked:
    try:
        report, taken = allowed(check(model, **settings), allowances)
    except (CheckError, NoModelError):
        raise
    except NormwiseError as error:  # of this model, or of data that don't fit it
        return Checked(model, None, error=str(error))
    return Checked(model, report, taken)


def _models_in(name: str) -> list[str]:
    path = Path(name)
    searched = os.path.isdir(name)  # noqa: PTH112 - a name that is too long is none
    if is_callable_name(name) or not searched:
        return [name]
    found = []
    for folder, folders, files in os.walk(path):
        folders[:] = [one for one in folders if not one.startswith(".")]
        found += [
            os.path.join(folder, file)  # noqa: PTH118 - as the user wrote the folder
            for file in files
            if _is_model(Path(folder, file))
        ]
    if not found:
        raise ModelReadError(_no_model_in(name))
    if [Path(file) for file in found] == [path / RUN_MODEL]:
        return [name]  # a run folder goes by its own name
    return sorted(found)


def _no_model_in(folder: str) -> str:
    return (
        f"{folder}: the folder holds no model in a {' or '.join(SUFFIXES[:2])} file, and no "
        "architecture in a .json file."
    )


def _is_model(path: Path) -> bool:
    name = path.name.lower()
    if name.endswith(".json"):
        return _is_architecture(path)
    return name.endswith(SUFFIXES) and not name.endswith(".weights.h5")


def _is_architecture(path: Path) -> bool:
    """Whether a `.json` file, which may hold anything, starts like what `to_json` writes."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return _ARCHITECTURE.match(file.read(_START)) is not None
    except OSError:
        return False

"""The folder of a run: which files it holds, whether it may be written, and its log."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from normwise.data.reading import RECORD_NAME
from normwise.errors import OutputExistsError, RecipeError, RunError
from normwise.files import refuse_no_folder
from normwise.training.recipe import Recipe
from normwise.training.run_files import (
    BEST,
    CHECK,
    CURVES,
    DATA,
    HISTORY,
    LAST,
    LOG,
    METRICS,
    MODEL,
    PAGE,
    PREVIEW,
    RATES,
    RECIPE,
    RECORD,
)

FILES: Final = (
    RECIPE, MODEL, HISTORY, METRICS, CURVES, PREVIEW, LOG, RECORD_NAME, CHECK, RECORD, PAGE,
    str(LAST), str(BEST), DATA,
)  # fmt: skip

TOGETHER: Final = ("folds.json", "ensemble.json")
"""Files that would make an ensemble of the folder; they don't go with a run of its own."""

log = logging.getLogger("normwise.training")


def folder_of(recipe: Recipe, out: str | Path | None) -> Path:
    """The folder that is told, else the recipe's.

    Raises:
        RecipeError: If neither names one.
    """
    if out is None and recipe.out is None:
        raise RecipeError("out: missing; name the folder that the run shall be written to.")
    return Path(out if out is not None else str(recipe.out))


def refuse_existing(folder: Path, resume: bool, overwrite: bool) -> None:
    """Refuses a folder that holds a run which would be replaced, or none to go on with.

    Raises:
        OutputExistsError: If the folder holds a run already, or is a file.
        RunError: If there is nothing to resume.
    """
    refuse_no_folder(folder)
    present = _present(folder)
    if resume and not present:
        raise RunError(
            f"There is no run to resume in {folder}: it holds none of {', '.join(FILES[:3])}. "
            "Start one without `--resume`."
        )
    if present and not resume and not overwrite:
        raise OutputExistsError(
            f"{folder} holds a run already. Go on with it (`--resume`), replace it "
            "(`--overwrite`), or name another folder."
        )


def prepare_folder(folder: Path, resume: bool, overwrite: bool) -> None:
    """Makes the folder, without the files of a run that is replaced.

    Raises:
        OutputExistsError: If the folder holds a run already.
        RunError: If there is nothing to resume.
    """
    refuse_existing(folder, resume, overwrite)
    for path in () if resume else (*_present(folder), folder / RATES):
        path.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)


def _present(folder: Path) -> list[Path]:
    return [folder / name for name in (*FILES, *TOGETHER) if (folder / name).exists()]


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """What is logged inside the block goes to a file, too."""
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("normwise")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    except BaseException as error:
        log.error("stopped: %s %s", type(error).__name__, error)
        raise
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
        handler.close()

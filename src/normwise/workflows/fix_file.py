"""Mending a model and writing it, as the command line does it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from normwise.errors import CheckError
from normwise.keras_format.reading import RUN_MODEL
from normwise.rules.allowing import Allowance
from normwise.rules.project import project_allowances
from normwise.workflows.check_many import Checked
from normwise.workflows.fix import fix
from normwise.workflows.fixed import Fixed
from normwise.workflows.rewrites import refuse_output, write_model


def fix_file(
    model: str,
    out: Path,
    *,
    unsafe: bool = False,
    ignore: Sequence[str] = (),
    overwrite: bool = False,
    **training: Any,
) -> tuple[Fixed, Checked]:
    """Mends a model and writes the result, whole or not at all; nothing if nothing was mended.

    What the project's pyproject.toml allows is left as it is.

    Args:
        model: A model file, run folder or `package.module:callable`.
        out: The `.keras` file to write.
        unsafe: Whether to make fixes that change the outputs, too.
        ignore: Rules to leave out, as for `fix`.
        overwrite: Whether an existing file may be replaced.
        **training: What is known of the training, as for `fix`.

    Returns:
        What was mended, and the findings that are left as a check of the result.

    Raises:
        OutputExistsError: The file exists and may not be replaced.
        CheckError: It is the model itself, which stays as it is.
        NormwiseError: As for `fix`.
    """
    refuse_output(out, overwrite)
    _refuse_source(model, out)
    allowances = (*map(Allowance.parse, ignore), *project_allowances())
    done = fix(model, unsafe=unsafe, ignore=allowances, **training)
    if done.mended:
        write_model(done.model, out, overwrite)
    return done, Checked(str(out if done.mended else model), done.after)


def _refuse_source(model: str, out: Path) -> None:
    """Says at once that the model itself is not replaced, however its path is written."""
    if not out.exists():
        return
    for source in (Path(model), Path(model) / RUN_MODEL):
        if source.is_file() and source.samefile(out):
            raise CheckError(
                f"check: got -o {out}, which is the model itself ({model}); --fix leaves it as it "
                "is, so name another file."
            )

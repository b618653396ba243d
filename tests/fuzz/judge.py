"""What may come of a file: a report, or an error that says what is wrong with it."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

from normwise.cli.findings import print_checked
from normwise.errors import NormwiseError
from normwise.workflows.check_formats import to_github, to_sarif
from normwise.workflows.check_many import check_many
from normwise.workflows.show import show

LONGEST_MESSAGE = 1000
TRAINING = {"batch_size": 2, "samples": 5, "epochs": 1, "optimizer": {"weight_decay": 0.01}}


def judge(path: Path, with_show: bool = True) -> str:
    """Checks a file as the command does, prints what comes of it in every form, and shows it.

    Returns:
        `"report"` or `"refused"`.

    Raises:
        AssertionError: The error isn't one that a person could use.
        Exception: A fault.
    """
    (checked,) = check_many([str(path)], **TRAINING)
    json.dumps(checked.to_dict())
    json.dumps(to_sarif([checked]))
    "\n".join(to_github([checked])).encode(errors="backslashreplace")
    _print(checked)
    if checked.error:
        assert path.name in checked.error, f"doesn't name the file: {checked.error[:500]}"
        assert len(checked.error) < LONGEST_MESSAGE, f"{len(checked.error)} characters long"
    if with_show:
        with suppress(NormwiseError):
            json.dumps(show(path).to_dict(), default=str)
    return "refused" if checked.error else "report"


def _print(checked: object) -> None:
    with (
        io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace") as stream,
        redirect_stdout(stream),
        redirect_stderr(stream),
    ):
        print_checked(checked, verbose=False)
        stream.flush()

"""What the verbs that rewrite a model print: each edit, what was left alone, what was proved."""

from pathlib import Path
from typing import TYPE_CHECKING

from normwise.cli.console import Format, output, print_json

if TYPE_CHECKING:
    from normwise.surgery.rewrite import RewriteReport


def print_rewrite(report: "RewriteReport", out: Path | None, format: Format) -> None:
    """Prints a report and where the model was written, None if it wasn't."""
    if format is Format.json:
        print_json({**report.to_dict(), "written": None if out is None else str(out)})
        return
    for change in report.changed:
        _line(f"  {change.layer}: {change.action}")
        for fault in change.faults:
            _line(f"    {fault}")
    for skip in report.skipped:
        _line(f"  {skip.layer} stays as it is: {skip.reason}")
    for note in report.notes:
        _line(note)
    if report.max_difference is not None:
        _line(
            f"{report.promise}: the largest difference is {report.max_difference:.1e} of an "
            "output's largest value"
        )
    if out is not None:
        _line(f"Written to {out}")


def _line(text: str) -> None:
    output.print(text, highlight=False, markup=False, soft_wrap=True)

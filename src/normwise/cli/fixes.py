"""`normwise check --fix`: what the option takes, and what is printed of it."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from typer.core import TyperCommand

from normwise.cli.console import output, print_json
from normwise.cli.layers import shown_layers
from normwise.errors import CheckError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from normwise.rules import Finding
    from normwise.workflows.fixed import Fixed

FIX = "--fix"


class Level(StrEnum):
    """Which fixes are made."""

    safe = "safe"
    unsafe = "unsafe"


class FixCommand(TyperCommand):
    """A command whose `--fix` may stand alone: then it means the safe ones."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Gives `--fix` its value before the options are told apart."""
        return super().parse_args(ctx, with_level(args))


def with_level(words: "Sequence[str]") -> list[str]:
    """Words of a command line in which `--fix` has a value wherever it stands.

    Example:
        >>> with_level(["--fix", "model.keras", "-o", "out.keras"])
        ['--fix=safe', 'model.keras', '-o', 'out.keras']
    """
    found: list[str] = []
    for index, word in enumerate(words):
        if word == "--":
            return [*found, *words[index:]]
        following = words[index + 1] if index + 1 < len(words) else None
        alone = word == FIX and following not in set(Level)
        found.append(f"{FIX}={Level.safe}" if alone else word)
    return found


def refuse_impossible(
    models: "Sequence[str]",
    fix: Level | None,
    out: Path | None,
    overwrite: bool,
    data: Path | None = None,
) -> None:
    """Says at once what can't be fixed so, before other work starts.

    Raises:
        CheckError: Several models, data, or one of the two options without the other.
        OutputExistsError: The file exists and may not be replaced.
    """
    if fix is None and out is None:
        return
    if fix is None:
        raise CheckError(f"check: got -o {out} without {FIX}, so there is nothing to write.")
    if out is None:
        raise CheckError(
            f"check: {FIX} writes another model and leaves this one as it is; say where to: "
            "-o OUT.keras."
        )
    if data is not None:
        raise CheckError(
            f"check: {FIX} mends what the graph and the weights show, and reads no data; check "
            "the mended model with --data."
        )
    if len(models) != 1:
        raise CheckError(f"check: {FIX} mends one model at a time, got {len(models)}.")
    from normwise.workflows.rewrites import refuse_output  # noqa: PLC0415 - light start-up

    refuse_output(out, overwrite)


def print_fixed(
    model: str, done: "Fixed", out: Path | None, as_json: bool, verbose: bool = False
) -> None:
    """Prints what was mended, what was not and why, and where the model was written."""
    if as_json:
        print_json({"model": model, **done.to_dict(), "written": str(out) if out else None})
        return
    ended = sum(one.ended for one in done.left)
    along = f", {ended} ended by these fixes" if ended else ""
    counts = f"{len(done.mended)} fixed{along}, {len(done.left) - ended} left"
    output.print(f"[bold]{escape(printable(model))}[/]: {counts}", highlight=False)
    for finding in done.mended:
        _head("[green]fixed[/]", finding, verbose)
        _evidence(finding, verbose)
    for change in done.report.changed:
        _text(f"    {change.layer}: {change.action}")
    for one in done.left:
        found = one.finding
        _head(f"{'[green]ended[/]' if one.ended else 'left'} {found.severity}", found, verbose)
        _text(f"    {one.reason}")
        _evidence(found, verbose)
    for note in done.report.notes:
        _text(note)
    if done.report.max_difference is not None:
        _text(
            f"{done.report.promise}: the largest difference is {done.report.max_difference:.1e} "
            "of an output's largest value"
        )
    _text(f"Written to {out}" if out else "Nothing was fixed, so nothing is written.")


def _head(came: str, finding: "Finding", verbose: bool) -> None:
    """What came of a finding, with its layers: all of them if wanted."""
    layers = escape(printable(shown_layers(finding.layers, verbose)))
    output.print(f"  {came} {finding.code} [bold]{finding.name}[/]  {layers}", highlight=False)


def _evidence(finding: "Finding", verbose: bool) -> None:
    for text in finding.evidence if verbose else ():
        _text(f"    - {text}")


def _text(text: str) -> None:
    output.print(printable(text), highlight=False, markup=False, soft_wrap=True)

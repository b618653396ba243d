"""`normwise compare`: which normalization, and where, is best on one's own data."""

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from normwise.cli.console import Format, errors, output, print_json

if TYPE_CHECKING:
    from normwise.workflows.compare import Comparison


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("compare")(compare)


def compare(  # noqa: PLR0913, PLR0917 - each is an option of the command
    source: Annotated[Path, typer.Argument(help="A data folder or .csv, or a recipe (.yaml).")],
    norm: Annotated[list[str], typer.Option("--norm", help="A norm plan; repeat it.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The comparison's folder.")],
    seeds: Annotated[int, typer.Option(min=1, help="Trials of each variant.")] = 3,
    folds: Annotated[
        int | None, typer.Option(min=2, help="Cross-validate each seed over so many folds.")
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=A,B", help="Each plan with each value of a setting; repeat it."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting in all trials."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Training steps of each trial, validated about 20 times."),
    ] = None,
    halving: Annotated[
        bool, typer.Option("--halving", help="Stop the worse half early, and again (many plans).")
    ] = False,
    budget: Annotated[
        str | None,
        typer.Option(help="Time of the whole comparison, by halving, such as 30min."),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="A process for each trial, so many at once.")
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            metavar="processes|ray[=ADDRESS]",
            help="Where trials run: processes here, or a Ray cluster: ray=HOST:PORT or ray=auto; "
            "ray alone starts one here.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a comparison.")] = False,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.text,
) -> None:
    """Compare norm plans on your data: equal conditions, several seeds, and a page to read.

    The same command goes on with a comparison that was interrupted, and adds seeds and plans.
    """
    from normwise.workflows.compare import compare as workflow  # noqa: PLC0415 - light start-up

    found = workflow(
        source,
        norm,
        out=out,
        seeds=seeds,
        folds=folds,
        vary=vary or (),
        settings=settings or (),
        steps=steps,
        halving=halving,
        budget=budget,
        processes=processes,
        on=on,
        overwrite=overwrite,
        progress=True,
        say=lambda text: errors.print(text, highlight=False, markup=False, soft_wrap=True),
    )
    if format is Format.json:
        print_json({"folder": str(found.folder), "answer": found.answer, **found.summary.to_dict()})
        return
    _print(found)


def _print(found: "Comparison") -> None:
    from rich import box  # noqa: PLC0415 - light start-up
    from rich.table import Table  # noqa: PLC0415

    summary = found.summary
    where = {"test": "test images", "val": "validation images"}[summary.split]
    title = f"{summary.metric} of {where}"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    table.add_column("variant")
    for name in ("mean", "spread", "seconds"):
        table.add_column(name, justify="right")
    for line in summary.ranked:
        seconds = summary.costs[line.variant.name]
        numbers = zip((line.mean, line.spread, seconds), (".4g", ".2g", ".0f"), strict=True)
        cells = (format(value, form) if isfinite(value) else "-" for value, form in numbers)
        table.add_row(line.variant.name, *cells)
    output.print(table)
    if race := summary.race:
        for name, epochs in ((name, rung.epochs) for rung in race.rungs for name in rung.stopped):
            said = f"{name}: stopped after {epochs} of {race.epochs} epochs, no final number"
            output.print(f"  • {said}", highlight=False, markup=False, soft_wrap=True)
    for pair in found.pairs:
        said = f"{pair.one} against {pair.other}: {pair.verdict(summary.unit)}"
        output.print(f"  • {said}", highlight=False, markup=False, soft_wrap=True)
    output.print(f"\n{found.answer}", highlight=False, markup=False)
    output.print(f"\nReport: {found.folder / 'report.html'}", highlight=False, markup=False)

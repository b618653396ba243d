"""`normwise train`: from a recipe or a data folder to a run folder."""

from pathlib import Path
from typing import Annotated

import typer

from normwise.cli.console import Format, output, print_json


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("train")(train)


def train(  # noqa: PLR0913, PLR0917 - each is an option of the command
    source: Annotated[
        Path,
        typer.Argument(help="A recipe (.yaml), a data folder, or with --resume a run folder."),
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The run folder.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting; may be repeated."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted run.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run.")] = False,
    on: Annotated[
        str | None,
        typer.Option("--on", help="jax-distributed: all devices, and all processes that join."),
    ] = None,
    coordinator: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Address of process 0.")
    ] = None,
    processes: Annotated[int | None, typer.Option(help="How many processes join.")] = None,
    process: Annotated[int | None, typer.Option(help="Number of this process, from 0.")] = None,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.text,
) -> None:
    """Train a network; everything that is left out is chosen and written to the run's recipe."""
    from normwise.cli.tables import print_metrics  # noqa: PLC0415 - light start-up
    from normwise.workflows.together import place_from  # noqa: PLC0415
    from normwise.workflows.train import train as workflow  # noqa: PLC0415

    run = workflow(
        source,
        out=out,
        settings=settings or (),
        resume=resume,
        overwrite=overwrite,
        on=place_from(on, coordinator, processes, process),
    )
    if format is Format.json:
        print_json({"folder": str(run.folder), "best_epoch": run.best_epoch, **run.metrics.values})
        return
    print_metrics(run.metrics, f"best epoch {run.best_epoch}, whole validation images")
    output.print(f"Run folder: {run.folder}", highlight=False, markup=False)

"""`normwise train`: from a recipe or a data folder to a run folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from normwise.cli.console import Format, output, print_json
from normwise.errors import NormwiseError


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("train")(train)


def train(  # noqa: PLR0913, PLR0917 - each is an option of the command
    source: Annotated[
        Path,
        typer.Argument(help="A recipe (.yaml), a data folder or .csv, with --resume a run folder."),
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The run folder.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting; may be repeated."),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(min=2, help="Cross-validate: one run for each fold, and their ensemble."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted run.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run.")] = False,
    find_rate: Annotated[
        bool, typer.Option("--find-rate", help="Only try learning rates, and suggest one.")
    ] = False,
    on: Annotated[
        str | None,
        typer.Option("--on", help="jax-distributed: all devices, and all processes that join."),
    ] = None,
    coordinator: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Address of process 0.")
    ] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="How many processes join.")] = None,
    process: Annotated[
        int | None, typer.Option(min=0, help="Number of this process, from 0.")
    ] = None,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.text,
) -> None:
    """Train a network; everything that is left out is chosen and written to the run's recipe."""
    from normwise.cli.tables import print_metrics  # noqa: PLC0415 - light start-up
    from normwise.workflows.cross_validation import is_cross_validation  # noqa: PLC0415
    from normwise.workflows.together import place_from  # noqa: PLC0415
    from normwise.workflows.train import train as workflow  # noqa: PLC0415

    place = place_from(on, coordinator, processes, process)
    if find_rate:
        if folds is not None or place is not None or resume:
            raise NormwiseError("--find-rate trains nothing: leave out --folds, --on and --resume.")
        _find_rate(source, out, settings or (), overwrite, format)
        return
    if folds is not None or (resume and is_cross_validation(source)):
        if place is not None:
            raise NormwiseError("--folds trains one run after another; it doesn't go with --on.")
        _cross_validate(source, folds, out, settings or [], resume, overwrite, format)
        return
    run = workflow(
        source,
        out=out,
        settings=settings or (),
        resume=resume,
        overwrite=overwrite,
        on=place,
    )
    if format is Format.json:
        print_json({"folder": str(run.folder), "best_epoch": run.best_epoch, **run.metrics.values})
        return
    print_metrics(run.metrics, f"weights of epoch {run.best_epoch}, whole validation images")
    output.print(f"Run folder: {run.folder}", highlight=False, markup=False)
    output.print(f"Report: {run.folder / 'report.html'}", highlight=False, markup=False)


def _cross_validate(
    source: Path,
    folds: int | None,
    out: Path | None,
    settings: list[str],
    resume: bool,
    overwrite: bool,
    format: Format,
) -> None:
    from normwise.cli.tables import print_folds  # noqa: PLC0415 - light start-up
    from normwise.workflows.cross_validation import cross_validate  # noqa: PLC0415

    found = cross_validate(
        source, folds, out=out, settings=settings, resume=resume, overwrite=overwrite
    )
    if format is Format.json:
        per_fold = [dict(values) for values in found.per_fold]
        numbers = {"mean": found.mean, "spread": found.spread, "per_fold": per_fold}
        print_json({"folder": str(found.folder), **numbers})
        return
    print_folds(found)
    output.print(
        f"Folder: {found.folder}, an ensemble for predict and evaluate",
        highlight=False,
        markup=False,
    )


def _find_rate(
    source: Path, out: Path | None, settings: Sequence[str], overwrite: bool, format: Format
) -> None:
    from normwise.workflows.train import find_rate as workflow  # noqa: PLC0415 - light start-up

    curve, picture = workflow(source, out=out, settings=settings, overwrite=overwrite)
    rows = list(zip(curve.rates.tolist(), curve.smoothed.tolist(), strict=True))
    if format is Format.json:
        curve_rows = [{"rate": rate, "loss": loss} for rate, loss in rows]
        print_json({"suggestion": curve.suggestion, "picture": str(picture), "curve": curve_rows})
        return
    output.print("learning rate   loss (smoothed)", highlight=False, markup=False)
    for rate, loss in rows[:: max(1, len(rows) // 12)]:
        output.print(f"{rate:13.2e}   {loss:.4f}", highlight=False, markup=False)
    output.print(
        f"Suggested: training.learning_rate={curve.suggestion:g}. Picture: {picture}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )

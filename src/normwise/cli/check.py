"""`normwise check MODEL...`: normalization mistakes, with reasons and evidence."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from normwise.cli.console import Imports, output, print_json
from normwise.cli.findings import print_checked
from normwise.cli.fixes import FixCommand, Level, print_fixed, refuse_impossible
from normwise.cli.options import read_bands
from normwise.cli.own_code import import_and_tell
from normwise.workflows.check_data import LIMIT, refuse_without_data

if TYPE_CHECKING:
    from collections.abc import Sequence

    from normwise.workflows.check_many import Checked


class Format(StrEnum):
    """How findings are printed."""

    text = "text"
    json = "json"
    sarif = "sarif"
    github = "github"


class FailOn(StrEnum):
    """The severity from which the exit code is 1."""

    error = "error"
    warning = "warning"
    info = "info"
    never = "never"


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("check", cls=FixCommand)(check)


def check(  # noqa: PLR0913, PLR0917 - one option a setting
    models: Annotated[
        list[str],
        typer.Argument(
            help=".keras, .h5 or .json files, run folders, folders of models, or "
            "package.module:callable, which imports that module and runs its code."
        ),
    ],
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", "-b", min=1, help="Samples of a training batch.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Training samples of an epoch.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of the training.")] = None,
    loss: Annotated[
        str | None,
        typer.Option(help="Name of the loss, such as dice; by default as the model was compiled."),
    ] = None,
    replicas: Annotated[int, typer.Option(min=1, help="Devices that share a batch.")] = 1,
    accumulation: Annotated[
        int | None,
        typer.Option(
            min=1, help="Batches whose gradients make a step; by default as the model was compiled."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="A data folder or a folder of images, to run the model on."),
    ] = None,
    new_data: Annotated[
        bool | None,
        typer.Option(
            "--new-data/--training-data",
            help="Whether the data are from where the model is used; by default the run tells.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="Samples of the data to look at, at most.")
    ] = LIMIT,
    bands: Annotated[
        str | None, typer.Option(help="Channels of the data to use, from 0: 0,1,2.")
    ] = None,
    nodata: Annotated[float | None, typer.Option(help="Value of missing pixels.")] = None,
    tile: Annotated[
        int | None, typer.Option(min=1, help="Rows and columns of a sample; by default the run's.")
    ] = None,
    imports: Imports = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(help="A rule to leave out, where wanted for some layers: wrong-axis:audio_*."),
    ] = None,
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="Exit 1 from this severity on.")
    ] = FailOn.error,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="All layers, evidence, what is allowed.")
    ] = False,
    fix: Annotated[
        Level | None,
        typer.Option(
            "--fix",
            help="Mend what can be mended, outputs kept, and write the model to -o; "
            "`--fix unsafe`: also what needs training again.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The .keras file to write, with --fix.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.text,
) -> None:
    """Find normalization mistakes; without data, nothing in a file runs and no backend loads.

    Only package.module:callable imports and runs your code.

    With --fix the model is loaded, mended, verified and written as another file.
    """
    from normwise.workflows.check_many import check_many, exit_code  # noqa: PLC0415 - light start-up

    training: dict[str, Any] = {
        "batch_size": batch_size,
        "samples": samples,
        "epochs": epochs,
        "loss": loss,
        "replicas": replicas,
        "accumulation": accumulation,
    }
    refuse_impossible(models, fix, out, overwrite, data)
    refuse_without_data(data, new_data, limit, nodata, bands, tile)
    import_and_tell(imports, *models)
    if fix is not None and out is not None:
        _fix(
            models[0],
            out,
            format,
            fail_on,
            verbose,
            unsafe=fix is Level.unsafe,
            ignore=ignore or (),
            overwrite=overwrite,
            **training,
        )
        return
    done = []
    for checked in check_many(
        models,
        ignore or (),
        **training,
        data=data,
        new_data=new_data,
        limit=limit,
        nodata=nodata,
        bands=read_bands(bands),
        tile=tile,
    ):
        done.append(checked)
        if format is Format.text:
            if len(done) > 1:
                output.print()
            print_checked(checked, verbose)
    _print_all(done, format)
    if code := exit_code(done, fail_on):
        raise typer.Exit(code)


def _fix(
    model: str, out: Path, format: Format, fail_on: FailOn, verbose: bool, **options: Any
) -> None:
    """Mends a model, writes it, and exits as the findings that are left ask for."""
    from normwise.workflows.check_many import exit_code  # noqa: PLC0415 - light start-up
    from normwise.workflows.fix_file import fix_file  # noqa: PLC0415

    done, checked = fix_file(model, out, **options)
    if format in (Format.text, Format.json):
        written = out if done.mended else None
        print_fixed(model, done, written, format is Format.json, verbose)
    else:
        _print_all([checked], format)
    if code := exit_code([checked], fail_on):
        raise typer.Exit(code)


def _print_all(done: "Sequence[Checked]", format: Format) -> None:
    """What is printed at the end, of all models together."""
    from normwise.workflows import check_formats  # noqa: PLC0415

    if format is Format.json:
        print_json([checked.to_dict() for checked in done])
    elif format is Format.sarif:
        print_json(check_formats.to_sarif(done))
    elif format is Format.github:
        for line in check_formats.to_github(done):
            print(line)  # noqa: T201 - this is the output
    elif len(done) > 1:
        failed = sum(bool(checked.error) for checked in done)
        clean = sum(bool(c.report and not c.report.findings) for c in done)
        output.print(
            f"\n{len(done)} models: {clean} without a finding, "
            f"{len(done) - clean - failed} with findings, {failed} not readable.",
            highlight=False,
        )

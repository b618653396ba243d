"""`normwise evaluate`: metrics on whole images."""

from pathlib import Path
from typing import Annotated

import typer

from normwise.cli.console import Format, Imports, output, print_json
from normwise.cli.own_code import import_and_tell


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("evaluate")(evaluate)


def evaluate(  # noqa: PLR0913, PLR0917 - each is an option of the command
    model: Annotated[
        str,
        typer.Argument(
            help="A run folder or one of folds, a .keras or .h5 file, or package.module:callable."
        ),
    ],
    data: Annotated[
        Path | None, typer.Argument(help="A data folder or .csv; by default the run's own.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    labels: Annotated[
        str | None,
        typer.Option(metavar="masks|targets", help="What to measure by, in a folder with both."),
    ] = None,
    tta: Annotated[
        str | None,
        typer.Option(
            metavar="none|flips|flips-and-turns",
            help="Average the predictions of these views of an image; by default the run's.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the metrics to a JSON file.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace that file.")] = False,
    imports: Imports = None,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.text,
) -> None:
    """Measure a model on the whole images of a split."""
    import json  # noqa: PLC0415 - light start-up

    from normwise.cli.tables import print_metrics  # noqa: PLC0415
    from normwise.workflows.evaluate import evaluate as workflow  # noqa: PLC0415

    import_and_tell(imports, model)
    metrics = workflow(
        model, data, split=split, labels=labels, tta=tta, out=out, overwrite=overwrite
    )
    if format is Format.json:
        print_json(json.loads(metrics.to_json()))
        return
    print_metrics(metrics, f"{split}, {metrics.pixels:,} pixels")
    if out is not None:
        output.print(f"Written to {out}", highlight=False, markup=False)
    if (page := Path(model) / "report.html").is_file():
        output.print(f"Report: {page}", highlight=False, markup=False)

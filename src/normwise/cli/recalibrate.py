"""`normwise recalibrate`: batch normalizations get the statistics of a set of images."""

from pathlib import Path
from typing import Annotated

import typer

from normwise.cli.console import Format, Imports
from normwise.cli.options import read_bands
from normwise.cli.own_code import import_and_tell


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("recalibrate")(recalibrate)


def recalibrate(  # noqa: PLR0913, PLR0917 - one for each option
    model: Annotated[str, typer.Argument(help="A model file, run folder or module:callable.")],
    data: Annotated[Path, typer.Option("--data", help="A data folder, or a folder of images.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .keras file to write.")],
    fast: Annotated[
        bool, typer.Option("--fast", help="One pass, approximate: each batch by its own.")
    ] = False,
    bands: Annotated[
        str | None, typer.Option(help="Channels to use, from 0: 0,1,2; by default the run's.")
    ] = None,
    nodata: Annotated[
        float | None,
        typer.Option(help="Value of missing pixels beside the files' own; by default the run's."),
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(min=1, help="Rows and columns of a tile; by default the model's, or 512."),
    ] = None,
    frozen: Annotated[
        bool, typer.Option("--frozen", help="Also norms with trainable=False.")
    ] = False,
    imports: Imports = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.text,
) -> None:
    """Measure what batch normalizations should hold, on these images, and write the model."""
    from normwise.cli.rewrites import print_rewrite  # noqa: PLC0415 - light start-up
    from normwise.workflows.recalibrate import recalibrate as workflow  # noqa: PLC0415
    from normwise.workflows.rewrites import refuse_output, write_rewrite  # noqa: PLC0415

    refuse_output(out, overwrite)
    import_and_tell(imports, model)
    done = workflow(
        model, data, fast=fast, nodata=nodata, bands=read_bands(bands), tile=tile, frozen=frozen
    )
    write_rewrite(done, out, overwrite)
    print_rewrite(done.report, out, format)

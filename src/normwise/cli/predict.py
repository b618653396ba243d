"""`normwise predict`: whole images of any size."""

from pathlib import Path
from typing import Annotated

import typer

from normwise.cli.console import output
from normwise.errors import NormwiseError


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("predict")(predict)


def predict(
    model: Annotated[str, typer.Argument(help="A run folder or a .keras file.")],
    image: Annotated[Path, typer.Argument(help="An image file, or a folder of images or bands.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="A .tif, .npy, .nii.gz, .zarr or .png file; for a folder of images a folder.",
        ),
    ],
    classes: Annotated[
        bool, typer.Option("--classes", help="Class ids instead of probabilities.")
    ] = False,
    bands: Annotated[
        str | None, typer.Option(help="Channels to use, from 0: 0,1,2; by default the run's.")
    ] = None,
    nodata: Annotated[
        float | None,
        typer.Option(help="Value of missing pixels; by default the run's or the file's."),
    ] = None,
    tta: Annotated[
        str | None,
        typer.Option(
            metavar="none|flips|flips-and-turns",
            help="Average the predictions of these views of an image; by default the run's.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
) -> None:
    """Predict an image or a folder of images."""
    from normwise.workflows import predict as workflow  # noqa: PLC0415 - light start-up

    found = workflow.predict(
        model,
        image,
        out,
        classes=classes,
        bands=read_bands(bands),
        nodata=nodata,
        tta=tta,
        overwrite=overwrite,
    )
    count = f"{len(found)} images written" if isinstance(found, list) else "Written"
    output.print(f"{count} to {out}", highlight=False, markup=False)


def read_bands(text: str | None) -> list[int] | None:
    """The channels that `--bands` names, None for none."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() for part in parts):
        raise NormwiseError(f"--bands is {text!r}; expected numbers from 0, for example 0,1,2.")
    return [int(part) for part in parts]

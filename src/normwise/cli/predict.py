"""`normwise predict`: whole images of any size."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from normwise.cli.console import Format, Imports, output, print_json
from normwise.cli.options import read_bands, read_size
from normwise.cli.own_code import import_and_tell
from normwise.errors import NormwiseError

if TYPE_CHECKING:
    from normwise.workflows.predicted import Journal


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("predict")(predict)


def predict(  # noqa: PLR0913, PLR0917 - each is an option of the command
    model: Annotated[
        str,
        typer.Argument(
            help="A run folder or one of folds, a .keras or .h5 file, or package.module:callable."
        ),
    ],
    image: Annotated[Path, typer.Argument(help="An image file, or a folder of images or bands.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="A .tif, .npy, .nii, .nii.gz, .zarr or (class ids) .png file; for a folder of "
            "images a folder.",
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
        typer.Option(help="Value of missing pixels beside the file's own; by default the run's."),
    ] = None,
    tta: Annotated[
        str | None,
        typer.Option(
            metavar="none|flips|flips-and-turns",
            help="Average the predictions of these views of an image; by default the run's.",
        ),
    ] = None,
    tile: Annotated[
        str | None,
        typer.Option(metavar="N|N,N", help="Pixels of a tile along each axis; by default chosen."),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="4GB",
            help="What the prediction may need beside Keras; by default half of what is free, "
            "shared by tasks on Ray.",
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            metavar="keras|openvino|onnx|auto",
            help="What computes; auto: the fastest that is installed and agrees with Keras.",
        ),
    ] = "keras",
    precision: Annotated[
        str,
        typer.Option(
            metavar="float32|bfloat16|auto",
            help="bfloat16 is faster on some processors; how far it deviates is printed.",
        ),
    ] = "float32",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with an interrupted prediction; outputs that are there stay if they are "
            "made from the same.",
        ),
    ] = False,
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            metavar="ray[=ADDRESS]",
            help="A Ray cluster: ray=HOST:PORT or ray=auto; ray alone starts one here.",
        ),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Tasks at once with --on; by default all that fit.")
    ] = None,
    outputs: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME", help="Outputs of a model that has several; by default all."
        ),
    ] = None,
    std: Annotated[
        bool,
        typer.Option(
            "--std", help="Add the standard deviation between ensemble members and views."
        ),
    ] = False,
    overlay: Annotated[
        Path | None,
        typer.Option(
            metavar="PNG", help="Draw the image with its prediction; for a folder a folder."
        ),
    ] = None,
    unchecked: Annotated[
        bool,
        typer.Option(
            "--unchecked",
            help="Take images that are unlike the run's in bands, type or place, and ensembles "
            "whose members name their classes differently.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what fits, the tiles and their halos; write nothing."),
    ] = False,
    imports: Imports = None,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.text,
) -> None:
    """Predict an image or a folder of images, by tiles where one is too large for memory."""
    from normwise.workflows import predict as workflow  # noqa: PLC0415 - light start-up
    from normwise.workflows.predicted import Journal  # noqa: PLC0415

    import_and_tell(imports, model)
    options: dict[str, Any] = {
        "classes": classes,
        "bands": read_bands(bands),
        "nodata": nodata,
        "tta": tta,
        "tile": read_size(tile, "--tile"),
        "memory": memory,
        "overwrite": overwrite,
        "resume": resume,
        "outputs": None if outputs is None else [name.strip() for name in outputs.split(",")],
        "std": std,
        "checked": not unchecked,
        "overlay": overlay,
        "engine": engine,
        "precision": precision,
        "on": on,
        "processes": processes,
        "imports": imports or (),
    }
    if dry_run:
        print_forecasts(model, image, out, options, format)
        return
    journal = Journal()
    try:
        found = workflow.predict(model, image, out, progress=True, journal=journal, **options)
    except NormwiseError:
        if format is Format.json and not journal.empty:
            print_json(journal.to_dict())
        raise
    if format is Format.json:
        print_json(journal.to_dict())
        return
    print_counts(journal, out, isinstance(found, list))


def print_counts(journal: "Journal", out: Path, several: bool) -> None:
    """Says how many outputs were written, and how many were there and are kept."""
    written, kept = len(journal.written), len(journal.kept)
    if several:
        there = f", {kept} kept, made from the same" if kept else ""
        line = f"{written} image{'' if written == 1 else 's'} written to {out}{there}"
    else:
        line = f"Kept, made from the same: {out}" if kept else f"Written to {out}"
    output.print(line, highlight=False, markup=False, soft_wrap=True)


def print_forecasts(
    model: str, image: Path, out: Path, options: dict[str, Any], format: Format
) -> None:
    """Says what a prediction would do; writes nothing."""
    from normwise.workflows.forecast import forecast  # noqa: PLC0415 - light start-up
    from normwise.workflows.predicted import Journal  # noqa: PLC0415

    journal = Journal()
    forecasts = forecast(model, image, out, journal=journal, **options)
    kept = [str(path) for path in journal.kept]
    if format is Format.json:
        print_json({"planned": [found.to_dict() for found in forecasts], "kept": kept})
        return
    lines = [*map(str, forecasts), *(f"Kept, made from the same: {path}" for path in kept)]
    for line in lines:
        output.print(line, highlight=False, markup=False, soft_wrap=True)

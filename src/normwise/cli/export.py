"""`normwise export`: a model for other runtimes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from normwise.cli.console import Imports, output, print_json
from normwise.cli.options import read_size
from normwise.cli.own_code import import_and_tell
from normwise.errors import ExportError

if TYPE_CHECKING:
    from normwise.workflows.export import Export

_NONE = "-"


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("export")(export)


def export(
    model: Annotated[str, typer.Argument(help="A model file, run folder or module:callable.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="The file; of several formats a name without suffix."),
    ],
    format: Annotated[
        list[str],
        typer.Option(metavar="savedmodel|onnx|openvino|litert", help="May be repeated."),
    ],
    size: Annotated[
        str | None,
        typer.Option(metavar="N|N,N", help="Pixels that it shall be for; by default any."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="A folder of images to compare on; by default the run's."),
    ] = None,
    imports: Imports = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Export a model; each file is run beside Keras, and one that differs is not kept."""
    from normwise.workflows.export import Export  # noqa: PLC0415 - light start-up
    from normwise.workflows.export import export as workflow  # noqa: PLC0415

    import_and_tell(imports, model)
    sizes = read_size(size, "--size")
    try:
        done = workflow(model, out, format, size=sizes, data=data, overwrite=overwrite)
    except ExportError as error:
        if isinstance(error.result, Export):
            _print(error.result, json)
        raise
    _print(done, json)


def _print(done: "Export", json: bool) -> None:
    if json:
        print_json(done.to_dict())
        return
    from rich import box  # noqa: PLC0415 - light start-up
    from rich.table import Table  # noqa: PLC0415

    from normwise.workflows.export import lines_of  # noqa: PLC0415

    for line in lines_of(done):
        output.print(line, highlight=False, markup=False, soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("format", "file"):
        table.add_column(name)
    for name in ("MB", "max difference", "seconds"):
        table.add_column(name, justify="right")
    seconds = _NONE if done.keras_seconds is None else f"{done.keras_seconds:.3g}"
    table.add_row("keras", "", "", "", seconds)
    for file in done.files:
        if file.size is None or file.difference is None or file.seconds is None:
            table.add_row(file.format, "not written", _NONE, _NONE, _NONE)
            continue
        numbers = f"{file.size / 1e6:.2f}", f"{file.difference:.1e}", f"{file.seconds:.3g}"
        table.add_row(file.format, str(file.path), *numbers)
    output.print(table)

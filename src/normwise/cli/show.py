"""`normwise show MODEL`: the network as a table, or drawn."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from normwise.cli.console import Format, output, print_json
from normwise.cli.options import read_size
from normwise.cli.own_code import import_and_tell

if TYPE_CHECKING:
    from rich.table import Table

    from normwise.workflows.show import LayerRow, NetworkTable


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("show")(show)


def show(
    model: Annotated[
        str,
        typer.Argument(
            help="A .keras, .h5 or .json file, a run folder, or package.module:callable."
        ),
    ],
    batch_size: Annotated[
        int, typer.Option("--batch-size", "-b", min=1, help="N, for the batch statistics.")
    ] = 8,
    size: Annotated[
        str | None,
        typer.Option(metavar="N|N,N", help="Pixels along each axis, for networks of free size."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Draw the network: a .svg or .png file.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing drawing.")
    ] = False,
    tiles: Annotated[
        bool, typer.Option("--tiles", help="Stride, halo, and what tiles of a size spend on halos.")
    ] = False,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.text,
) -> None:
    """Show where normalization stands: each layer, its region, what each skip carries."""
    from normwise.workflows import show as workflow  # noqa: PLC0415 - light start-up

    import_and_tell(None, model)
    table = workflow.show(model, batch_size, read_size(size, "--size"))
    if format is Format.json:
        print_json(table.to_dict() | ({"tiling": workflow.tiling(model)} if tiles else {}))
    else:
        print_table(table)
        if tiles:
            output.print(workflow.tiles(model), markup=False, highlight=False, soft_wrap=True)
    if out is not None:
        workflow.draw(model, out, overwrite=overwrite)
        if format is Format.text:
            output.print(f"Drawn to {out}", markup=False, highlight=False)


def print_table(table: "NetworkTable") -> None:
    """Prints a network table with what holds for the whole network."""
    parameters = "unknown" if table.parameters is None else f"{table.parameters:,}"
    stride = " x ".join(str(s) for s in table.stride) or "none"
    output.print(_grid(table))
    output.print(f"[bold]{escape(table.name)}[/]: {parameters} parameters, total stride {stride}")
    output.print(f"Norm plan: [bold]{table.plan}[/]", highlight=False)
    if table.plan.residue:
        output.print(f"Outside the plan ({len(table.plan.residue)}):")
        for residue in table.plan.residue:
            output.print(f"  {residue.layer}: {residue.reason}", highlight=False, markup=False)


def _grid(table: "NetworkTable") -> "Table":
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    wide = {"overflow": "fold"}
    grid.add_column("Layer", **wide)  # type: ignore[arg-type]
    grid.add_column("Kind", **wide)  # type: ignore[arg-type]
    grid.add_column("Output", no_wrap=True)
    grid.add_column("Parameters", justify="right")
    grid.add_column("Region")
    grid.add_column("Normalization / skips", **wide)  # type: ignore[arg-type]
    batches = any(row.batch for row in table.rows)
    if batches:
        grid.add_column("N", justify="right")
        grid.add_column("N·H·W", justify="right")
    for row in table.rows:
        grid.add_row(*_cells(row), *((str(row.batch or ""), row.elements_text) if batches else ()))
    return grid


def _cells(row: "LayerRow") -> tuple[str, ...]:
    count = "?" if row.parameters is None else f"{row.parameters:,}" if row.parameters else ""
    said = row.normalization or row.skip
    style = "cyan" if row.normalization else "red" if "UN-NORMALIZED" in said else ""
    return (
        escape(row.name),
        escape(row.kind),
        _shape(row),
        count,
        row.region,
        f"[{style}]{escape(said)}[/]" if style else escape(said),
    )


def _shape(row: "LayerRow") -> str:
    if row.shape is None:
        return "?"
    return " x ".join("free" if d is None else str(d) for d in row.shape[1:]) or "scalar"

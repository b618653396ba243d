"""`normwise place`: brings a model to a norm plan."""

from pathlib import Path
from typing import Annotated

import typer

from normwise.cli.console import Format, Imports, errors
from normwise.cli.own_code import import_and_tell

NOT_DONE = 1


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("place")(place)


def place(  # noqa: PLR0913, PLR0917 - one for each option
    model: Annotated[
        str,
        typer.Argument(
            help="A .keras, .h5 or .json file, a run folder, or package.module:callable."
        ),
    ],
    norm: Annotated[str, typer.Option(help="The norm plan: batch@pre-activation.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .keras file to write.")],
    layers: Annotated[
        str | None, typer.Option(help="Only edits for layers of such names: 'decoder_*'.")
    ] = None,
    retrain: Annotated[
        bool,
        typer.Option("--retrain", help="Make edits that change the outputs, too; train after it."),
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="A folder of images: new norms start with its statistics."),
    ] = None,
    drop_bias: Annotated[
        bool, typer.Option("--drop-bias", help="Drop biases that a norm right after them cancels.")
    ] = False,
    imports: Imports = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.text,
) -> None:
    """Put normalization where a plan says; outputs are kept, and that is checked.

    Exits with 1 and writes nothing if the outputs would not stay, or if an edit had to be left
    out.
    """
    from normwise.cli.rewrites import print_rewrite  # noqa: PLC0415 - light start-up
    from normwise.workflows.place import place as workflow  # noqa: PLC0415
    from normwise.workflows.rewrites import refuse_output, write_rewrite  # noqa: PLC0415

    refuse_output(out, overwrite)
    import_and_tell(imports, model)
    done = workflow(
        model, norm, keep_outputs=not retrain, data=data, layers=layers, drop_bias=drop_bias
    )
    if done.report.skipped:
        print_rewrite(done.report, None, format)
        errors.print(_advice(len(done.report.skipped), retrain), highlight=False, soft_wrap=True)
        raise typer.Exit(NOT_DONE)
    write_rewrite(done, out, overwrite)
    print_rewrite(done.report, out, format)


def _advice(skipped: int, retrain: bool) -> str:
    what = "an edit" if skipped == 1 else f"{skipped} edits"
    hint = "" if retrain else "--retrain makes edits that change the outputs. "
    hint += "--layers, or a plan that names fewer positions, leaves out what can't be made."
    return f"[bold red]Nothing written:[/] {what} had to be left out. {hint}"

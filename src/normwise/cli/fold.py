"""`normwise fold`: batch normalizations become part of the layers beside them."""

from pathlib import Path
from typing import Annotated

import typer

from normwise.cli.console import Format, Imports
from normwise.cli.own_code import import_and_tell


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("fold")(fold)


def fold(
    model: Annotated[str, typer.Argument(help="A model file, run folder or module:callable.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .keras file to write.")],
    imports: Imports = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace that file.")] = False,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.text,
) -> None:
    """Fold batch normalizations for inference; outputs are kept, and that is checked."""
    from normwise.cli.rewrites import print_rewrite  # noqa: PLC0415 - light start-up
    from normwise.workflows.fold import fold as workflow  # noqa: PLC0415
    from normwise.workflows.rewrites import refuse_output, write_rewrite  # noqa: PLC0415

    refuse_output(out, overwrite)
    import_and_tell(imports, model)
    done = workflow(model)
    write_rewrite(done, out, overwrite)
    print_rewrite(done.report, out, format)

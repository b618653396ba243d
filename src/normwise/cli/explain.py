"""`normwise explain RULE`: the page of a rule; `normwise explain question`: the answer to it."""

from typing import Annotated

import typer

from normwise.cli.console import output

_NEEDS = " Needs data."


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("explain")(explain)


def explain(
    rule: Annotated[
        str | None,
        typer.Argument(
            help="Name or code of a rule, or 'question'; without it, all rules are listed."
        ),
    ] = None,
) -> None:
    """Explain a rule: what it finds, why it matters, on what evidence, how to mend it.

    `normwise explain question` answers how to include batch normalization in a non-sequential
    model, point by point, with the network it was asked with.
    """
    from rich.markdown import Markdown  # noqa: PLC0415 - light start-up

    from normwise.workflows.explain import all_rules, page_of  # noqa: PLC0415

    if rule is not None:
        output.print(Markdown(page_of(rule)))
        return
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD)
    for name in ("code", "rule", "severity", "what it finds"):
        table.add_column(name)
    for found in all_rules():
        table.add_row(
            found.code, found.name, found.severity, found.page.title + _NEEDS * found.needs_data
        )
    output.print(table)

"""`normwise explain RULE`: the page of a rule; `normwise explain question`: the answer to it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from normwise.cli.console import Format, output, print_json

if TYPE_CHECKING:
    from normwise.rules import Rule

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
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.text,
) -> None:
    """Explain a rule: what it finds, why it matters, on what evidence, how to mend it.

    `normwise explain question` answers how to include batch normalization in a non-sequential
    model, point by point, with the network it was asked with.
    """
    from normwise.workflows import explain as workflow  # noqa: PLC0415 - light start-up

    if format is Format.json:
        listed = [workflow.facts_of(found) for found in workflow.all_rules()]
        print_json(listed if rule is None else workflow.parts_of(rule))
    elif rule is not None:
        from rich.markdown import Markdown  # noqa: PLC0415 - light start-up

        output.print(Markdown(workflow.page_of(rule)))
    else:
        _print_list(workflow.all_rules())


def _print_list(rules: "Sequence[Rule]") -> None:
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD)
    for name in ("code", "rule", "severity", "what it finds"):
        table.add_column(name)
    for found in rules:
        table.add_row(
            found.code, found.name, found.severity, found.page.title + _NEEDS * found.needs_data
        )
    output.print(table)

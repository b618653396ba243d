"""`normwise env`: versions and backends, for bug reports."""

from typing import Annotated

import typer

from normwise.cli.console import Format, output, print_json


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("env")(env)


def env(
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.text,
) -> None:
    """Show the versions of normwise and what it stands on, and which backend would be used."""
    from normwise.workflows.env import environment  # noqa: PLC0415 - light start-up

    facts = environment()
    if format is Format.json:
        print_json(facts)
        return
    for name, value in facts.items():
        output.print(f"{name:15} {value}", highlight=False, markup=False)

"""`normwise demo`: the question's network as asked and mended, on the sample that ships."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from normwise.cli.console import output

if TYPE_CHECKING:
    from normwise.workflows.demo import Demo


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("demo")(demo)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write to.")] = Path(
        "normwise-demo"
    ),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier demo.")
    ] = False,
) -> None:
    """Show and train the question's network, as asked and mended, on real images (3 minutes)."""
    from normwise.cli.show import print_table  # noqa: PLC0415 - light start-up
    from normwise.workflows import demo as workflow  # noqa: PLC0415

    output.rule("The network of the question, as it was asked")
    print_table(workflow.asked_network())
    output.print(f"  {EXPLANATION}\n", highlight=False)
    output.print("  normwise check says of it:", highlight=False)
    for finding in workflow.asked_findings():
        output.print(f"  • {finding.name}: {finding.message}", highlight=False, markup=False)
    output.rule("Nine focal planes in, one fluorescence channel out")
    found = workflow.demo(out, overwrite=overwrite, say=lambda text: output.print(f"\n{text}"))
    _print_scores(found)


EXPLANATION = "Normalization stands after conv1 to conv5, each right before a down-sampling step."


def _print_scores(found: "Demo") -> None:
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    title = "Test crop, columns 384 to 511 of the field"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for index, name in enumerate(
        ("network", "correlation", "R2", "RMSE", "MAE", "warnings of check")
    ):
        table.add_column(name, justify="left" if index == 0 else "right")
    for name, metrics in found.metrics.items():
        values = [metrics.values[key] for key in ("correlation", "r2", "rmse", "mae")]
        warned = f"{found.warnings[name]}"
        table.add_row(name.replace("-", " "), *_scores(values), warned)
    differences = [found.difference(key) for key in ("correlation", "r2", "rmse", "mae")]
    table.add_section()
    table.add_row("difference", *_scores(differences, "+"))
    output.print()
    output.print(table)
    output.print(
        "The same budget of steps for both; difference is mended minus as asked. RMSE and MAE in "
        "units of the target. One seed and one small field: a demonstration, no proof.",
        highlight=False,
    )
    output.print(
        f"Picture: {found.picture}\nRun folders: {found.folder}", highlight=False, markup=False
    )


def _scores(values: "list[float]", sign: str = "") -> list[str]:
    correlation, r2, rmse, mae = values
    return [
        f"{correlation:{sign}.3f}",
        f"{r2:{sign}.3f}",
        f"{rmse:{sign},.0f}",
        f"{mae:{sign},.0f}",
    ]

"""Tables that several verbs print."""

from typing import TYPE_CHECKING

from normwise.cli.console import output

if TYPE_CHECKING:
    from normwise.training.metrics import Metrics


def print_metrics(metrics: "Metrics", title: str) -> None:
    """Prints metrics, a row for each class or channel and the means."""
    from rich import box  # noqa: PLC0415 - light start-up
    from rich.table import Table  # noqa: PLC0415

    head, *rows = metrics.table()
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    for index, name in enumerate(head):
        table.add_column(name, justify="left" if index == 0 else "right")
    for index, row in enumerate(rows):
        table.add_row(*row, end_section=index == len(rows) - 2)
    output.print(table)

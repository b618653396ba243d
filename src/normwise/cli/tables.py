"""Tables that several verbs print."""

from typing import TYPE_CHECKING

from normwise.cli.console import output

if TYPE_CHECKING:
    from normwise.training.metrics import Metrics
    from normwise.workflows.cross_validation import CrossValidation


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


def print_folds(found: "CrossValidation") -> None:
    """Prints the metrics of each fold, their means and their spread, a row a metric."""
    from rich import box  # noqa: PLC0415 - light start-up
    from rich.table import Table  # noqa: PLC0415

    title = f"{len(found.per_fold)} folds, whole validation images"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    table.add_column("metric")
    folds = [f"fold {number + 1}" for number in range(len(found.per_fold))]
    for name in (*folds, "mean", "spread"):
        table.add_column(name, justify="right")
    for name, mean in found.mean.items():
        each = [fold[name] for fold in found.per_fold]
        table.add_row(name, *(f"{value:.4g}" for value in (*each, mean, found.spread[name])))
    output.print(table)

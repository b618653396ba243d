"""How far a pass over batches is, on a terminal or in a line."""

from collections.abc import Iterable
from typing import TypeVar

_Batch = TypeVar("_Batch")


def tracked(batches: Iterable[_Batch], title: str, total: int) -> Iterable[_Batch]:
    """The same batches, with a progress bar on a terminal and a line elsewhere."""
    from rich.console import Console  # noqa: PLC0415 - light start-up
    from rich.progress import track  # noqa: PLC0415

    console = Console(stderr=True, emoji=False)
    if console.is_terminal:
        return track(batches, f"Statistics, {title}", total or None, console=console,
                     transient=True)  # fmt: skip
    size = f": {total} batches" if total else ""
    console.print(f"statistics, {title}{size}", highlight=False, markup=False)
    return batches

"""What a person sees while a scene is predicted: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_LINES: Final = 10


class Watcher(Protocol):
    """Is told after each tile."""

    def __call__(self) -> None:
        """A tile is done."""
        ...


@contextmanager
def watching(
    wanted: bool, name: str, tiles: int, done: int, note: str, unit: str = "tiles"
) -> Iterator[Watcher]:
    """What says how a prediction by tiles goes.

    Args:
        wanted: False for silence.
        name: Of the image.
        tiles: How many there are.
        done: How many of them an interrupted prediction has done.
        note: How the image is cut, in a few words.
        unit: What there are so many of.
    """
    console = Console(stderr=True, emoji=False)
    if not wanted or tiles < 2:
        yield lambda: None
        return
    gone_on = f", going on after {done}" if done else ""
    console.print(f"{name}: {tiles} {note}{gone_on}", highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:
        yield _Lines(console, name, tiles, done, unit)
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(name, total=tiles, completed=done)
        yield lambda: bar.update(task, advance=1)


def teller(wanted: bool) -> Callable[[str], None]:
    """What says a line that a user has to know: on standard error, or in the log."""
    if not wanted:
        return logging.getLogger("normwise.inference").warning
    console = Console(stderr=True, emoji=False)
    return lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True)


class _Lines:
    """A line after each tenth."""

    def __init__(self, console: Console, name: str, tiles: int, done: int, unit: str) -> None:
        self._console, self._name, self._tiles, self._done = console, name, tiles, done
        self._unit = unit

    def __call__(self) -> None:
        tenth = self._done * _LINES // self._tiles
        self._done += 1
        if self._done * _LINES // self._tiles > tenth:
            share = f"{self._done / self._tiles:.0%}"
            self._console.print(
                f"{self._name}: {self._done} of {self._tiles} {self._unit} ({share})",
                highlight=False, markup=False, soft_wrap=True,
            )  # fmt: skip

"""What a person sees while a model trains: a bar on a terminal, plain lines elsewhere."""

from collections.abc import Mapping
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Watcher(Protocol):
    """Is told what happens in a run."""

    def note(self, text: str) -> None:
        """Something that a person should know before the run begins."""
        ...

    def start(self, done: int, epochs: int, steps: int) -> None:
        """A run begins, or goes on after `done` epochs."""
        ...

    def step(self, epoch: int, step: int, loss: float, patches_per_second: float) -> None:
        """A step is done; both counts begin at 1."""
        ...

    def epoch(self, epoch: int, row: Mapping[str, float], note: str) -> None:
        """An epoch is done and validated."""
        ...

    def stop(self) -> None:
        """The run is over, well or not."""
        ...


class Silent:
    """Says nothing; the log file still has everything."""

    def note(self, text: str) -> None:
        """Says nothing."""

    def start(self, done: int, epochs: int, steps: int) -> None:
        """Says nothing."""

    def step(self, epoch: int, step: int, loss: float, patches_per_second: float) -> None:
        """Says nothing."""

    def epoch(self, epoch: int, row: Mapping[str, float], note: str) -> None:
        """Says nothing."""

    def stop(self) -> None:
        """Says nothing."""


class Lines(Silent):
    """One plain line an epoch.

    Args:
        console: Where to.
        metric: The metric that decides.
    """

    def __init__(self, console: Console, metric: str) -> None:
        self._console, self._metric, self._epochs = console, metric, 0

    def note(self, text: str) -> None:
        """Says it."""
        self._print(text)

    def start(self, done: int, epochs: int, steps: int) -> None:
        """Says how long the run is."""
        self._epochs = epochs
        begun = f", going on after epoch {done}" if done else ""
        self._print(f"training: {epochs} epochs of {steps} steps{begun}")

    def epoch(self, epoch: int, row: Mapping[str, float], note: str) -> None:
        """Says how the epoch went."""
        self._print(describe_epoch(epoch, self._epochs, row, self._metric, note))

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


class Bar(Lines):
    """A bar over all steps with loss, metric, speed and the time left; a line an epoch above."""

    def start(self, done: int, epochs: int, steps: int) -> None:
        """Draws the bar."""
        super().start(done, epochs, steps)
        self._value = ""
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task(
            "training", total=epochs * steps, completed=done * steps, epoch=done + 1, numbers=""
        )
        self._bar.start()

    def step(self, epoch: int, step: int, loss: float, patches_per_second: float) -> None:
        """Moves the bar on."""
        numbers = f"loss {loss:.4f}{self._value}  {patches_per_second:.1f} patches/s"
        self._bar.update(self._task, advance=1, epoch=epoch, numbers=numbers)

    def epoch(self, epoch: int, row: Mapping[str, float], note: str) -> None:
        """Says how the epoch went, above the bar."""
        super().epoch(epoch, row, note)
        self._value = f"  {self._metric} {row[f'val_{self._metric}']:.4f}"

    def stop(self) -> None:
        """Takes the bar away."""
        self._bar.stop()


def watcher(progress: bool, metric: str) -> Watcher:
    """The watcher that suits where the output goes.

    Args:
        progress: False for silence.
        metric: The metric that decides.
    """
    console = Console(stderr=True, emoji=False)
    if not progress:
        return Silent()
    return Bar(console, metric) if console.is_terminal else Lines(console, metric)


def describe_epoch(
    epoch: int, epochs: int, row: Mapping[str, float], metric: str, note: str
) -> str:
    """One line about an epoch."""
    return (
        f"epoch {epoch}/{epochs}: loss {row['loss']:.4f}, val_loss {row['val_loss']:.4f}, "
        f"val_{metric} {row[f'val_{metric}']:.4f}, {row['seconds']:.1f} s"
        + (f" ({note})" if note else "")
    )

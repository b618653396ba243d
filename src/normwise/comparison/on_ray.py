"""Trials as tasks of a Ray cluster, each in a process of its own."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from normwise.comparison.experiment import Trial
from normwise.comparison.outcome import TRIAL_FILE
from normwise.comparison.processes import Asked
from normwise.distributed.alike import as_here
from normwise.distributed.ray_tasks import Task, cluster
from normwise.distributed.shared_files import Seen, refuse_unseen, refuse_unwritten, seen
from normwise.distributed.where import Where
from normwise.errors import NormwiseError, RunError
from normwise.memory import keep_freed_memory
from normwise.training.recipe import Recipe
from normwise.training.run_files import RECIPE


@dataclass(frozen=True)
class _Order:
    """A trial, as a worker is asked for it.

    Attributes:
        trial: Which.
        recipe: Its recipe.
        folder: Its folder, an absolute path.
        needed: What the worker must see.
        sharing: How many trials can share its machine.
    """

    trial: Trial
    recipe: Recipe
    folder: Path
    needed: tuple[Seen, ...]
    sharing: int


def on_ray(
    asked: Sequence[Asked], where: Where, done: Callable[[Trial], None] = lambda trial: None
) -> None:
    """Makes trials on a Ray cluster; what each gave is in its folder.

    A trial whose worker died is tried again, and goes on from its last finished epoch.

    Args:
        asked: The trials, in the order in which they are begun.
        where: The cluster.
        done: Is told of each that is finished.

    Raises:
        RunError: If a trial can't be made; those that were in flight by then are finished first,
            and the others can be gone on with.
        DistributionError: If the cluster can't be used.
    """
    if not asked:
        return
    failed: list[str] = []
    with cluster(where, as_here()) as found:
        tasks = _tasks(asked, found.sharing, failed)
        with closing(found.results(make_trial, tasks, fresh=True)) as results:
            for ended in results:
                order: _Order = ended.task.argument
                if ended.error is None:
                    # One that pauses has no outcome yet.
                    paused = order.trial.until is not None
                    refuse_unwritten(order.folder / (RECIPE if paused else TRIAL_FILE))
                    done(order.trial)
                else:
                    failed.append(f"The trial {ended.task.name}: {ended.error}")
    if failed:
        raise RunError(f"{failed[0]} Finished trials are kept; the same command goes on.")


def make_trial(order: _Order) -> None:
    """Makes a trial, in a worker.

    Raises:
        RunError: If it can't be made. A fault of any kind is one, too: raised as it is, it would
            end the trials that others are making.
        ImportError: If the worker lacks what it needs.
    """
    try:
        _made(order)
    except (NormwiseError, ImportError):
        raise
    except Exception as error:
        raise RunError(f"{type(error).__name__}: {error}") from error


def _made(order: _Order) -> None:
    refuse_unseen(order.needed)
    keep_freed_memory()
    from normwise.comparison.running import run_trial  # noqa: PLC0415 - needs the backend

    run_trial(
        order.recipe,
        order.folder,
        alone=True,
        at_once=order.sharing,
        progress=False,
        until=order.trial.until,
    )


def _tasks(asked: Sequence[Asked], sharing: int, failed: Sequence[str]) -> Iterator[Task]:
    """The trials, until one has failed."""
    for trial, recipe, folder in asked:
        if failed:
            return
        own = folder.absolute()
        own.mkdir(parents=True, exist_ok=True)
        needed = seen([own, Path(recipe.data.path)])
        yield Task(trial.name, _Order(trial, recipe, own, needed, sharing))

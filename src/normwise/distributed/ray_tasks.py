"""Tasks on a Ray cluster: few in flight, tried again where a worker dies, cancelled at the end."""

from __future__ import annotations

import logging
import pickle
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from normwise.distributed.alike import Alike, become, usable_processors
from normwise.distributed.ray_connection import connected
from normwise.distributed.where import Where
from normwise.errors import DistributionError, NormwiseError

RETRIES: Final = 3
"""How often a task is tried again after its worker died."""
_AHEAD: Final = 2
"""Tasks in flight for each that runs: workers don't wait for the next one."""

_UNLOADED: Final = re.compile(r"ModuleNotFoundError|ImportError|failed to import")

log = logging.getLogger("normwise.distributed")


@dataclass(frozen=True)
class Task:
    """A piece of work.

    Attributes:
        name: For messages.
        argument: What the function gets; it is pickled.
    """

    name: str
    argument: Any


@dataclass(frozen=True)
class Done:
    """A task that has ended.

    Attributes:
        task: The task.
        value: What the function gave.
        error: Why it gave nothing: its own error, or that its workers died again and again.
    """

    task: Task
    value: Any = None
    error: NormwiseError | None = None


@dataclass
class _Running:
    task: Task
    ref: Any
    deaths: int = 0


@dataclass(frozen=True)
class Cluster:
    """A cluster and what its workers must be like; made by `cluster`.

    Attributes:
        ray: The connected module.
        claim: Processors that a task claims.
        at_once: The most tasks in flight; None for as many as there is room for.
        alike: What workers have in common with this process.
    """

    ray: Any
    claim: int
    at_once: int | None
    alike: Alike
    _said: set[str] = field(default_factory=set)

    @property
    def room(self) -> int:
        """How many tasks can run at the same time now; clusters can grow."""
        found = sum(count // self.claim for count in _processors(self.ray))
        return max(1, found if self.at_once is None else min(found, self.at_once))

    @property
    def sharing(self) -> int:
        """How many tasks can share a machine."""
        found = max((count // self.claim for count in _processors(self.ray)), default=1)
        return max(1, found if self.at_once is None else min(found, self.at_once))

    def results(
        self,
        function: Callable[[Any], Any],
        tasks: Iterable[Task],
        *,
        ordered: bool = False,
        fresh: bool = False,
    ) -> Generator[Done, None, None]:
        """Does tasks on the cluster, and hands them back as they end.

        When the iteration ends early, by an error or Ctrl-C, what is in flight is cancelled.

        Args:
            function: Is called there with each task's argument; found there by its name.
            tasks: Are asked for one by one, as there is room.
            ordered: Hand them back in their order.
            fresh: Each in a process of its own that has done nothing else, and that nothing waits
                for: such tasks are long, and each that was asked for is finished after an error.

        Raises:
            DistributionError: A worker can't do such tasks, or the cluster is gone.
        """
        submit = self._submitter(function, fresh)
        waiting, running = iter(tasks), list[_Running]()
        try:
            while True:
                most = self.at_once or (self.room if fresh else _AHEAD * self.room)
                while len(running) < most and (task := next(waiting, None)) is not None:
                    running.append(_Running(task, submit(task)))
                if not running:
                    return
                one = self._next(running, ordered)
                done = self._ended(one, submit)
                if done is not None:
                    running.remove(one)
                    yield done
        finally:
            for one in running:
                self.ray.cancel(one.ref, force=True)

    def _submitter(self, function: Callable[[Any], Any], fresh: bool) -> Callable[[Task], Any]:
        # Ray would try again without a word, and without end where memory is short.
        remote = self.ray.remote(
            num_cpus=self.claim, max_retries=0, max_calls=1 if fresh else 0
        )(carried_out)  # fmt: skip

        def submit(task: Task) -> Any:
            # Pickled here: what it is made of may load what must not be loaded before `become`.
            return remote.remote(self.alike, pickle.dumps((function, task.argument)))

        return submit

    def _next(self, running: Sequence[_Running], ordered: bool) -> _Running:
        refs = [one.ref for one in (running[:1] if ordered else running)]
        ready, _ = self.ray.wait(refs, num_returns=1)
        return next(one for one in running if one.ref == ready[0])

    def _ended(self, one: _Running, submit: Callable[[Task], Any]) -> Done | None:
        """What a task gave; None if it is tried again."""
        died = self.ray.exceptions
        try:
            value, error, said = self.ray.get(one.ref)
        except died.RayTaskError as failed:
            raise _fault(one.task, failed) from failed
        except (died.LocalRayletDiedError, died.RaySystemError, died.RpcError) as failed:
            raise DistributionError(
                f"The Ray cluster is gone ({_first_line(failed)}). What is done is kept; the same "
                "command goes on."
            ) from failed
        except died.RayError as failed:
            return self._again(one, submit, failed)
        self._tell(said)
        if isinstance(error, DistributionError):
            raise error
        return Done(one.task, value, error)

    def _again(
        self, one: _Running, submit: Callable[[Task], Any], failed: Exception
    ) -> Done | None:
        one.deaths += 1
        why = f"{type(failed).__name__}: {_first_line(failed).partition('. ')[0]}"
        if one.deaths > RETRIES:
            reason = f"{one.task.name}: its worker died {one.deaths} times, at last by {why}"
            return Done(one.task, error=DistributionError(reason))
        log.warning(
            "%s: its worker died; tried again, %d of %d (%s)",
            one.task.name, one.deaths, RETRIES, why,
        )  # fmt: skip
        one.ref = submit(one.task)
        return None

    def _tell(self, said: Sequence[tuple[str, int, str]]) -> None:
        """Says what workers had to say, each thing once."""
        for name, level, text in said:
            if text not in self._said:
                self._said.add(text)
                logging.getLogger(name).log(level, "%s", text)


@contextmanager
def cluster(where: Where, alike: Alike) -> Iterator[Cluster]:
    """A Ray cluster to work on.

    A task claims as many processors as it has threads. On a local cluster there is room for two
    tasks at least.

    Args:
        where: Its address, and how many tasks at once.
        alike: What its workers must have in common with this process.

    Raises:
        DistributionError: Ray isn't installed, or the cluster doesn't answer.
    """
    local = where.at_once or max(2, usable_processors() // alike.threads)
    with connected(where.address, local * alike.threads) as ray:
        largest = max(_processors(ray), default=alike.threads)
        yield Cluster(ray, max(1, min(alike.threads, largest)), where.at_once, alike)


def carried_out(
    alike: Alike, packed: bytes
) -> tuple[Any, NormwiseError | None, list[tuple[str, int, str]]]:
    """Does a task, in a worker.

    Args:
        alike: What the worker must have in common with the process that asks.
        packed: The pickled function and its argument.

    Returns:
        What the function gave, or its error; and what it had to say.
    """
    with _heard() as said:
        try:
            become(alike)
            function, argument = pickle.loads(packed)
            return function(argument), None, said
        except NormwiseError as error:
            return None, error, said


@contextmanager
def _heard() -> Iterator[list[tuple[str, int, str]]]:
    """Warnings of ours, for the person at the other end; each with its logger and level."""
    said = list[tuple[str, int, str]]()

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append((record.name, record.levelno, record.getMessage()))

    handler, ours = Kept(logging.WARNING), logging.getLogger("normwise")
    ours.addHandler(handler)
    try:
        yield said
    finally:
        ours.removeHandler(handler)


def _processors(ray: Any) -> list[int]:
    """Of each machine of the cluster, as Ray counts them."""
    return [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]


def _fault(task: Task, failed: Any) -> Exception:
    """What a task raised that is no error of ours."""
    cause = failed.cause
    if _UNLOADED.search(str(failed)):
        return DistributionError(
            f"{task.name}: a worker can't load what it needs ({_last_line(failed)}). Install "
            "normwise and what it needs, in the same versions, on all machines of the cluster."
        )
    return cause if isinstance(cause, Exception) else DistributionError(f"{task.name}: {failed}")


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason")


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "no reason"

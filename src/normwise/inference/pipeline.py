"""Reading, computing and writing at the same time, each in order and in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from queue import Queue
from threading import Event, Thread
from typing import Any, Final, TypeVar

Item = TypeVar("Item")

_END: Final = object()


def ahead(items: Iterable[Item], count: int = 2) -> Iterator[Item]:
    """The same items, made by another thread before they are asked for.

    Args:
        items: Are iterated in the other thread. An exception there is raised here, in its place.
        count: How many may lie ready.
    """
    ready: Queue[Any] = Queue(maxsize=count)
    stopped = Event()

    def make() -> None:
        end: Any = _END
        try:
            for item in items:
                ready.put(item)
                if stopped.is_set():
                    return
        except BaseException as error:
            end = _Raised(error)
        ready.put(end)

    thread = Thread(target=make, name="normwise-reading", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not _END:
            if isinstance(item, _Raised):
                raise item.error
            yield item
    finally:
        stopped.set()
        while thread.is_alive():
            _emptied(ready)
            thread.join(timeout=0.01)


@contextmanager
def behind(work: Callable[[Item], None], count: int = 2) -> Iterator[Callable[[Item], None]]:
    """A function that hands its argument to `work` in another thread, one after the other.

    When the block ends, all is done. An exception of `work` is raised at the next call, or there.

    Args:
        work: What is done with each.
        count: How many may wait.
    """
    waiting: Queue[Any] = Queue(maxsize=count)
    failed: list[BaseException] = []

    def take() -> None:
        while (item := waiting.get()) is not _END:
            if failed:
                continue
            try:
                work(item)
            except BaseException as error:
                failed.append(error)

    def hand(item: Item) -> None:
        if failed:
            raise failed[0]
        waiting.put(item)

    thread = Thread(target=take, name="normwise-writing", daemon=True)
    thread.start()
    try:
        yield hand
    finally:
        waiting.put(_END)
        thread.join()
    if failed:
        raise failed[0]


class _Raised:
    """An exception on its way to another thread."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _emptied(queue: Queue[Any]) -> None:
    while not queue.empty():
        queue.get()

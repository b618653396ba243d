"""Batches cut ahead of the training step by threads, in their order."""

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy.typing as npt

Array = npt.NDArray[Any]
Batch = tuple[Array, Array, Array]


class Batches(Protocol):
    """Training batches that are a pure function of the seed, the epoch and the step.

    That is what makes a resumed run see the batches that an uninterrupted one saw.
    """

    def __len__(self) -> int:
        """Steps of one pass over the data."""
        ...

    def set_epoch(self, epoch: int) -> None:
        """Turns to the batches of an epoch, counted from 0."""
        ...

    def __getitem__(self, step: int) -> Any:
        """Images, labels and weights of a step."""
        ...


def loaded(
    batches: Batches, steps: int, workers: int, prepare: Callable[[Batch], Batch]
) -> Generator[Batch]:
    """The batches of one epoch.

    Keras' own threads for a `PyDataset` cut the first two batches of every epoch twice and wait
    0.1 s at its end; these do neither.

    Args:
        batches: The batches, already turned to their epoch.
        steps: How many; beyond one pass the batches begin again.
        workers: Threads. Two batches for each are kept ready.
        prepare: What is done to a batch in its thread, such as scaling its targets.

    Yields:
        The prepared batches in the order of their steps.
    """
    length = len(batches)

    def cut(step: int) -> Batch:
        return prepare(batches[step % length])

    pool = ThreadPoolExecutor(workers, thread_name_prefix="normwise-batches")
    try:
        waiting: deque[Future[Batch]] = deque()
        for step in range(steps):
            waiting.append(pool.submit(cut, step))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)

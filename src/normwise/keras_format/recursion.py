"""Room on Python's stack for long chains of layers, which Keras walks recursively.

The limit belongs to the whole process. It is raised while anybody needs it and set back when the
last one is done, so that two threads that copy models don't take each other's room away, and an
endless recursion in somebody's code ends as it did before. A limit that somebody else has set
meanwhile stays.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

FRAMES_PER_CALL = 12
"""Python frames that Keras stacks for each call on the longest way through a model."""

SPARE = 1000
"""Frames for all that isn't a walk through the model."""


@final
class _Room:
    """Who needs which limit, and what it was before the first of them came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._needed: list[int] = []
        self._before = self._raised = 0

    def enter(self, frames: int) -> None:
        with self._lock:
            if not self._needed:
                self._before = sys.getrecursionlimit()
            self._needed.append(frames)
            self._raised = max(self._before, *self._needed)
            if sys.getrecursionlimit() < self._raised:
                sys.setrecursionlimit(self._raised)

    def leave(self, frames: int) -> None:
        with self._lock:
            self._needed.remove(frames)
            if not self._needed and sys.getrecursionlimit() == self._raised:
                sys.setrecursionlimit(self._before)


_ROOM = _Room()


@contextmanager
def deep_recursion(calls: int) -> Iterator[None]:
    """Lets Keras walk a model of so many calls for the time of a `with` block.

    Args:
        calls: Calls on the longest way through the model, or more.
    """
    frames = FRAMES_PER_CALL * calls + SPARE
    _ROOM.enter(frames)
    try:
        yield
    finally:
        _ROOM.leave(frames)

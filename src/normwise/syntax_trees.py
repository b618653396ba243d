"""Keeps `ast.parse` from failing at random on CPython 3.11.0 to 3.11.7.

These releases count the depth of a syntax tree, while it is built, in a place that the whole
interpreter shares (CPython issue 106905, mended in 3.11.8). Building one runs no Python code,
so that no other thread gets its turn, with one exception: an allocation may start a garbage
collection, and finalizers are Python code. If one of them parses something, or another thread does
that gets its turn there, the count of the first is wrong, and it ends with
`SystemError: AST constructor recursion depth mismatch`, although its tree is right.

A training meets both sides: TensorFlow parses the source of what it traces, while the threads that
load images call `ast.literal_eval` for the header of every `.npy` file. The limit of recursion has
no part in it: the count is compared with itself, whatever the limit is.

While a tree is built without collections there is nothing that could come between.
"""

from __future__ import annotations

import ast
import gc
import sys
import threading
from functools import wraps
from typing import Any

FIRST, MENDED = (3, 11), (3, 11, 8)
"""The releases that fail: from the first one on, before the other."""

_LOCK = threading.RLock()


def guard_syntax_trees() -> None:
    """Has `ast.parse`, which `ast.literal_eval` uses too, hold off garbage collections.

    Does nothing on releases that don't need it, nor a second time.
    """
    if FIRST <= sys.version_info < MENDED and not hasattr(ast.parse, "__wrapped__"):
        ast.parse = _guarded(ast.parse)


def _guarded(parse: Any) -> Any:
    @wraps(parse)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        # One at a time: the first to be done would let collections in again for the others.
        with _LOCK:
            collects = gc.isenabled()
            gc.disable()
            try:
                return parse(*args, **kwargs)
            finally:
                if collects:
                    gc.enable()

    return guarded

"""Syntax trees can be built while garbage is collected, on releases that get it wrong alone too."""

import ast
import gc
import sys
from contextlib import contextmanager

import pytest

from normwise.syntax_trees import MENDED, _guarded, guard_syntax_trees

SOURCE = "\n".join(f"def f{i}(a, b):\n    return [a + {i}, b * (a - {i})]" for i in range(50))
PLAIN = getattr(ast.parse, "__wrapped__", ast.parse)
"""Python's own, also where the guard is in place already."""


@contextmanager
def parsing_finalizers():
    """Collections at nearly every allocation, each of which parses something at another depth."""

    def parse_too(phase, info):
        if phase == "start":
            deeper(20)

    def deeper(levels):
        return deeper(levels - 1) if levels else PLAIN("1 + 1")

    before = gc.get_threshold()
    gc.callbacks.append(parse_too)
    gc.set_threshold(5)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(parse_too)


def test_a_tree_is_built_while_finalizers_parse():
    parse = _guarded(PLAIN)
    wanted = ast.dump(parse(SOURCE))
    with parsing_finalizers():
        for _ in range(20):
            found = parse(SOURCE)
    assert ast.dump(found) == wanted
    assert gc.isenabled()


@pytest.mark.skipif(not (3, 11) <= sys.version_info < MENDED, reason="Python has mended it")
def test_without_the_guard_it_fails():
    with parsing_finalizers(), pytest.raises(SystemError, match="recursion depth mismatch"):
        for _ in range(200):
            PLAIN(SOURCE)


def test_the_guard_stands_where_it_is_needed_once_and_leaves_errors_alone():
    guard_syntax_trees()
    guard_syntax_trees()
    needed = (3, 11) <= sys.version_info < MENDED
    assert hasattr(ast.parse, "__wrapped__") == needed
    assert getattr(ast.parse, "__wrapped__", PLAIN) is PLAIN
    assert ast.literal_eval("{'shape': (3, 4)}") == {"shape": (3, 4)}
    with pytest.raises(SyntaxError):
        ast.parse("1 +")
    assert gc.isenabled()

"""The limit of recursion is high while it is needed, and what it was afterwards."""

import sys
import threading

import pytest

from normwise.keras_format.recursion import FRAMES_PER_CALL, SPARE, deep_recursion


def test_the_limit_is_high_inside_and_as_before_outside():
    before = sys.getrecursionlimit()
    with deep_recursion(10_000):
        assert sys.getrecursionlimit() == 10_000 * FRAMES_PER_CALL + SPARE
    assert sys.getrecursionlimit() == before
    with deep_recursion(1):
        assert sys.getrecursionlimit() >= before  # never lower
    assert sys.getrecursionlimit() == before


def test_it_is_as_before_after_an_error():
    before = sys.getrecursionlimit()
    with pytest.raises(ValueError, match="inside"), deep_recursion(10_000):
        raise ValueError("inside")
    assert sys.getrecursionlimit() == before


def test_one_inside_another():
    before = sys.getrecursionlimit()
    with deep_recursion(5_000):
        with deep_recursion(9_000):
            assert sys.getrecursionlimit() > 9_000 * FRAMES_PER_CALL
        assert sys.getrecursionlimit() > 5_000 * FRAMES_PER_CALL
    assert sys.getrecursionlimit() == before


def test_a_thread_that_is_done_leaves_the_others_their_room():
    before = sys.getrecursionlimit()
    inside, done = threading.Event(), threading.Event()

    def first():
        with deep_recursion(1_000):
            inside.set()
            done.wait(60)

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(60)
    with deep_recursion(2_000):
        done.set()
        thread.join(60)
        # Setting back what was found on the way in would leave the limit of before here.
        assert sys.getrecursionlimit() > 2_000 * FRAMES_PER_CALL
    assert sys.getrecursionlimit() == before


def test_a_limit_that_somebody_sets_meanwhile_stays():
    before = sys.getrecursionlimit()
    try:
        with deep_recursion(2_000):
            sys.setrecursionlimit(54_321)
        assert sys.getrecursionlimit() == 54_321
    finally:
        sys.setrecursionlimit(before)

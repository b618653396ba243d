"""Work ahead and behind: in order, with errors where they belong, and nothing left running."""

from threading import enumerate as threads

import pytest

from normwise.inference.pipeline import ahead, behind


def test_items_come_in_order():
    assert list(ahead(iter(range(50)), 3)) == list(range(50))
    taken = []
    with behind(taken.append) as hand:
        for item in range(50):
            hand(item)
    assert taken == list(range(50))


def test_an_error_is_raised_in_its_place():
    def failing():
        yield 1
        raise ValueError("no more")

    found = ahead(failing())
    assert next(found) == 1
    with pytest.raises(ValueError, match="no more"):
        next(found)


def test_an_error_of_the_work_ends_the_block():
    def work(item):
        raise OSError(f"no room for {item}")

    with pytest.raises(OSError, match="no room for 0"), behind(work) as hand:
        for item in range(100):
            hand(item)


def test_whoever_stops_early_leaves_no_thread():
    before = set(threads())
    for item in ahead(iter(range(1000))):
        if item == 3:
            break
    del item
    with pytest.raises(KeyError), behind(print) as hand:
        hand("x")
        raise KeyError("stop")
    assert set(threads()) <= before

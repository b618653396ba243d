"""Positions are a pure function of seed and epoch, and fair to every image."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normwise.data import Item, patch_positions
from normwise.data.patches import epoch_patches
from normwise.errors import DataError


def items(*sizes: tuple[int, int]) -> list[Item]:
    return [
        Item(str(index), Path("i"), Path("m"), "train", height, width)
        for index, (height, width) in enumerate(sizes)
    ]


sizes = st.lists(st.tuples(st.integers(1, 500), st.integers(1, 500)), min_size=1, max_size=9)


@settings(deadline=None)
@given(sizes, st.tuples(st.integers(1, 300), st.integers(1, 300)), st.integers(1, 60))
def test_patches_lie_inside_and_every_image_is_seen(shapes, patch, count: int) -> None:
    found = patch_positions(items(*shapes), patch, seed=3, epoch=1, count=count)
    assert len(found) == count
    visits = Counter(position.item for position in found)
    assert len(visits) == min(count, len(shapes)) or count > len(shapes)
    if count >= len(shapes):
        assert set(visits) == set(range(len(shapes)))
    for item, (row, column) in found:
        height, width = shapes[item]
        assert 0 <= row <= max(0, height - patch[0])
        assert 0 <= column <= max(0, width - patch[1])


def test_the_same_for_the_same_seed_and_epoch_and_else_different() -> None:
    some = items((100, 100), (50, 80))
    first = patch_positions(some, (32, 32), 0, 0, 20)
    assert first == patch_positions(some, (32, 32), 0, 0, 20)
    assert first != patch_positions(some, (32, 32), 0, 1, 20)
    assert first != patch_positions(some, (32, 32), 1, 0, 20)


def test_visits_are_in_proportion_to_area() -> None:
    found = patch_positions(items((100, 100), (200, 100), (10, 10)), (8, 8), 0, 0, 301)
    visits = Counter(position.item for position in found)
    assert visits[2] == 1
    assert visits[0] == pytest.approx(100, abs=2)
    assert visits[1] == pytest.approx(200, abs=2)
    assert [position.item for position in found] != sorted(position.item for position in found)


def test_all_corners_are_reached() -> None:
    found = patch_positions(items((10, 12)), (8, 8), 0, 0, 400)
    places = {position.corner for position in found}
    assert places == {(row, column) for row in range(3) for column in range(5)}


def test_an_epoch_covers_every_image() -> None:
    assert epoch_patches(items((64, 64), (10, 10), (128, 64)), (32, 32)) == 4 + 1 + 8


def test_no_images_is_an_error() -> None:
    with pytest.raises(DataError, match="no images"):
        patch_positions([], (8, 8), 0, 0, 1)

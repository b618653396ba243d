"""Blending: the sums of the whole image, bit by bit, in memory that its width doesn't set."""

import tracemalloc

import numpy as np
import pytest

from normwise.inference.blending import Blender, row_of


def values_of(place, region, outputs=2):
    """What is predicted of a tile; some of it without data."""
    rng = np.random.default_rng(place)
    values = rng.normal(size=(*(s.stop - s.start for s in region), outputs)).astype(np.float32)
    values[rng.random(values.shape[:-1]) < 0.01] = np.nan
    return values


def at_once(rows):
    """The same in the plainest way: all weighted tiles, added up in the image."""
    blender = Blender(rows)
    image = np.zeros((*(row.spans[-1].stop for row in rows), 2), np.float32)
    for place in blender.places():
        region = blender.region(place)
        weighted = values_of(place, region)
        for axis, (row, i) in enumerate(zip(rows, place, strict=True)):
            weight = np.expand_dims(row.weights[i], [a for a in range(len(rows) + 1) if a != axis])
            weighted = weighted * weight
        image[region] += weighted
    return image


@pytest.mark.parametrize("where", ["memory", "disk"])
@pytest.mark.parametrize(
    ("size", "tile"),
    [((61, 77), 16), ((61, 18), 16), ((17, 61), 16), ((9, 8), 16), ((30, 21, 26), 12)],
)
def test_what_is_given_back_is_the_sum_over_the_whole_image(size, tile, where, tmp_path):
    # Small images have tiles that overlap by more than half, and pixels that many tiles reach.
    rows = tuple(row_of(side, tile, 2, (5, 5)) for side in size)
    wanted = at_once(rows)
    for begin in (0, 14):
        blender = Blender(rows, begin, folder=None if where == "memory" else tmp_path)
        found = np.full(wanted.shape, np.inf, np.float32)
        for place in blender.places():
            region = blender.region(place)
            done = blender.add(place, values_of(place, region))
            if done is None:
                assert region[0].start < begin
                continue
            assert (found[done[0]] == np.inf).all()
            assert all(s.stop - s.start <= tile for s in done[0])
            found[done[0]] = done[1]
        blender.close()
        assert (found[:begin] == np.inf).all()
        np.testing.assert_array_equal(found[begin:], wanted[begin:])
    assert not list(tmp_path.iterdir())


def test_memory_is_that_of_some_tiles_whatever_the_width(tmp_path):
    tile, outputs = 64, 10
    values = np.ones((tile, tile, outputs), np.float32)
    for width in (500, 8000):
        blender = Blender((row_of(160, tile, 1, (0, 0)), row_of(width, tile, 1, (0, 0))),
                          folder=tmp_path)  # fmt: skip
        tracemalloc.start()
        for place in blender.places():
            blender.add(place, values)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        blender.close()
        assert most < 6 * values.nbytes < 0.1 * 8000 * tile * outputs * 4

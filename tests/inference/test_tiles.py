"""Where tiles stand: every pixel counts once, and is seen with its halo; blends add up to 1."""

from math import gcd

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from normwise.errors import NetworkError
from normwise.inference.blending import Blender, row_of
from normwise.inference.tiles import Demand, cores
from normwise.inference.views import View, views_of

DEMANDS = st.builds(
    Demand, st.sampled_from([1, 2, 3, 4, 8]), st.integers(0, 9), st.integers(0, 9), st.booleans()
)


@given(st.integers(1, 200), st.integers(40, 79), st.lists(DEMANDS, min_size=1, max_size=3))
@example(66, 66, [Demand(4, 5, 5)])  # the size of the image, and no multiple of the stride
def test_cores_are_right_in_a_tile_of_one_size(size, tile, demands):
    found = cores(size, tile, demands)
    assert [i for core in found for i in range(core.start, core.stop)] == list(range(size))
    for demand in demands:
        padded = demand.padded(size)
        for core in found:
            seen = demand.seen(core, size)
            window = demand.window(seen, size, tile)
            assert window.start % demand.stride == 0
            assert window.stop - window.start == min(tile - tile % demand.stride, padded)
            assert 0 <= window.start <= seen.start and seen.stop <= window.stop <= padded
            assert window.start == 0 or seen.start - window.start >= demand.before
            assert window.stop == padded or window.stop - seen.stop >= demand.after


def test_no_smaller_number_of_tiles_would_do():
    # The first tile adds 64 - 9 pixels, the next ones 64 - 9 - 10 rounded down to the stride.
    found = cores(1000, 64, [Demand(4, 10, 9)])
    assert found[0] == slice(0, 55)
    assert {core.stop - core.start for core in found[1:-1]} == {44}


def test_a_tile_without_pixels_of_its_own_is_refused():
    with pytest.raises(NetworkError, match="tiles of 16 pixels are too small"):
        cores(100, 16, [Demand(8, 8, 8)])
    assert cores(16, 16, [Demand(8, 8, 8)]) == (slice(0, 16),)


@pytest.mark.parametrize("axes", [2, 3])
def test_views_say_which_axis_lies_where(axes):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(5, 6, 7, 1)[-axes - 1 :])
    for view in views_of("flips-and-turns", axes):
        region = [slice(0)] * axes
        window = [slice(1, 3), slice(0, 2), slice(2, 5)][:axes]
        for span, (own, mirrored) in zip(window, view.axes(axes), strict=True):
            region[own] = Demand(1, 0, 0, mirrored).seen(span, image.shape[own])
        np.testing.assert_array_equal(view.of(image)[tuple(window)], view.of(image[tuple(region)]))
    assert View().axes(axes) == tuple((axis, False) for axis in range(axes))


@given(st.integers(1, 300), st.sampled_from([12, 16, 24, 25, 64]), st.sampled_from([1, 4, 8]),
       st.integers(0, 60))  # fmt: skip
@example(48, 12, 8, 0)
def test_weights_add_up_to_one(size, tile, stride, halo):
    row = row_of(size, tile, stride, (halo, halo))
    total = np.zeros(size)
    for span, weight in zip(row.spans, row.weights, strict=True):
        assert span.start % gcd(stride, tile) == 0 and (weight > 0).all()
        total[span] += weight
    np.testing.assert_allclose(total, 1, rtol=1e-5)


def test_tiles_overlap_by_the_receptive_field_within_bounds():
    def overlap(halo):
        spans = row_of(6400, 128, 1, (halo, halo)).spans
        return spans[0].stop - spans[1].start

    assert overlap(0) == pytest.approx(32, abs=2)
    assert overlap(25) == pytest.approx(50, abs=2)
    assert overlap(200) == pytest.approx(64, abs=2)


def blended(values, rows, begin=0):
    blender = Blender(rows, begin)
    found = np.full(values.shape, -1.0, np.float32)
    for place in blender.places():
        done = blender.add(place, values[blender.region(place)])
        if done is not None:
            region, part = done
            assert (found[region] == -1).all()
            found[region] = part
    return found, blender


def test_a_blend_of_equal_tiles_is_the_image():
    rows = row_of(50, 16, 4, (3, 3)), row_of(37, 24, 4, (3, 3))
    values = np.random.default_rng(0).normal(size=(50, 37, 2)).astype(np.float32)
    values[20, 20] = np.nan
    found, blender = blended(values, rows)
    np.testing.assert_allclose(found, values, rtol=1e-5, atol=1e-6)
    assert blender.mismatch.rms == 0 and blender.mismatch.count > 0
    # Gone on with: what is done isn't given back again, the rest is the same.
    rest, _ = blended(values, rows, begin=18)
    assert (rest[:18] == -1).all()
    np.testing.assert_array_equal(rest[18:], found[18:])


@pytest.mark.parametrize(
    ("size", "pairs"),
    # A strip of one tile across has neighbours along its other axis.
    [((8, 12), 1), ((12, 8), 1), ((12, 8, 8), 1), ((8, 12, 8), 1), ((12, 16), 4)],
)
def test_the_mismatch_is_what_neighbours_differ_by(size, pairs):
    blender = Blender(tuple(row_of(side, 8, 4, (0, 0)) for side in size))
    for number, place in enumerate(blender.places()):
        assert (blender.mismatch.rms is None) == (number < 2)
        blender.add(place, np.full((*[8] * len(size), 1), 3.0 * number, np.float32))
    assert blender.mismatch.rms == 3
    assert blender.mismatch.count == pairs * 4 * 8 ** (len(size) - 1)


def test_tiles_without_data_are_compared_with_none():
    blender = Blender((row_of(12, 8, 4, (0, 0)), row_of(8, 8, 4, (0, 0))))
    for place in blender.places():
        blender.add(place, np.full((8, 8, 1), np.nan, np.float32))
    assert blender.mismatch.rms is None

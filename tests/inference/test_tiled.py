"""Tiles beside the whole image: every network, odd sizes, borders, views, and what must fail."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from normwise.errors import NetworkError
from normwise.inference.in_memory import predict_member
from normwise.inference.members import member_of
from normwise.inference.mixtures import combined
from normwise.inference.tile_size import asked_for, choose, fixed_sizes
from normwise.inference.tiled import BlendedTiles, ExactTiles, predict_tiled, tiles_of
from normwise.inference.whole import predict_whole
from normwise.networks import applications, build
from tests import unets
from tests.networks.small_application import small_application
from tests.surgery.randomize import randomize

OPTIONS = {
    "unet": {"depth": 2},
    "residual": {"depth": 2, "blocks": 1},
    "attention": {"depth": 2, "filters": 4},
    "nested": {"depth": 2},
}


def member(model, views="none", seed=0):
    return member_of(randomize(model, seed), views)


def small(network, rank=2, **options):
    given = {"filters": 2, **OPTIONS.get(network, {}), **options}
    return build(network, (*[None] * rank, 2), **given)


def image(*size, seed=0):
    return np.random.default_rng(seed).normal(size=(*size, 2)).astype(np.float32)


def assert_same(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("network", OPTIONS)
def test_tiles_equal_the_whole_image(network):
    own, pixels = member(small(network)), 10 * image(141, 97)
    assert own.tiling.exact
    side = own.tiling.smallest[0] + 16
    whole = predict_whole(own.model, pixels)
    assert whole.std() > 1e-3 * np.abs(whole).max()
    assert_same(predict_tiled(own, pixels, (side, side)), whole)
    if network != "unet":
        return
    # The control: with a halo one stride smaller the seams show.
    halo = tuple((before - 4, after - 4) for before, after in own.tiling.halo)
    wrong = replace(own, tiling=replace(own.tiling, halo=halo))
    off = np.abs(predict_tiled(wrong, pixels, (side, side)) - whole).max()
    assert off > 1e-4 * np.abs(whole).max()


def test_tiles_equal_the_whole_image_of_the_question():
    own, pixels = member(small("question")), image(700, 70)
    tile = own.tiling.smallest[0], 128
    assert_same(predict_tiled(own, pixels, tile), predict_whole(own.model, pixels))


def test_tiles_equal_the_whole_image_with_an_encoder_of_keras(monkeypatch):
    """One with a stem without padding, a layer that pads, and a nested model."""
    monkeypatch.setattr(applications, "application", lambda name: small_application())
    own = member(build("encoder", (None, None, 2), filters=4))
    side = own.tiling.smallest[0] + 8
    pixels = image(side + 50, 40)
    assert own.tiling.exact and own.tiling.stride == (8, 8)
    assert_same(predict_tiled(own, pixels, (side, 40)), predict_whole(own.model, pixels))


@pytest.mark.parametrize("network", ["unet", "residual"])
def test_tiles_equal_the_whole_volume(network):
    own, pixels = member(small(network, 3, depth=1)), image(19, 45, 21)
    tile = tuple(side + 4 for side in own.tiling.smallest)
    whole = predict_whole(own.model, pixels)
    assert len(ExactTiles([own], pixels.shape[:-1], tile)) > 2
    assert_same(predict_tiled(own, pixels, tile), whole)


@pytest.mark.parametrize("mode", ["reflect", "symmetric"])
def test_the_smallest_tiles_equal_an_image_that_is_continued_by_its_edges(mode):
    def padded(x):
        return keras.ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode=mode)

    inputs = keras.Input((None, None, 2))
    x = keras.layers.Conv2D(3, 3, strides=2, activation="tanh")(padded(inputs))
    x = keras.layers.UpSampling2D()(keras.layers.Conv2D(3, 3, activation="tanh")(padded(x)))
    own, pixels = member(keras.Model(inputs, x)), image(41, 37)
    assert own.tiling.exact
    tile = own.tiling.smallest
    assert_same(predict_tiled(own, pixels, tile), predict_whole(own.model, pixels))
    # The control: of this one the smallest tiles don't see what continues the image.
    own = member(unets.continued(mode))
    assert not own.tiling.exact
    forced = replace(own, tiling=replace(own.tiling, reasons=()))
    found, whole = predict_tiled(forced, pixels, (11, 37)), predict_whole(own.model, pixels)
    assert np.abs(found - whole)[:10].max() > 0.1
    assert_same(found[10:], whole[10:])


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (60, 5), (64, 64), (65, 63)])
def test_small_and_odd_images(size):
    own, pixels = member(small("unet")), image(*size)
    assert_same(predict_tiled(own, pixels, (64, 64)), predict_whole(own.model, pixels))


@pytest.mark.parametrize("views", ["flips", "flips-and-turns"])
def test_views_of_tiles_equal_views_of_the_whole(views):
    own, pixels = member(keras.Model(*_asymmetric()), views), image(70, 66)
    whole = predict_member(own, pixels)
    # In a turned view the stride of rows, 4, lies along the columns, whose own is 2.
    sizes = chosen(own, (70, 66), 10**9), asked_for(38, [own], (70, 66)), (38, 38)
    assert sizes[:2] == (((72, 66), (40, 38)) if views == "flips" else ((72, 68), (40, 40)))
    for tile in sizes:
        assert_same(predict_tiled(own, pixels, tile), whole)
    assert np.abs(whole - predict_whole(own.model, pixels)).max() > 0.01


def _asymmetric():
    """Strides, halos and padding that differ along rows and columns, before and behind."""
    layers = keras.layers
    inputs = x = keras.Input((None, None, 2))
    x = layers.Conv2D(3, (2, 4), strides=(1, 2), padding="same", activation="tanh")(x)
    x = layers.Conv2D(3, (4, 3), strides=(4, 1), padding="same")(x)
    return inputs, layers.Conv2DTranspose(1, (4, 3), strides=(4, 2), padding="same")(x)


def test_members_of_other_strides_share_their_tiles():
    members = [member(small("unet")), member(small("unet", depth=1), seed=1)]
    pixels = image(90, 75)
    found = by_tiles(ExactTiles(members, (90, 75), (64, 64)), pixels)
    assert_same(found, combined([predict_whole(m.model, pixels) for m in members]))


@pytest.mark.parametrize(("side", "step"), [(22, 4), (6, 8)])
def test_a_member_of_one_size_shares_its_tiles_with_a_stride_that_does_not_divide_it(side, step):
    free, other = member(strided(2), seed=1), member(strided(step))
    own = member(strided(2, side))
    own.model.set_weights(free.model.get_weights())
    pixels = image(50, 45)
    tiles = tiles_of([own, other], (50, 45), (side, side))
    found = by_tiles(tiles, pixels)
    assert tiles.exact == (step < side)
    if tiles.exact:
        assert_same(found, combined([predict_whole(m.model, pixels) for m in (free, other)]))
    else:  # blended, and none of the pixels is left out
        assert (found != 0).all()


def strided(step, side=None):
    layers, inputs = keras.layers, keras.Input((side, side, 2))
    x = layers.Conv2D(3, 3, strides=step, padding="same", activation="tanh")(inputs)
    x = layers.BatchNormalization()(x)
    return keras.Model(inputs, layers.Conv2DTranspose(1, 3, strides=step, padding="same")(x))


def by_tiles(tiles, pixels):
    found = np.zeros((*pixels.shape[:-1], 1), np.float32)
    for piece in tiles.pieces():
        part = pixels[piece.context]
        done = tiles.add(piece, [part] * len(tiles.members), np.zeros((*part.shape[:2], 1), bool))
        if done is not None:
            found[done[0]] = done[1]
    return found


def test_a_tile_that_is_too_small_is_refused():
    own = member(small("unet"))
    with pytest.raises(NetworkError, match="too small"):
        predict_tiled(own, image(200, 200), (16, 16))


# Blending. ----------------------------------------------------------------------------------------


def test_what_sees_the_whole_image_is_blended():
    own, pixels = member(small("unet", norm="instance@pre-activation")), image(100, 90)
    assert not own.tiling.exact
    whole = predict_whole(own.model, pixels)
    found = predict_tiled(own, pixels, (64, 64))
    # Better than tiles side by side, though no tile equals the whole.
    beside = np.zeros_like(whole)
    for top in range(0, 100, 64):
        for left in range(0, 90, 64):
            area = slice(top, top + 64), slice(left, left + 64)
            beside[area] = predict_whole(own.model, pixels[area])
    errors = [np.sqrt(np.mean((made - whole) ** 2)) for made in (found, beside)]
    assert 0 < errors[0] < errors[1]
    assert predict_tiled(own, pixels, (128, 128)) == pytest.approx(whole, abs=1e-5)


# The size of tiles. -------------------------------------------------------------------------------


def chosen(own, size, memory):
    fixed = fixed_sizes([own])
    kind = ExactTiles if own.tiling.exact else BlendedTiles
    return choose([own], size, fixed, memory, lambda tile: kind([own], size, tile).computed)


def test_the_tile_is_as_large_as_memory_makes_useful():
    own = member(small("unet"))
    assert chosen(own, (300, 200), 10**9) == (300, 200)
    few, more = (chosen(own, (5000, 5000), memory) for memory in (10**7, 10**8))
    assert few[0] < more[0] and few[0] % 4 == more[0] % 4 == 0
    assert chosen(own, (40, 100_000), 10**7)[0] == 40
    with pytest.raises(NetworkError, match="--memory"):
        chosen(own, (5000, 5000), 10**4)


@pytest.mark.parametrize("plan", ["none", "instance@pre-activation"])
@pytest.mark.parametrize("size", [(1000, 1000), (700, 3000)])
@pytest.mark.parametrize("memory", [10**7, 5 * 10**7])
def test_no_smaller_tile_would_do_with_as_many(plan, size, memory):
    """A chosen tile fits closely: a stride less along any axis needs more tiles."""
    own = member(small("unet", norm=plan))
    kind = ExactTiles if own.tiling.exact else BlendedTiles
    tile = chosen(own, size, memory)
    count = len(kind([own], size, tile))
    assert 1 < count < 500
    for axis, step in enumerate(own.strides):
        less = tuple(side - step * (axis == i) for i, side in enumerate(tile))
        assert len(kind([own], size, less)) > count


def test_a_model_of_one_size_gets_tiles_of_it():
    own = member(build("unet", (64, 48, 2), filters=2, depth=1))
    assert chosen(own, (300, 200), 10**9) == (64, 48)
    pixels = image(100, 120)
    free = member(small("unet", depth=1))
    free.model.set_weights(own.model.get_weights())
    whole = predict_whole(free.model, pixels)
    assert_same(predict_tiled(own, pixels, (64, 48)), whole)
    assert_same(predict_member(own, pixels), whole)


def test_members_of_different_sizes_have_none_in_common():
    sides = ((64, 48), (32, 48), (None, None))
    own, other, free = (member(build("unet", (*side, 2), filters=2, depth=1)) for side in sides)
    assert fixed_sizes([own, free]) == (64, 48)
    told = r"different sizes \(32x48, 64x48\); predict with members of one size, or one by one"
    with pytest.raises(NetworkError, match=told):
        fixed_sizes([own, other, free])


def test_a_size_without_room_for_the_halo_is_blended():
    own, pixels = member(build("unet", (12, 12, 2), filters=2, depth=1)), image(30, 31)
    tiles = tiles_of([own], (30, 31), (12, 12))
    assert own.tiling.exact and not tiles.exact
    assert np.isfinite(predict_member(own, pixels)).all()
    inputs = keras.Input((9, 8, 2))
    down = keras.layers.Conv2D(2, 3, strides=2, padding="same")(inputs)
    up = keras.layers.Conv2DTranspose(1, 3, strides=2, padding="same")(down)
    uneven = member(keras.Model(inputs, keras.layers.Cropping2D(((0, 1), (0, 0)))(up)))
    assert str(uneven.tiling.reasons[-1]).endswith("takes 9x8 pixels, which its total stride of "
                                                   "2x2 doesn't divide")  # fmt: skip
    assert np.isfinite(predict_member(uneven, pixels)).all()

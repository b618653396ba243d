"""Views of images and volumes, and the mean of what is predicted for them."""

import keras
import numpy as np
import pytest

from normwise.errors import NormwiseError
from normwise.inference.in_memory import predict_member
from normwise.inference.members import member_of
from normwise.inference.views import takes_turns, views_of
from normwise.inference.whole import predict_whole

RNG = np.random.default_rng(0)
SHAPES = {2: (4, 6, 2), 3: (3, 4, 6, 2)}
COUNTS = [("none", 2, 1), ("flips", 2, 4), ("flips-and-turns", 2, 8),
          ("none", 3, 1), ("flips", 3, 8), ("flips-and-turns", 3, 16)]  # fmt: skip


@pytest.mark.parametrize(("kind", "axes", "count"), COUNTS)
def test_every_view_is_another_one_and_leads_back(kind, axes, count):
    image = RNG.normal(size=SHAPES[axes])
    views = views_of(kind, axes)
    seen = [view.of(image) for view in views]
    assert len({(s.shape, s.tobytes()) for s in seen}) == len(views) == count
    np.testing.assert_array_equal(seen[0], image)
    for view, each in zip(views, seen, strict=True):
        np.testing.assert_array_equal(view.back(each), image)


def test_without_turns_flips_are_left():
    assert views_of("flips-and-turns", 2, turns=False) == views_of("flips", 2)
    assert takes_turns((None, 8, 8, 1)) and takes_turns((None, None, None, 1))
    assert not takes_turns((None, 8, 16, 1))


def test_another_name_is_an_error():
    with pytest.raises(NormwiseError, match="allowed: none, flips, flips-and-turns"):
        views_of("mirrors", 2)


def network(shape=(None, None, 2)):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape)
    return keras.Model(inputs, keras.layers.Conv2D(3, 3, padding="same")(inputs))


@pytest.mark.backends
def test_the_mean_turns_with_the_image():
    model, image = network(), RNG.normal(size=(5, 7, 2)).astype(np.float32)
    mean = predict_member(member_of(model, "flips-and-turns"), image)
    turned = predict_member(member_of(model, "flips-and-turns"), np.rot90(image))
    np.testing.assert_allclose(turned, np.rot90(mean), rtol=1e-5, atol=1e-6)
    # The controls: one prediction doesn't turn with its image, nor is it the mean.
    alone = predict_whole(model, image)
    assert np.abs(predict_whole(model, np.rot90(image)) - np.rot90(alone)).max() > 0.1
    assert np.abs(alone - mean).max() > 0.1
    np.testing.assert_array_equal(predict_member(member_of(model), image), alone)


def test_a_model_for_unequal_sides_gets_flips():
    model, image = network((4, 8, 2)), RNG.normal(size=(4, 8, 2)).astype(np.float32)
    mean = predict_member(member_of(model, "flips-and-turns"), image)
    np.testing.assert_array_equal(mean, predict_member(member_of(model, "flips"), image))


def test_deviations_grow_where_views_disagree():
    model, image = network((None, None, 2)), RNG.normal(size=(4, 4, 2)).astype(np.float32)
    two = keras.Model(model.input, keras.layers.Conv2D(2, 1)(model.output))
    each = [v.back(predict_whole(two, v.of(image))) for v in views_of("flips", 2)]
    found = predict_member(member_of(two, "flips"), image, mean_and_std=True)
    means, stds = (np.stack([e[..., k] for e in each]).astype(float) for k in (0, 1))
    wanted = np.sqrt((stds**2).mean(0) + means.var(0))
    np.testing.assert_allclose(found[..., 1], wanted, rtol=1e-4)
    np.testing.assert_allclose(found[..., 0], means.mean(0), rtol=1e-4, atol=1e-6)

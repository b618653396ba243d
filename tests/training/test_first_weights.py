"""First weights by name: networks under different plans begin alike."""

import keras
import numpy as np
import pytest

from normwise.networks import build
from normwise.training.determinism import seed_run
from normwise.training.first_weights import draw_by_name

PLANS = ("none", "batch@pre-activation", "group(groups=2)@encoder:post-activation+after-merge")


def network(plan, seed=0, by_name=True, name="unet", **options):
    seed_run(seed)
    built = build(name, (None, None, 3), 1, plan, filters=4, **options)
    if by_name:
        draw_by_name(built, seed)
    return built


def kernels(model):
    """Every weight that was drawn at random, by the name of its layer."""
    return {
        f"{layer.name}/{variable.name}": keras.ops.convert_to_numpy(variable)
        for layer in model.layers
        for variable in layer.trainable_variables
        if variable.name == "kernel"
    }


def shared(one, other):
    return [np.array_equal(value, other[name]) for name, value in one.items() if name in other]


@pytest.mark.backends
def test_plans_share_the_weights_of_the_layers_that_they_share():
    first, *others = (kernels(network(plan, depth=2)) for plan in PLANS)
    for other in others:
        assert len(shared(first, other)) == len(first) == 13
        assert all(shared(first, other))
    plain = [kernels(network(plan, by_name=False, depth=2)) for plan in PLANS]
    assert not all(shared(plain[0], plain[1])), "without it they don't"


def test_depth_and_other_settings_keep_what_is_of_the_same_name_and_shape():
    small, deep = (kernels(network("none", depth=depth)) for depth in (1, 2))
    same = {name for name, value in small.items() if np.array_equal(value, deep.get(name))}
    assert {"encoder1_conv1/kernel", "encoder1_conv2/kernel", "head/kernel"} <= same
    asked, mended = (
        kernels(network("batch@encoder:post-activation", name="question", **options))
        for options in ({}, {"decoder_activation": "relu"})
    )
    assert len(asked) == 13
    assert all(shared(asked, mended))


def test_seeds_and_layers_differ():
    one, other = (kernels(network("none", seed, depth=1)) for seed in (0, 1))
    assert not any(shared(one, other))
    again = kernels(network("none", depth=1))
    assert all(shared(one, again))
    twins = [v for v in one.values() if v.shape == one["encoder1_conv2/kernel"].shape]
    assert len(twins) > 1
    assert not np.array_equal(twins[0], twins[1])


def test_weights_keep_the_spread_that_their_initializers_give():
    found, plain = (kernels(network("none", by_name=b, depth=2)) for b in (True, False))
    for name, value in found.items():
        if value.size > 200:
            assert value.std() == pytest.approx(plain[name].std(), rel=0.25), name
        assert not np.array_equal(value, plain[name])


def test_what_was_loaded_stays():
    seed_run(0)
    built = build("unet", (None, None, 3), 1, "batch@pre-activation", filters=4, depth=1)
    layer = built.get_layer("encoder1_conv2")
    loaded = [np.full(weight.shape, 0.5, np.float32) for weight in layer.get_weights()]
    layer.set_weights(loaded)
    norms = built.get_layer("encoder1_conv1_norm").get_weights()
    draw_by_name(built, 0)
    assert all(np.array_equal(a, b) for a, b in zip(layer.get_weights(), loaded, strict=True))
    kept = built.get_layer("encoder1_conv1_norm").get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(norms, kept, strict=True))


def test_dropout_drops_the_same():
    states = [
        keras.ops.convert_to_numpy(
            network(plan, name="question").get_layer("dropout").seed_generator.state
        )
        for plan in ("none", "batch@encoder:pre-activation")
    ]
    np.testing.assert_array_equal(*states)
    other = network("none", 1, name="question").get_layer("dropout").seed_generator.state
    assert not np.array_equal(states[0], keras.ops.convert_to_numpy(other))


def test_names_that_a_session_has_counted_don_t_matter():
    def counted():
        x = inputs = keras.Input((8, 8, 1))
        for _ in range(2):
            x = keras.layers.Conv2D(2, 3)(x)
        return keras.Model(inputs, x)

    models = [counted(), counted()]
    assert models[0].layers[1].name != models[1].layers[1].name
    for model in models:
        draw_by_name(model, 0)
    for a, b in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(a, b)

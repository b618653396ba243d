"""Batch renormalization learns from batches whose own statistics say nothing."""

from functools import cache

import keras
import numpy as np
import pytest

import normwise as nw
from normwise.errors import PlanError
from normwise.training.determinism import seed_run
from normwise.training.losses.composition import WeightedLoss, loss_of
from normwise.training.training_settings import TrainingSettings


def brightness(count, seed):
    """Images of unlike brightness; the target is the image itself, brightness and all.

    A batch norm over one image takes half of what is asked for away.
    """
    rng = np.random.default_rng(seed)
    level = rng.normal(size=(count, 1, 1, 1))
    images = (level + rng.normal(size=(count, 8, 8, 1))).astype(np.float32)
    return images, images


@cache
def untrained(plan):
    """A compiled network, and what its variables are at first; every batch size compiles alike."""
    seed_run(0)
    model = nw.build("unet", (8, 8, 1), 1, plan, filters=8, depth=1)
    loss = WeightedLoss(loss_of(TrainingSettings(loss="mean-squared")))
    model.compile(keras.optimizers.Adam(0.01), loss)
    model.optimizer.build(model.trainable_variables)
    variables = (*model.variables, *model.optimizer.variables)
    return model, [(v, np.array(keras.ops.convert_to_numpy(v), copy=True)) for v in variables]


def losses(plan, batch_size, steps=240):
    """The loss on new images, in training mode with batches of that size and in inference."""
    model, first = untrained(plan)
    for variable, value in first:
        variable.assign(value)
    images, targets = brightness(steps * batch_size, seed=1)
    model.fit(images, targets, batch_size=batch_size, shuffle=False, verbose=0)
    images, targets = brightness(16, seed=2)
    parts = [images[at : at + batch_size] for at in range(0, 16, batch_size)]
    trained = np.concatenate([np.asarray(model(part, training=True)) for part in parts])
    inferred = np.asarray(model.predict_on_batch(images))
    return float(((trained - targets) ** 2).mean()), float(((inferred - targets) ** 2).mean())


@pytest.mark.parametrize("batch_size", [1, 2])
def test_it_trains_at_batch_sizes_where_batch_norm_falls_apart(batch_size):
    settings = "momentum=0.9"
    trained, inferred = losses(
        f"batch-renorm({settings},renorm_momentum=0.9)@pre-activation", batch_size
    )
    plain_trained, plain_inferred = losses(f"batch({settings})@pre-activation", batch_size)
    # The variance of the target is 2.
    assert max(trained, inferred) < 0.5
    # Batch norm learns something in inference, but never what it is trained on.
    assert plain_trained > 2 * trained
    assert abs(plain_trained - plain_inferred) > 3 * abs(trained - inferred)


def corrected(x, **clipping):
    layer = keras.layers.BatchNormalization(
        renorm=True, renorm_clipping=clipping or None, epsilon=1e-3
    )
    return np.asarray(keras.ops.convert_to_numpy(layer(x, training=True)))


@pytest.mark.backends
def test_keras_bounds_the_correction_by_nothing_unless_told():
    """At the first step the moving statistics are 0 and 1: unbounded, the layer does nothing."""
    x = np.random.default_rng(0).normal(40, 7, (16, 3)).astype(np.float32)
    np.testing.assert_allclose(corrected(x), x, rtol=1e-3, atol=1e-3)
    standard = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3)
    np.testing.assert_allclose(
        corrected(x, rmax=3.0, dmax=5.0), 3 * standard + 5, rtol=0, atol=1e-3
    )
    # With both closed it is plain batch norm.
    np.testing.assert_allclose(corrected(x, rmax=1.0, dmax=0.0), standard, rtol=0, atol=1e-3)


@pytest.mark.backends
def test_a_plan_states_the_bounds(tmp_path):
    plan = "batch-renorm(renorm_momentum=0.9,rmax=3.0,dmax=5.0)@pre-activation"
    model = nw.build("unet", (8, 8, 1), 1, plan, filters=4, depth=1)
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert all(norm.renorm_clipping == {"rmax": 3.0, "dmax": 5.0} for norm in norms)
    assert str(nw.plan_of(model)) == plan
    model.save(tmp_path / "model.keras")
    assert str(nw.plan_of(tmp_path / "model.keras")) == plan


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("rmax=0.5", "1 or more, the upper bound"),
        ("rmax=inf", "1 or more"),
        ("rmin=2", "from 0 to 1"),
        ("dmax=-1", "0 or more, the bound"),
    ],
)
def test_impossible_bounds(argument, message):
    with pytest.raises(PlanError, match=message):
        nw.NormPlan.parse(f"batch-renorm({argument})@skip")

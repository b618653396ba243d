"""Random networks with branches, merges, sharing and nesting under random plans."""

import keras
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from normwise.errors import PlanError
from normwise.keras_format import read_graph
from normwise.norms import NormPlan, infer_plan
from normwise.surgery.place import place
from normwise.surgery.work import Settings
from tests.surgery.models import inputs_of, outputs_of, shaken, weights_of
from tests.zoo import block, conv

WIDTH = 4
STEPS = ("fused", "plain", "norm", "down", "up", "add", "concatenate", "shared", "nested", "drop")
PLACES = ("pre-activation", "post-activation", "post-activation/raw-skip", "before-downsampling",
          "skip", "after-merge", "input")  # fmt: skip


def network(steps):
    """A network whose tensors all have the same width; a step reads one or two earlier ones."""
    inputs = keras.Input((8, 8, WIDTH), name="input")
    made, shared, inner = [inputs], conv(WIDTH, activation="relu"), block(WIDTH)
    for step, first, second in steps:
        x, y = made[first % len(made)], made[second % len(made)]
        made.append(_apply(step, x, y, shared, inner))
    return keras.Model(inputs, conv(2, 1, name="head")(made[-1]))


def _apply(step, x, y, shared, inner):  # noqa: PLR0911
    if step == "fused":
        return conv(WIDTH, activation="relu")(x)
    if step == "plain":
        return layers.Activation("tanh")(conv(WIDTH)(x))
    if step == "norm":
        return layers.ReLU()(layers.BatchNormalization()(conv(WIDTH, use_bias=False)(x)))
    if step == "down":
        return layers.MaxPooling2D(2, padding="same")(x)
    if step == "up":
        return layers.UpSampling2D()(x) if x.shape[1] < 8 else conv(WIDTH)(x)
    if step in ("add", "concatenate"):
        if x.shape != y.shape:
            y = layers.Resizing(*x.shape[1:3])(y)
        if step == "add":
            return layers.Add()([x, y])
        return conv(WIDTH, 1)(layers.Concatenate()([x, y]))
    if step == "drop":
        return layers.Dropout(0.3)(x)
    return shared(x) if step == "shared" else inner(x)


STEP = st.tuples(st.sampled_from(STEPS), st.integers(0, 9), st.integers(0, 9))


@settings(max_examples=12, deadline=None)
@given(
    st.lists(STEP, min_size=2, max_size=9),
    st.sampled_from(PLACES),
    st.booleans(),
    st.booleans(),
)
def test_promises_hold(steps, place_name, keep, drop_bias):
    model = shaken(network(steps))
    plan = NormPlan.parse(f"batch@{place_name}")
    inputs, before = inputs_of(model), weights_of(model)
    outputs = outputs_of(model, inputs)
    try:
        done = place(model, plan, Settings(keep, drop_bias))
    except PlanError as error:
        assert "has no place" in str(error)
        return
    for a, b in zip(before, weights_of(model), strict=True):
        np.testing.assert_array_equal(a, b)
    found = outputs_of(done.model, inputs)
    if keep:
        assert done.report.max_difference <= 1e-5
        for a, b in zip(outputs, found, strict=True):
            np.testing.assert_allclose(b, a, rtol=0, atol=1e-5 * max(np.abs(a).max(), 1e-6))
    if not done.report.skipped:
        again = place(done.model, plan, Settings(keep, drop_bias)).report
        assert not again.changed and not again.skipped
        reached = infer_plan(read_graph(done.model))
        # Two plans can mean the same places; then the one read back asks for no edit either.
        other = place(done.model, reached, Settings(keep)).report
        assert not other.changed and not other.skipped

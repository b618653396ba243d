"""Verification reads inputs that a model is made for, and says what it couldn't prove."""

import keras
import numpy as np
import pytest
from keras import layers

from normwise.errors import PromiseError, SurgeryError
from normwise.graph.flatten import flatten
from normwise.keras_format import read_graph
from normwise.keras_format.paths import layers_by_path
from normwise.keras_format.replay import replay
from normwise.norms import NormPlan
from normwise.surgery import fold_plan, inner, insert, samples
from normwise.surgery import verify as verifying
from normwise.surgery.differences import channel_difference, is_constant, one_difference
from normwise.surgery.fold import fold
from normwise.surgery.input_ranges import input_range
from normwise.surgery.place import place
from normwise.surgery.samples import random_inputs
from normwise.surgery.verify import verify
from normwise.surgery.work import EditSettings
from tests.surgery.models import shaken
from tests.zoo import conv


def first_inputs(model, attempt=0):
    return next(random_inputs(read_graph(model), model, 0, attempt))


def behind(*scaling, dtype="float32", policy="float32", first=lambda x: x):
    """A network that scales its input first; its kernels are small beside its biases."""
    inputs = keras.Input((8, 8, 4), dtype=dtype)
    x = first(inputs)
    for layer in scaling:
        x = layer(x)
    x = layers.BatchNormalization(name="norm")(conv(4, name="a", dtype=policy)(x))
    x = conv(4, name="b", dtype=policy)(layers.ReLU(name="relu")(x))
    return shaken(keras.Model(inputs, conv(2, name="head")(layers.ReLU(name="relu2")(x))))


def scaled(model, inputs):
    """What the first convolution reads."""
    probe = keras.Model(model.inputs, model.get_layer("a").input)
    return keras.ops.convert_to_numpy(probe(inputs))


def adapted():
    layer = layers.Normalization()
    layer.adapt(np.random.default_rng(0).normal(3000, 800, (4, 8, 8, 4)).astype("float32"))
    return layer


def averaged():
    layer = layers.BatchNormalization(name="first", center=False, scale=False)
    layer.build((None, 8, 8, 4))
    layer.moving_mean.assign(np.full(4, 5000.0))
    layer.moving_variance.assign(np.full(4, 1e6))
    return layer


SCALINGS = {
    "rescaling": lambda: [layers.Rescaling(1 / 65535)],
    "rescaling with an offset": lambda: [layers.Rescaling(1 / 127.5, offset=-1)],
    "one for each channel": lambda: [layers.Rescaling([1e-3, 1e-2, 1e-1, 10], offset=[1, 2, 3, 4])],
    "fixed statistics": lambda: [layers.Normalization(mean=[1e4] * 4, variance=[1e6] * 4)],
    "adapted statistics": lambda: [adapted()],
    "two in a row": lambda: [layers.Rescaling(0.1), layers.Normalization(mean=0.5, variance=0.1)],
    "past a dropout": lambda: [layers.Dropout(0.1), layers.Rescaling(1e-4)],
}  # fmt: skip


@pytest.mark.parametrize("kind", SCALINGS)
def test_what_the_first_learned_layer_reads_has_mean_0_and_deviation_1(kind):
    model = behind(*SCALINGS[kind]())
    found = scaled(model, first_inputs(model))
    assert abs(found.mean()) < 0.2 and 0.8 < found.std() < 1.2
    wide = scaled(model, first_inputs(model, attempt=1))
    assert 80 < wide.std() < 120


def test_a_batch_normalization_of_the_input_counts_too():
    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, conv(2, name="a")(averaged()(inputs)))
    found = first_inputs(model)
    assert 4000 < found.mean() < 6000 and 800 < found.std() < 1200


@pytest.mark.parametrize(
    "op",
    [
        lambda x: x / 127.5 - 1.0,
        lambda x: 1.0 - 2.0 * x,
        lambda x: (x - 100.0) * 0.01 + 3,
    ],
)
def test_ops_with_constants_count_too(op):
    model = behind(first=op)
    found = scaled(model, first_inputs(model))
    assert abs(found.mean()) < 0.2 and 0.8 < found.std() < 1.2


@pytest.fixture
def channels_first():
    """The setting by which Keras shapes the scale of a `Rescaling`."""
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


def rescaled(shape):
    inputs = keras.Input(shape)
    x = layers.Rescaling([1e-3, 0.01, 4.0], name="scaling")(inputs)
    return keras.Model(inputs, layers.Dense(2)(x))


@pytest.mark.backends
def test_a_rescaling_of_channels_that_come_first_is_taken_as_keras_does(channels_first):
    model = rescaled((3, 5, 7))
    found = keras.ops.convert_to_numpy(model.get_layer("scaling")(first_inputs(model)))
    assert (np.abs(found.std(axis=(0, 2, 3)) - 1) < 0.3).all()
    graph = read_graph(model)
    assert verify(graph, model, replay(graph, model)).kept
    # Keras couldn't compute this, so it says nothing of the input.
    flat = flatten(read_graph(other := rescaled((5, 7, 3))))
    assert input_range(flat, layers_by_path(other), flat.input_tensors[0].node) is None


def test_what_is_no_fixed_scale_says_nothing():
    inputs = keras.Input((8, 8, 4))
    for first in (lambda x: 1.0 / x, lambda x: x * x, layers.ReLU(), conv(4)):
        model = keras.Model(inputs, conv(2)(first(inputs)))
        flat = flatten(read_graph(model))
        assert input_range(flat, layers_by_path(model), flat.input_tensors[0].node) is None
    zero = keras.Model(inputs, conv(2)(layers.Rescaling(0.0)(inputs)))
    flat = flatten(read_graph(zero))
    assert input_range(flat, layers_by_path(zero), flat.input_tensors[0].node) is None


@pytest.mark.parametrize(
    ("dtype", "low", "high"), [("uint8", 0, 255), ("uint16", 0, 65535), ("int16", -32768, 32767)]
)
def test_whole_numbers_take_their_whole_range(dtype, low, high):
    model = behind(layers.Rescaling(1 / high), dtype=dtype)
    found = first_inputs(model)
    assert found.dtype == dtype
    assert found.min() <= low + 0.02 * (high - low) and found.max() >= high - 0.02 * (high - low)


def test_wide_whole_numbers_follow_the_scaling_else_they_get_smaller_and_smaller():
    model = behind(layers.Rescaling(1e-4), dtype="int32")
    found = scaled(model, first_inputs(model))
    assert 0.8 < found.std() < 1.2
    plain = behind(dtype="int32")
    tops = [np.abs(first_inputs(plain, attempt)).max() for attempt in range(4)]
    assert tops == sorted(tops, reverse=True) and tops[0] > 2**30 and tops[-1] <= 3


def decibels(x):
    return 10.0 * keras.ops.log10(x)


@pytest.mark.parametrize("op", [keras.ops.log, keras.ops.sqrt, decibels])
@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_networks_of_positive_values_are_compared_on_these(op, dtype, monkeypatch):
    model = behind(first=lambda x: op(keras.ops.cast(x, "float32")), dtype=dtype)
    report = fold(model).report
    assert report.changed and report.max_difference <= 1e-5
    assert not [note for note in report.notes if "proves nothing" in note]
    assert not turned(model).kept
    assert place(model, NormPlan.parse("batch@post-activation")).report.changed
    monkeypatch.setattr(verifying, "ATTEMPTS", len(samples.SPREADS))
    with pytest.raises(SurgeryError, match="not finite"):
        fold(model)


def test_values_between_0_and_1_come_last():
    model = behind(first=lambda x: keras.ops.log(1.0 - x) - keras.ops.log(x))
    found = first_inputs(model, samples.ATTEMPTS - 1)
    assert found.min() > 0 and found.max() < 1
    assert fold(model).report.changed


def turned(model):
    """A copy in which a kernel is turned."""
    wrong = {"a": lambda weights: {"kernel": weights.of("a")["kernel"].swapaxes(2, 3)}}
    graph = read_graph(model)
    return verify(graph, model, replay(graph, model, wrong))


@pytest.mark.parametrize(
    ("dtype", "scale", "policy"),
    [("float32", 1e-8, "float32"), ("uint16", 1 / 65535, "mixed_bfloat16")],
)
def test_a_wrong_kernel_behind_a_strong_scaling_is_seen(dtype, scale, policy, monkeypatch):
    model = behind(layers.Rescaling(scale), dtype=dtype, policy=policy)
    assert not turned(model).kept
    # Around 1, as inputs were drawn before, hardly more than the biases is left of the network.
    monkeypatch.setattr(samples, "input_range", lambda *given: None)
    monkeypatch.setattr(samples, "NARROW_BITS", 0)
    monkeypatch.setattr(samples, "BOUNDS", (4,) * 4)
    monkeypatch.setattr(samples, "SPREADS", (1.0,) * 4)
    blind = turned(model)
    assert blind.kept and "proves nothing" in blind.notes[0]


def dead(bias=-1e9):
    """A network whose last ReLU is never awake."""
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="norm")(conv(4, name="a")(inputs))
    x = layers.ReLU(name="alive")(x)
    x = layers.BatchNormalization(name="last")(conv(4, name="b")(x))
    model = shaken(keras.Model(inputs, layers.ReLU(name="dead")(x)))
    model.get_layer("last").beta.assign(np.full(4, bias))
    return model


def test_a_network_that_only_other_inputs_wake_is_tried_with_them():
    report = fold(dead(bias=-60.0)).report
    assert not [note for note in report.notes if "proves nothing" in note]


def test_a_dead_output_is_said_and_inner_results_are_compared():
    model = dead()
    placed = place(model, NormPlan.parse("batch@pre-activation+post-activation"))
    for report in (fold(model).report, placed.report):
        assert report.changed and report.max_difference <= 1e-5
        (note,) = [note for note in report.notes if "proves nothing" in note]
        assert note.startswith("output 'dead' is the same for all inputs that were tried")
        assert "before it read and made was compared instead" in note
    assert not [n for n in fold(behind()).report.notes if "proves nothing" in n]


def test_a_wrong_fold_behind_a_dead_output_is_seen(monkeypatch):
    model = dead()
    own = fold_plan.taking

    # The last layer keeps its kernel, and only its bias is folded.
    def wrong(path, takes):
        right = own(path, takes)
        return (lambda w: {**right(w), "kernel": w.of(path)["kernel"]}) if path == "a" else right

    monkeypatch.setattr(fold_plan, "taking", wrong)
    with pytest.raises(PromiseError, match="layer 'alive' differs"):
        fold(model)
    monkeypatch.setattr(inner, "NEAREST", 0)
    report = fold(model).report  # what was accepted before, and is said now
    (note,) = [note for note in report.notes if "proves nothing" in note]
    assert note.endswith("so it proves nothing of the layers that lead to it")


def test_a_wrong_edit_behind_a_dead_output_is_seen(monkeypatch):
    def wrong(channels, epsilon):
        return {
            "gamma": np.full(channels, 1.01, "float32"),
            "beta": np.zeros(channels, "float32"),
            "moving_mean": np.zeros(channels, "float32"),
            "moving_variance": np.full(channels, 1 - epsilon, "float32"),
        }

    monkeypatch.setattr(insert, "identity", wrong)
    with pytest.raises(PromiseError, match="first at layer"):
        place(dead(), NormPlan.parse("batch@pre-activation+post-activation"))


def test_where_outputs_may_change_it_is_said_of_the_plain_copy():
    report = place(dead(), NormPlan.parse("layer@pre-activation"), EditSettings(keep=False)).report
    assert [note for note in report.notes if "proves nothing" in note]


def test_advice_is_what_the_caller_has():
    words = keras.Input((1,), dtype="string", name="words")
    x = layers.Dense(3, name="a")(
        layers.StringLookup(vocabulary=["b"], output_mode="one_hot")(words)
    )
    model = keras.Model(words, layers.ReLU()(layers.BatchNormalization()(x)))
    with pytest.raises(SurgeryError, match="'words' has the dtype string") as told:
        fold(model)
    assert "keep_outputs" not in str(told.value)
    with pytest.raises(SurgeryError, match=r"keep_outputs=False \(--retrain\)"):
        place(model, NormPlan.parse("none"))
    assert place(model, NormPlan.parse("none"), EditSettings(keep=False)).report.changed


def test_differences_and_constants():
    a = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert one_difference(a, a) == 0 and one_difference(a, a + 0.4) == pytest.approx(0.1)
    assert one_difference(a, a[:1]) == np.inf
    assert one_difference(a, np.where(a == 1, np.nan, a)) == np.inf
    assert one_difference(a * np.nan, a * np.nan) == 0
    # Two samples alike are constant, however their channels differ; one sample is what it is.
    assert is_constant(np.array([[1.0, 9.0], [1.0, 9.0]]), 1e-5)
    assert is_constant(np.array([[1.0, 9.0], [1.0, 9.0 + 1e-5]]), 1e-5)
    assert not is_constant(a, 1e-5)
    assert is_constant(np.array([[5.0, 5.0]]), 1e-5) and not is_constant(a[:1], 1e-5)
    assert is_constant(np.zeros((2, 0)), 1e-5)


@pytest.mark.parametrize("axis", [1, -1])
def test_a_small_channel_is_held_against_itself(axis):
    rng = np.random.default_rng(0)
    a = rng.normal(size=(2, 5, 5, 3)) * [1.0, 1e-4, 1e-6]
    differs = lambda b: channel_difference(np.moveaxis(a, -1, axis), np.moveaxis(b, -1, axis), axis)
    assert differs(a) == 0
    for channel in range(3):
        wrong = a.copy()
        wrong[..., channel] *= 1.5
        assert differs(wrong) > 1e-5
        assert (one_difference(a, wrong) > 1e-5) == (channel < 2)
        slightly = a.copy()
        slightly[..., channel] *= 1 + 5e-6
        assert differs(slightly) < 1e-5
    # What large numbers leave when they cancel differs by their roundings.
    assert differs(a + 1e-8 * rng.normal(size=a.shape)) < 1e-5
    a[..., 2] = 0
    assert differs(a + 1e-8) < 1e-5 < differs(a + 1e-6)


def test_what_has_no_small_channels_is_compared_as_a_whole():
    a = np.array([[1e6, 1.0], [2e6, 2.0]])
    b = np.array([[1e6, 2.0], [2e6, 3.0]])
    assert channel_difference(a, b) > 1e-5 > one_difference(a, b)
    many = np.tile(a, 40)
    for x in (a[0], a[..., None], many, np.zeros((2, 0))):
        assert channel_difference(x, x + 1) == one_difference(x, x + 1)
    holes = np.where(a == 1, np.nan, a)
    assert channel_difference(holes, holes) == 0
    assert channel_difference(holes, a) == channel_difference(a, a[:1]) == np.inf
    assert channel_difference(a * 0, a * 0) == 0

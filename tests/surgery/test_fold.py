"""Folding: the contract on models of the zoo, each route, each reason, and planted mistakes."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

from normwise.errors import PromiseError
from normwise.graph.flatten import flatten
from normwise.keras_format import read_graph
from normwise.surgery import algebra, fold_plan, passing, routes
from normwise.surgery import fold as folding
from normwise.surgery.fold import fold
from normwise.surgery.rewrite import Promise
from normwise.surgery.statistics import batch_norms
from tests.surgery.models import (
    fit_once,
    inputs_of,
    outputs_of,
    runs_here,
    shaken,
    weights_of,
)
from tests.surgery.randomize import randomize
from tests.zoo import NOT_SAVED, ZOO, built

SAME = 1e-5


def difference(model, other, inputs):
    pairs = zip(outputs_of(model, inputs), outputs_of(other, inputs), strict=True)
    return max(np.abs(a - b).max() / np.abs(a).max() for a, b in pairs)


def chain(*parts, shape=(9, 9, 4)):
    """A chain of layers with random weights, whose norms have positive gammas."""
    inputs = x = keras.Input(shape)
    for part in parts:
        x = part(x)
    return randomize(keras.Model(inputs, x), negative_gamma=False)


def norm(name="norm", **config):
    return layers.BatchNormalization(name=name, **config)


def checked(model, folded=1, tolerance=SAME):
    """Folds, holds outputs against each other, and returns the rewrite."""
    done = fold(model)
    assert len(done.report.changed) == folded, done.report
    assert difference(model, done.model, inputs_of(model)) < tolerance
    return done


def reason(model, layer="norm"):
    done = checked(model, folded=0)
    return {skip.layer: skip.reason for skip in done.report.skipped}[layer]


WITH_NORMS = (
    "nested_twice",
    "nested_in_nested",
    "nested_output",
    "sequential_without_input",
    "sequential_in_functional",
    "sequential_twice",
    "functional_in_sequential",
    "shared_norm",
    "residual_post",
    "residual_pre",
    "one_dimension",
    "three_dimensions",
    "depthwise",
    "all_norms",
)


@pytest.mark.parametrize("name", [n for n in WITH_NORMS if runs_here(n)])
def test_contract(name, tmp_path):
    model = shaken(built(name))
    inputs, before = inputs_of(model), weights_of(model)
    done = fold(model)
    report, copy = done.report, done.model
    assert report.promise is Promise.KEPT_IN_INFERENCE
    assert report.max_difference < SAME
    assert difference(model, copy, inputs) < SAME
    for old, new in zip(before, weights_of(model), strict=True):
        np.testing.assert_array_equal(old, new)
    assert names_of_outputs(copy) == names_of_outputs(model)
    assert [t.name for t in copy.inputs] == [t.name for t in model.inputs]
    # The report is the difference of the graphs.
    old, new = (set(batch_norms(m)) for m in (model, copy))
    assert {change.layer for change in report.changed} == old - new
    assert {skip.layer for skip in report.skipped} == new
    _other_weights_are_equal(model, copy, report)
    # Saved and loaded it is the same, under the same names, and it trains.
    copy.save(tmp_path / "folded.keras")
    loaded = keras.saving.load_model(tmp_path / "folded.keras")
    assert names_of_outputs(loaded) == names_of_outputs(model)
    assert difference(copy, loaded, inputs) == 0
    again = fold(copy)
    assert not again.report.changed
    assert difference(copy, again.model, inputs) == 0


@pytest.mark.parametrize("name", ["nested_twice", "residual_post"])
def test_training_continues_on_the_copy_and_then_on_the_original(name):
    model = shaken(built(name))
    copy, inputs = fold(model).model, inputs_of(model)
    before = weights_of(model)
    fit_once(copy, inputs, eagerly=True)
    for old, new in zip(before, weights_of(model), strict=True):
        np.testing.assert_array_equal(old, new)
    fit_once(model, inputs, eagerly=True)


def names_of_outputs(model):
    """A Sequential model has none: its losses go by no name."""
    return getattr(model, "output_names", None)


def _other_weights_are_equal(model, copy, report):
    touched = " ".join(change.action for change in report.changed).replace(",", " ").split()
    ours, theirs = ({v.path: v for v in m.variables} for m in (copy, model))
    kept = [p for p in theirs if p in ours and p.rsplit("/", 1)[0].split("/")[-1] not in
            {t.split("/")[-1] for t in touched}]  # fmt: skip
    for path in kept:
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(ours[path]), keras.ops.convert_to_numpy(theirs[path])
        )


BEFORE = {
    "conv": lambda: layers.Conv2D(6, 3, padding="same", use_bias=False, name="linear"),
    "grouped": lambda: layers.Conv2D(6, 3, groups=2, strides=2, name="linear"),
    "dilated": lambda: layers.Conv2D(6, 2, dilation_rate=2, name="linear"),
    "depthwise": lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, name="linear"),
    "separable": lambda: layers.SeparableConv2D(6, 3, depth_multiplier=2, name="linear"),
    "transposed": lambda: layers.Conv2DTranspose(4, 3, strides=2, padding="same", name="linear"),
    "dense": lambda: layers.Dense(4, name="linear"),
}


@pytest.mark.parametrize("kind", BEFORE)
def test_back_into(kind):
    done = checked(chain(BEFORE[kind](), norm(), layers.ReLU()))
    assert done.report.changed[0].action == "folded into linear"
    assert "3 before, 2 after" in done.report.notes[2]


@pytest.mark.backends
def test_back_and_forward_on_every_backend():
    parts = [layers.Conv2D(4, 3, padding="same"), norm("a"), layers.ReLU(), norm("b"),
             layers.SeparableConv2D(5, 3, padding="same"), layers.ReLU(), norm("c"),
             layers.AveragePooling2D(2, padding="same"), layers.Conv2DTranspose(3, 3)]  # fmt: skip
    done = checked(chain(*parts), folded=3)
    assert [change.action.split()[0] for change in done.report.changed] == [
        "folded", "scale", "scale",
    ]  # fmt: skip


@pytest.mark.backends
def test_channels_first():
    if keras.backend.backend() == "tensorflow":
        pytest.skip("TensorFlow has no channels_first convolution on a CPU")
    first = {"data_format": "channels_first"}
    parts = [layers.Conv2D(6, 3, **first), norm("a", axis=1), layers.ReLU(), norm("b", axis=1),
             layers.Conv2D(6, 3, padding="same", **first)]  # fmt: skip
    checked(chain(*parts, shape=(4, 9, 9)), folded=2)


@pytest.mark.parametrize("kind", [k for k in BEFORE if k not in ("conv", "transposed")])
def test_forward_into_layers_that_read_whole_windows(kind):
    done = checked(chain(layers.ReLU(), norm(), BEFORE[kind]()))
    assert done.report.changed[0].action == "folded forward into linear"
    assert "norm_shift" not in {node.layer for node in read_graph(done.model).nodes}


@pytest.mark.parametrize("kind", ["conv", "transposed"])
def test_forward_through_padding_keeps_the_shift(kind):
    done = checked(chain(layers.ReLU(), norm(), BEFORE[kind]()))
    assert "stays before the padding as norm_shift" in done.report.changed[0].action
    shift = read_graph(done.model).node("norm_shift")
    assert shift.class_name == "Rescaling"


def test_a_fold_that_forgets_the_border_is_caught(monkeypatch):
    model = chain(layers.ReLU(), norm(), BEFORE["conv"](), layers.ReLU(name="behind"))
    monkeypatch.setattr(routes, "reads_whole_windows", lambda node: True)
    with pytest.raises(PromiseError, match=r"layer 'behind' differs by .* Nothing was changed"):
        fold(model)


@pytest.mark.parametrize("kind", ["conv", "depthwise", "transposed", "dense"])
def test_a_wrong_kernel_axis_is_caught(kind, monkeypatch):
    wrong = {
        "conv": algebra._scaled_transposed,
        "dense": algebra._scaled_transposed,
        "transposed": algebra._scaled,
        "depthwise": lambda kernel, scale: kernel * scale.reshape(2, -1).T,
    }
    parts = {
        "conv": layers.Conv2D(4, 3),
        "depthwise": layers.DepthwiseConv2D(3, depth_multiplier=2),
        "transposed": layers.Conv2DTranspose(4, 3),
        "dense": layers.Dense(4),
    }
    model = chain(parts[kind], norm(), layers.ReLU(name="behind"))
    checked(model)
    monkeypatch.setitem(algebra._SCALED_OUTPUT, kind, wrong[kind])
    with pytest.raises(PromiseError, match="layer 'behind' differs"):
        fold(model)


@pytest.mark.parametrize("named", ["behind", "norm"])
def test_the_layer_that_is_named_is_none_that_a_right_fold_changes_too(named, monkeypatch):
    """The pooling reads another scale in any case; what reads or makes the result must not."""
    parts = [layers.Conv2D(4, 3), layers.AveragePooling2D(2, name="pool"), norm()]
    end = [layers.ReLU(name="behind"), layers.Conv2D(3, 1, name="head")]
    model = chain(*parts, *(end if named == "behind" else []))
    checked(model)
    monkeypatch.setitem(algebra._SCALED_OUTPUT, "conv", algebra._scaled_transposed)
    with pytest.raises(PromiseError, match=f"layer '{named}' differs"):
        fold(model)


def joined(axis=-1):
    inputs = keras.Input((8, 8, 3))
    sides = [layers.Conv2D(4, 1, name=f"side{i}")(inputs) for i in range(2)]
    x = norm()(layers.Concatenate(axis=axis)(sides))
    return randomize(keras.Model(inputs, layers.ReLU()(x)))


@pytest.mark.parametrize("axis", [-1, 1])
def test_back_through_a_concatenation(axis):
    done = checked(joined(axis))
    assert done.report.changed[0].action == "folded into side0, side1"


def test_a_swapped_order_of_a_concatenation_is_caught(monkeypatch):
    own = passing.parted

    def swapped(graph, node, whole):
        (a, first), (b, second) = own(graph, node, whole)
        return [(a, second), (b, first)]

    monkeypatch.setattr(routes, "parted", swapped)
    with pytest.raises(PromiseError):
        fold(joined())


def test_weights_by_position_are_caught(monkeypatch):
    """Two kernels of the same shape in each other's place."""
    own = fold_plan.taking
    inputs = keras.Input((8, 8, 4))
    x = layers.Conv2D(4, 1, name="a")(inputs)
    x = layers.Conv2D(4, 1, name="b")(layers.ReLU()(norm("na")(x)))
    model = randomize(keras.Model(inputs, norm("nb")(x)))
    checked(model, folded=2)
    seen = []

    def mixed(path, takes):
        seen.append((path, takes))
        return own(*seen[0])

    monkeypatch.setattr(fold_plan, "taking", mixed)
    with pytest.raises(PromiseError):
        fold(model)


def test_back_through_a_sum():
    inputs = keras.Input((8, 8, 3))
    sides = [layers.Conv2D(4, 1, name=f"side{i}")(inputs) for i in range(2)]
    checked(randomize(keras.Model(inputs, norm()(layers.Add()(sides)))))


def test_forward_through_a_concatenation_leaves_the_others_alone():
    inputs = keras.Input((8, 8, 3))
    raw = layers.ReLU(name="raw")(inputs)
    x = layers.Concatenate()([raw, norm()(raw), raw])
    done = checked(randomize(keras.Model(inputs, layers.Conv2D(4, 3, name="linear")(x))))
    assert done.report.changed[0].action == "folded forward into linear"


THROUGH = {
    "average pooling": lambda: layers.AveragePooling2D(2, padding="same"),
    "maximum pooling": lambda: layers.MaxPooling2D(2),
    "nearest": lambda: layers.UpSampling2D(2),
    "bilinear": lambda: layers.UpSampling2D(2, interpolation="bilinear"),
    "cropping": lambda: layers.Cropping2D(1),
    "dropout": lambda: layers.SpatialDropout2D(0.5),
    "linear activation": lambda: layers.Activation("linear"),
}


@pytest.mark.parametrize("kind", THROUGH)
def test_back_through(kind):
    checked(chain(layers.Conv2D(4, 3), THROUGH[kind](), norm(), layers.ReLU()))


@pytest.mark.parametrize("kind", THROUGH)
def test_forward_through(kind):
    checked(chain(layers.ReLU(), norm(), THROUGH[kind](), layers.Conv2D(3, 2)))


@pytest.mark.parametrize("pool", [layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D])
@pytest.mark.parametrize("keepdims", [False, True])
def test_through_global_pooling(pool, keepdims):
    checked(chain(layers.ReLU(), norm(), pool(keepdims=keepdims), layers.Dense(3)))
    checked(chain(layers.Conv2D(4, 3), pool(keepdims=keepdims), norm(), layers.ReLU()))


def test_zero_padding_lets_the_scale_pass_and_keeps_the_shift_before_it():
    done = checked(chain(layers.ReLU(), norm(), layers.ZeroPadding2D(2), layers.Conv2D(3, 3)))
    assert "stays before the padding" in done.report.changed[0].action
    stays = reason(chain(layers.Conv2D(4, 3), layers.ZeroPadding2D(2), norm(), layers.ReLU()))
    assert "pads zeros in between" in stays


def test_a_maximum_needs_positive_gammas():
    model = chain(layers.Conv2D(4, 3), layers.MaxPooling2D(2), norm(), layers.ReLU())
    gamma = np.array([1.0, -1.0, 1.0, 0.5])
    model.get_layer("norm").gamma.assign(gamma)
    stays = reason(model)
    assert "takes maxima in between, and gamma isn't positive in 1 of 4 channels" in stays


def test_a_maximum_of_negative_gammas_is_caught(monkeypatch):
    model = chain(layers.Conv2D(4, 3), layers.MaxPooling2D(2), norm(), layers.ReLU())
    model.get_layer("norm").gamma.assign(-np.ones(4))
    monkeypatch.setattr(passing, "_check_maximum", lambda node, whole: None)
    with pytest.raises(PromiseError):
        fold(model)


def test_a_shift_of_which_the_kernel_makes_nothing_gives_a_bias_of_zero():
    """With other statistics, as the proof has them first, it gives another one."""
    linear = layers.Conv2D(1, 1, use_bias=False, name="linear")
    model = chain(layers.ReLU(), norm(), linear, shape=(9, 9, 2))
    ones, zeros = np.ones(2), np.zeros(2)
    model.get_layer("norm").set_weights([ones, np.full(2, 0.1), zeros, ones])
    linear.set_weights([np.array([1.0, -1.0]).reshape(1, 1, 2, 1)])
    done = checked(model)
    assert keras.ops.convert_to_numpy(done.model.get_layer("linear").bias) == [0]


def test_a_scale_of_zero():
    model = chain(layers.ReLU(), norm(), layers.Conv2D(3, 3, padding="same"))
    model.get_layer("norm").gamma.assign(np.array([1.0, 0.0, 1.0, 1.0]))
    assert "the scale is 0 in 1 channels" in reason(model)
    valid = chain(layers.ReLU(), norm(), layers.Conv2D(3, 3))
    valid.get_layer("norm").gamma.assign(np.zeros(4))
    checked(valid)


def test_two_norms_in_a_row():
    done = checked(chain(layers.Conv2D(4, 3), norm("a"), norm("b"), layers.ReLU()), folded=2)
    assert len({change.action for change in done.report.changed}) == 1
    checked(chain(layers.ReLU(), norm("a"), norm("b"), layers.Conv2D(4, 3)), folded=2)


def names_of(done):
    return [node.layer for node in read_graph(done.model).nodes]


@pytest.mark.backends
@pytest.mark.parametrize("count", [2, 3])
def test_norms_in_a_row_before_padding_leave_one_shift(count):
    named = [norm(name) for name in "abc"[:count]]
    pool = layers.AveragePooling2D(2, strides=1)
    linear = layers.Conv2D(4, 3, padding="same", name="linear")
    done = checked(chain(layers.ReLU(), named[0], pool, *named[1:], linear), folded=count)
    last = "abc"[count - 1]
    assert [name for name in names_of(done) if "shift" in name] == [f"{last}_shift"]
    assert done.report.changed[0].action == (
        f"folded forward into linear; {last}_shift does its shift too"
    )


def test_a_shift_that_another_reader_needs_stays_before_the_others():
    inputs = keras.Input((9, 9, 4))
    x = norm("a")(layers.ReLU()(inputs))
    y = layers.Conv2D(4, 3, padding="same", name="linear")(norm("b")(x))
    z = layers.Conv2D(4, 3, padding="same", name="other")(x)
    done = checked(randomize(keras.Model(inputs, [y, z])), folded=2)
    assert [name for name in names_of(done) if "shift" in name] == ["a_shift", "b_shift"]


def test_a_scale_of_zero_before_a_shift_that_stays():
    model = chain(layers.ReLU(), norm("a"), norm("b"), layers.Conv2D(4, 3, padding="same"))
    model.get_layer("a").gamma.assign(np.array([1.0, 0.0, 1.0, 1.0]))
    (skip,) = checked(model, folded=1).report.skipped
    assert skip.layer == "a" and "the scale is 0 in 1 channels" in skip.reason


def test_norms_of_other_axes_before_a_shift_that_stays():
    model = chain(layers.ReLU(), norm("a", axis=1), norm("b"), layers.Conv2D(4, 3, padding="same"))
    (skip,) = checked(model, folded=1).report.skipped
    assert skip.layer == "a" and "'b' has its channels on another axis" in skip.reason


def to_dense(axis=-1, **flatten):
    flat = layers.Flatten(name="flat", **flatten)
    parts = [layers.ReLU(), norm(axis=axis), layers.MaxPooling2D(1), flat, layers.Dropout(0.5)]
    if axis == 1:  # TensorFlow pools no channels that come first on a CPU
        parts.pop(2)
    return chain(*parts, layers.Dense(3, name="dense"), shape=(3, 5, 4))


@pytest.mark.backends
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("axis", [-1, 1])
def test_forward_through_flatten(axis, data_format):
    done = checked(to_dense(axis, data_format=data_format))
    assert done.report.changed[0].action == "folded forward into dense"


def test_a_wrong_order_of_flattened_channels_is_caught(monkeypatch):
    own = passing.flattened

    def turned(graph, node, affine):
        right = own(graph, node, affine)
        return replace(right, scale=np.sort(right.scale), shift=np.sort(right.shift))

    monkeypatch.setattr(routes, "flattened", turned)
    with pytest.raises(PromiseError, match="layer 'dense' differs"):
        fold(to_dense())


def test_what_is_flattened_behind_stays():
    inputs = keras.Input((3, 5, 4))
    flat = layers.Flatten(name="flat")(layers.Conv2D(4, 1)(inputs))
    model = randomize(keras.Model(inputs, layers.ReLU()(norm()(flat))))
    assert "Flatten 'flat' is in between" in reason(model)


def sums(*ways):
    """The sum of several ways, normalized."""
    inputs = keras.Input((8, 8, 3))
    made = []
    for name, padded in zip("abc", ways, strict=False):
        x = layers.Conv2D(4, 3 if padded else 1, name=name)(inputs)
        made.append(layers.ZeroPadding2D(1, name=f"{name}_pad")(x) if padded else x)
    return randomize(keras.Model(inputs, layers.ReLU()(norm()(layers.Add(name="sum")(made)))))


@pytest.mark.parametrize("ways", [(True, False), (False, True), (True, True, False)])
def test_a_sum_gives_the_shift_to_a_way_without_padding(ways):
    model = sums(*ways)
    assert checked(model).report.changed[0].action == f"folded into {', '.join('abc'[: len(ways)])}"
    takes = folding._folded(read_graph(model), model, {}).plan.takes
    shifted = [name for name, (take,) in takes.items() if take.affine.shift.any()]
    assert shifted == ["abc"[ways.index(False)]]


def test_a_sum_of_padded_ways_alone_stays():
    assert "ZeroPadding2D 'a_pad' pads zeros in between" in reason(sums(True, True))


def test_between_two_linear_layers_it_goes_back():
    done = checked(chain(layers.Conv2D(4, 3, name="a"), norm(), layers.Conv2D(4, 3, name="b")))
    assert done.report.changed[0].action == "folded into a"


def test_a_fused_activation_lets_it_go_forward_only():
    parts = [layers.Conv2D(4, 3, activation="relu", name="a"), norm(), layers.Conv2D(4, 3)]
    assert checked(chain(*parts)).report.changed[0].action.startswith("folded forward into")
    stays = reason(chain(*parts[:2]))
    assert (
        stays == "back: 'a' applies relu before it; forward: its result is an output of the model"
    )


def test_a_norm_at_the_output_leaves_its_name():
    model = chain(layers.Conv2D(4, 3, name="linear"), norm("answer"))
    done = checked(model)
    assert done.model.output_names == ["answer"]
    assert read_graph(done.model).node("answer").class_name == "Identity"
    assert "keeps the output's name 'answer'" in done.report.changed[0].action


def test_a_result_that_others_read_too_stays():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(3, 1, name="linear")(inputs)
    model = randomize(keras.Model(inputs, [norm()(x), layers.ReLU()(x)]))
    assert "others read the result of 'linear' too" in reason(model)


def test_a_shared_linear_layer_stays():
    inputs = keras.Input((8, 8, 3))
    shared = layers.Conv2D(3, 1, name="shared")
    model = randomize(keras.Model(inputs, norm()(shared(shared(inputs)))))
    assert "'shared' is shared by several calls" in reason(model)


def of_bytes(padding):
    """The first layer turns bytes into floats, which no convolution does."""
    inputs = keras.Input((8, 8, 3), dtype="uint8", name="bytes")
    x = layers.Conv2D(4, 3, padding=padding, name="linear")(norm()(inputs))
    return randomize(keras.Model(inputs, layers.ReLU()(x)))


@pytest.mark.backends
def test_a_norm_that_makes_floats_of_whole_numbers_stays_unless_its_shift_does():
    stays = reason(of_bytes("valid"))
    assert stays == (
        "back: it reads the input 'bytes'; forward: it makes floating-point numbers of uint8 "
        "values, as what reads it needs them"
    )
    done = checked(of_bytes("same"))
    assert "its shift stays before the padding as norm_shift" in done.report.changed[0].action


def test_a_call_in_training_mode_stays():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(3, 1)(inputs)
    model = keras.Model(inputs, layers.BatchNormalization(name="norm")(x, training=True))
    assert "it is called in training mode" in [s.reason for s in fold_quietly(model)]


def fold_quietly(model):
    """The skips alone: a norm in training mode is no fixed function."""
    plan_graph = read_graph(model)
    return tuple(folding._folded(plan_graph, model, {}).plan.skipped.values())


def nested(depth, **call):
    """A norm in a model inside others; the outermost of these is called so."""
    inputs = keras.Input((8, 8, 4))
    x = norm()(layers.Conv2D(4, 1, name="a")(inputs))
    inside = keras.Model(inputs, layers.ReLU()(x), name="inside")
    for level in range(depth):
        inputs = keras.Input((8, 8, 4))
        inside = keras.Model(inputs, inside(inputs), name=f"around{level}")
    inputs = keras.Input((8, 8, 4))
    return randomize(keras.Model(inputs, layers.Conv2D(2, 1)(inside(inputs, **call))))


@pytest.mark.parametrize("depth", [0, 1])
def test_a_model_that_is_called_in_training_mode_keeps_its_norms(depth):
    (skip,) = fold_quietly(nested(depth, training=True))
    assert skip.reason == "the model around it is called in training mode"
    assert not fold_quietly(nested(depth)) and not fold_quietly(nested(depth, training=False))


def test_another_axis_stays():
    model = chain(layers.Conv2D(4, 3), norm(axis=1), layers.ReLU())
    assert "has its channels on another axis" in reason(model)


def test_channels_on_another_axis_of_a_layer_in_between_stay():
    parts = [layers.Conv2D(4, 3), layers.AveragePooling2D(2), norm(axis=1), layers.ReLU()]
    assert "AveragePooling2D 'average_pooling2d" in reason(chain(*parts))
    ahead = [layers.ReLU(), norm(axis=1), layers.GlobalAveragePooling2D(), layers.Dense(3)]
    assert "GlobalAveragePooling2D" in reason(chain(*ahead))


def test_up_sampling_that_is_not_linear_stays():
    cubic = layers.UpSampling2D(2, interpolation="bicubic", name="up")
    stays = reason(chain(layers.Conv2D(4, 3), cubic, norm(), layers.ReLU()))
    assert "UpSampling2D 'up' interpolates in another way than linearly" in stays


def test_a_dropout_in_training_mode_stays():
    inputs = keras.Input((8, 8, 3))
    x = layers.Dropout(0.5, name="drop", seed=1)(layers.Conv2D(4, 1)(inputs), training=True)
    model = keras.Model(inputs, layers.ReLU()(norm()(x)))
    assert "Dropout 'drop' is called in training mode" in fold_quietly(model)[0].reason


def test_a_sum_of_several_ranks_stays():
    image, vector = keras.Input((8, 8, 3)), keras.Input((5,))
    sides = [layers.Conv2D(4, 1)(image), layers.Dense(4)(vector)]
    model = keras.Model([image, vector], layers.ReLU()(norm()(keras.ops.add(*sides))))
    plan_graph = read_graph(model)
    skipped = folding._folded(plan_graph, model, {}).plan.skipped
    assert "adds tensors of several ranks" in skipped["norm"].reason


def test_a_sum_of_other_channels_stays():
    inputs = keras.Input((8, 8, 3))
    sides = [layers.Conv2D(n, 1, name=f"side{n}")(inputs) for n in (4, 1)]
    model = randomize(keras.Model(inputs, layers.ReLU()(norm()(layers.Add()(sides)))))
    assert "'side1' has another number of channels" in reason(model)


def test_a_concatenation_over_space_stays_ahead():
    inputs = keras.Input((8, 8, 3))
    raw = layers.ReLU()(inputs)
    x = layers.Concatenate(axis=1, name="joined")([raw, norm()(raw)])
    model = randomize(keras.Model(inputs, layers.Conv2D(4, 1)(x)))
    assert "'joined' joins it with others along another axis than channels" in reason(model)


def test_another_precision_stays():
    parts = [layers.Conv2D(4, 3, dtype="mixed_bfloat16", name="a"), norm(dtype="float32")]
    done = fold(chain(*parts, layers.ReLU()))
    assert "'a' computes in bfloat16, the norm in float32" in done.report.skipped[0].reason


def test_a_norm_inside_a_layer_of_ones_own_is_listed():
    inputs = keras.Input((3, 8, 8, 2))
    each = layers.TimeDistributed(layers.BatchNormalization(name="inside"), name="each")
    done = fold(randomize(keras.Model(inputs, each(inputs))))
    assert done.report.skipped[0].layer == "each/inside"
    assert "0 of 1" in done.report.notes[0]


def test_trainable_flags_stay():
    model = chain(layers.Conv2D(4, 3, name="a", trainable=False), norm(), layers.Conv2D(3, 1))
    done = checked(model)
    assert not done.model.get_layer("a").trainable


@pytest.mark.parametrize("renorm", [True, False])
def test_variants(renorm):
    checked(chain(layers.Conv2D(4, 3), norm(renorm=renorm, center=False), layers.ReLU()))
    checked(chain(layers.Conv2D(4, 3), norm(renorm=renorm, scale=False), layers.ReLU()))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow only")
def test_synchronized():
    checked(chain(layers.Conv2D(4, 3), norm(synchronized=True), layers.ReLU()))


APPLICATIONS = {
    "MobileNetV2": lambda a: a.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, classes=5),
    "ResNet50V2": lambda a: a.ResNet50V2(weights=None, input_shape=(32, 32, 3), classes=5),
}


@pytest.mark.parametrize("name", APPLICATIONS)
def test_applications(name):
    model = shaken(APPLICATIONS[name](keras.applications))
    norms = batch_norms(model)
    done = fold(model)
    assert difference(model, done.model, inputs_of(model)) < SAME
    assert len(done.report.changed) + len(done.report.skipped) == len(norms)
    # ResNet V2 normalizes the sums of its residual blocks, before an activation.
    assert len(done.report.changed) == {"ResNet50V2": 32}.get(name, len(norms))
    before, after = (len(flatten(read_graph(m)).nodes) for m in (model, done.model))
    assert before - after == len(done.report.changed)


def test_every_zoo_member_that_can_be_saved_is_known():
    assert set(WITH_NORMS) <= set(ZOO) - NOT_SAVED

"""Verification sees what it must see, and leaves both models as they were."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from normwise.errors import PromiseError
from normwise.keras_format import read_graph
from normwise.keras_format.replay import replay
from normwise.norms.plan import NormPlan
from normwise.surgery import fold as folding
from normwise.surgery import verify as verifying
from normwise.surgery.differences import whole_difference
from normwise.surgery.fold import fold
from normwise.surgery.place import place
from normwise.surgery.recalibrate import recalibrate
from normwise.surgery.running import Pair
from normwise.surgery.verify import randomized, verify
from normwise.surgery.work import EditSettings
from tests.surgery.models import random_encoder, runs_here, shaken, weights_of
from tests.zoo import ZOO, conv, image

RUNNABLE = [name for name in ZOO if runs_here(name)]


@pytest.mark.parametrize("name", RUNNABLE)
def test_a_plain_copy_differs_by_nothing(name):
    model = ZOO[name]()
    graph, before = read_graph(model), weights_of(model)
    copy = replay(graph, model)
    found = verify(graph, model, copy)
    assert found.difference == 0 and found.kept and found.layer is None
    for a, b, c in zip(before, weights_of(model), weights_of(copy.model), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def three_convolutions():
    inputs = image(4)
    x = keras.layers.BatchNormalization(name="n")(conv(4, name="a")(inputs))
    y = conv(4, name="b")(x)
    merged = keras.layers.Concatenate(name="both")([x, y])
    return keras.Model(inputs, conv(2, name="end")(merged))


@pytest.mark.backends
def test_a_weight_of_another_layer_is_seen_and_placed():
    model = three_convolutions()
    graph = read_graph(model)
    # Copying by position does this: the kernel of a neighbour of the same shape.
    swapped = {"b": lambda weights: weights.of("a")}
    found = verify(graph, model, replay(graph, model, swapped))
    assert not found.kept and found.layer in ("b", "both")


def test_a_wrong_kernel_axis_is_seen():
    model = three_convolutions()
    graph = read_graph(model)
    turned = {"b": lambda weights: {"kernel": weights.of("b")["kernel"].swapaxes(2, 3)}}
    found = verify(graph, model, replay(graph, model, turned))
    assert not found.kept and found.layer == "both"


def test_a_swapped_concatenation_is_seen():
    model = three_convolutions()
    graph = read_graph(model)
    index = graph.index["both"]
    node = graph.nodes[index]
    crossed = replace(node, args=(tuple(reversed(node.args[0])),))
    nodes = (*graph.nodes[:index], crossed, *graph.nodes[index + 1 :])
    found = verify(graph, model, replay(replace(graph, nodes=nodes), model))
    assert not found.kept and found.layer == "both"


def test_forgotten_statistics_are_seen_though_they_are_at_their_defaults():
    model = three_convolutions()
    graph = read_graph(model)
    fresh = {
        "n": lambda _: {"moving_mean": np.zeros(4), "moving_variance": np.ones(4)},
    }
    copy = replay(graph, model, fresh)
    x = np.ones((1, 16, 16, 4), "float32")
    np.testing.assert_array_equal(model(x), copy.model(x))  # not to be seen without randomizing
    found = verify(graph, model, copy)
    assert not found.kept and found.layer == "b"


def steep(known, large=1e6):
    """Larger gammas where statistics are fully randomized, so that rounding alone shows."""

    def other(layers, seed, strength=1.0):
        found = known(layers, seed, strength)
        steeper = large if strength == 1.0 else 1.0
        norm = layers["n"] if isinstance(layers, dict) else layers.get_layer("n")
        gammas = [id(norm.gamma)]
        return {key: a * np.float32(steeper if key in gammas else 1) for key, a in found.items()}

    return other


def waves():
    inputs = image(4)
    x = keras.layers.BatchNormalization(name="n")(conv(4, name="a")(inputs))
    return shaken(keras.Model(inputs, keras.ops.sin(x)))


def test_statistics_with_which_rounding_alone_shows_are_followed_by_milder_ones(monkeypatch):
    model = waves()
    graph = read_graph(model)
    rounded = {"a": lambda w: {**w.of("a"), "kernel": w.of("a")["kernel"] * np.float32(1 + 1e-6)}}
    copy = replay(graph, model, rounded)
    assert verify(graph, model, copy).kept
    monkeypatch.setattr(verifying, "randomized", steep(randomized))
    assert verify(graph, model, copy).kept
    monkeypatch.setattr(verifying, "STRENGTHS", (1.0,))
    assert not verify(graph, model, copy).kept


def test_a_fold_is_tried_with_milder_statistics_too(monkeypatch):
    monkeypatch.setattr(folding, "other_statistics", steep(folding.other_statistics))
    assert fold(waves()).report.max_difference <= 1e-5
    monkeypatch.setattr(folding, "STRENGTHS", (1.0,))
    with pytest.raises(PromiseError):
        fold(waves())


@pytest.mark.parametrize("strength", [0.1, 0.3])
def test_milder_statistics_are_nearer_and_still_others(strength):
    layers = {layer.name: layer for layer in waves().layers}
    far, near = (randomized(layers, 0, s) for s in (1.0, strength))
    for variable in layers["n"].variables:
        value = np.asarray(variable)
        moved, less = (np.abs(other[id(variable)] - value).max() for other in (far, near))
        assert 0.01 < less < moved


def test_every_statistic_and_affine_parameter_is_randomized():
    model = ZOO["all_norms"]()
    copy = replay(read_graph(model), model)
    other = randomized(copy.sources, 0)
    norms = [x for x in model.layers if "Normalization" in type(x).__name__][1:]
    for variable in (v for norm in norms for v in norm.weights):
        assert not np.isclose(other[id(variable)], np.asarray(variable), rtol=1e-3).all()


@pytest.mark.backends
def test_random_models_are_compared_at_the_same_seed_and_stay_at_it():
    model = random_encoder()
    before = weights_of(model)
    folded = fold(model)
    placed = place(model, NormPlan.parse("batch@pre-activation+post-activation"))
    assert folded.report.changed and folded.report.max_difference <= 1e-5
    assert placed.report.changed and placed.report.max_difference <= 1e-5
    for variable, old, new in zip(model.variables, before, weights_of(model), strict=True):
        np.testing.assert_array_equal(old, new, err_msg=variable.path)
    (seed,) = (v for v in model.variables if "seed" in v.path)
    for done in (folded, placed):
        (same,) = (v for v in done.model.variables if "seed" in v.path)
        np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(v) for v in (seed, same)))


class Forgetful(keras.layers.Layer):
    """Its configuration lacks the factor, so that a copy computes with another one."""

    def __init__(self, factor=1.0, **config):
        super().__init__(**config)
        self.factor = factor

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")

    def call(self, x):
        return x * self.scale * self.factor

    def get_config(self):
        return super().get_config()


def recalibrated(model):
    return recalibrate(model, [np.ones((2, 16, 16, 3), "float32")])


def retrained(model):
    return place(model, NormPlan.parse("layer@pre-activation"), EditSettings(keep=False))


def behind_a_norm(layer):
    inputs = image(3)
    x = keras.layers.BatchNormalization(name="norm")(conv(4, name="conv")(inputs))
    x = layer(keras.layers.ReLU()(x))
    return keras.Model(inputs, conv(2, name="head")(keras.layers.ReLU()(conv(4)(x))))


@pytest.mark.parametrize("rewrite", [recalibrated, retrained])
def test_a_wrong_copy_is_refused_where_outputs_may_change(rewrite):
    model = behind_a_norm(Forgetful(5.0, name="forgetful"))
    with pytest.raises(PromiseError, match=r"without any edit .* 'forgetful': the copy is wrong"):
        rewrite(model)
    right = rewrite(behind_a_norm(Forgetful(name="forgetful")))
    assert right.report.changed and not any("compared" in note for note in right.report.notes)


def beside_a_large_one(layer):
    inputs = image(3)
    x = keras.layers.BatchNormalization(name="norm")(conv(4, name="conv")(inputs))
    x = keras.layers.ReLU(name="relu")(x)
    large = keras.layers.Rescaling(1e6)(conv(1, name="large")(x))
    small = layer(conv(1, name="small")(x))
    return keras.Model(inputs, keras.layers.Concatenate(name="both")([large, small]))


def test_a_wrong_channel_beside_one_of_large_values_is_seen():
    assert fold(beside_a_large_one(Forgetful(name="forgetful"))).report.changed
    model = beside_a_large_one(Forgetful(3.0, name="forgetful"))
    with pytest.raises(PromiseError, match="layer 'both' differs"):
        fold(model)
    with pytest.raises(PromiseError, match="first at layer 'forgetful'"):
        place(model, NormPlan.parse("batch@pre-activation+post-activation"))


@pytest.mark.parametrize(("differ", "kept"), [(1, True), (500, False)])
def test_a_class_that_roundings_decide_on_may_be_another_and_is_told(differ, kept, monkeypatch):
    inputs = keras.Input((256, 256, 2))
    x = keras.layers.BatchNormalization()(conv(2, name="conv")(inputs))
    model = keras.Model(inputs, keras.ops.argmax(x, axis=-1))
    own = Pair.found

    def found(self, inputs):
        (classes,) = own(self, inputs)
        classes = np.array(classes)
        classes.reshape(-1)[:differ] = 1 - classes.reshape(-1)[:differ]
        return [classes]

    monkeypatch.setattr(Pair, "found", found)
    if kept:
        report = fold(model).report
        assert 0 < report.max_difference < 1e-5
        assert any("is of whole numbers, 8e-06 of which differ" in note for note in report.notes)
        return
    with pytest.raises(PromiseError, match=r"differs by 0\.0038"):
        fold(model)


def test_only_small_whole_numbers_are_taken_for_decisions():
    steps, other = np.float32([[0, 1], [2, 3]]), np.float32([[0, 1], [2, 2]])
    assert whole_difference(steps, other) == 0.25
    assert whole_difference(steps > 1, other > 1) == 0
    assert whole_difference(steps + 0.5, other + 0.5) is None
    assert whole_difference(steps * 2.0**23, other * 2.0**23) is None
    assert whole_difference(steps, other + np.nan) is None
    assert whole_difference(steps, other[:1]) is None


def reads_halves(policy="float32", behind=None):
    inputs = keras.Input((8, 8, 3), dtype="float16")
    x = conv(4, name="conv", dtype=policy)(keras.ops.relu(inputs))
    x = keras.layers.BatchNormalization(name="norm", dtype=policy)(x)
    return keras.Model(inputs, x if behind is None else keras.ops.cast(x, behind))


@pytest.mark.parametrize(
    ("policy", "behind", "tolerance"),
    [
        ("float32", None, 1e-5),
        ("mixed_float16", None, 2e-2),
        ("float32", "float16", 2e-2),
        ("float32", "bfloat16", 1e-1),
    ],
)
def test_only_what_weights_have_part_in_may_differ_as_halves_do(policy, behind, tolerance):
    model = reads_halves(policy, behind)
    graph = read_graph(model)
    assert verify(graph, model, replay(graph, model)).tolerance == tolerance


class Restless(keras.layers.Layer):
    """Draws from NumPy, so that no two calls are the same."""

    def call(self, x):
        return x + float(np.random.default_rng().normal())


@pytest.mark.parametrize("rewrite", [recalibrated, retrained])
def test_what_cannot_be_compared_is_said_where_outputs_may_change(rewrite):
    report = rewrite(behind_a_norm(Restless())).report
    assert report.changed and "other outputs each time" in report.notes[-1]
    report = rewrite(behind_a_norm(keras.layers.Rescaling(float("nan")))).report
    assert report.changed and "not finite" in report.notes[-1]

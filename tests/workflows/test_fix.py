"""`nw.fix`: every fix mends what its rule reports, and nothing else; what it can't do it says."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

import normwise as nw
from normwise.errors import CheckError, PromiseError
from normwise.keras_format import read_graph
from normwise.rules import RULES, Severity, check
from normwise.rules.comparing import new_in
from normwise.surgery import remove
from normwise.surgery.mend import bench
from normwise.workflows.mending import Mending
from tests.rules.live_sketches import live
from tests.rules.test_examples import named
from tests.surgery.models import fit_once, inputs_of, outputs_of, shaken, weights_of
from tests.zoo import conv, image

EXAMPLES = [
    (rule, invalid)
    for rule in RULES
    for invalid in rule.invalid
    if rule.name != "newer-config" and next(rule.check(invalid.example())).mends
]
FIRST = [
    next(e for e in EXAMPLES if e[0] is rule) for rule in dict.fromkeys(r for r, _ in EXAMPLES)
]
"""The first example of each rule, as a model; the others as graphs."""
BLOCKED = dict.fromkeys(("two_levels", "scaled_differently"), "called several times")
"""Examples whose fix is refused, and what is said."""


@pytest.mark.parametrize(("rule", "invalid"), EXAMPLES, ids=named)
def test_the_graphs_of_all_examples_are_mended(rule, invalid):
    context = invalid.example()
    (finding,) = rule.check(context)
    done = bench(context.model, finding.mends, finding.mended_by == "safe")
    refused = [made for made in done.done.values() if isinstance(made, str)]
    after = replace(context, model=done.edited)
    if named(invalid) in BLOCKED:
        assert BLOCKED[named(invalid)] in refused[0]
        return
    assert not refused
    assert (rule.name, invalid.layers) not in {(f.name, f.layers) for f in rule.check(after)}
    assert not new_in(check(after), check(context), done.names)


def training_of(context):
    """An example's training set-up in the terms of `fix`."""
    known = context.training
    told = {"batch_size": known.batch_size, "samples": known.samples, "epochs": known.epochs}
    if known.steps is not None:
        told = {"batch_size": 8, "samples": 8 * known.steps, "epochs": 1}
    return {**told, "replicas": known.replicas, "optimizer": known.optimizer}


@pytest.mark.parametrize(("rule", "invalid"), FIRST, ids=named)
def test_the_example_of_a_rule_is_mended(rule, invalid):
    context = invalid.example()
    (finding,) = rule.check(context)
    model = live(context)
    if context.weights is None:
        shaken(model)
    runs = named(invalid) != "width"  # TensorFlow has no NCHW convolutions on a CPU
    before = weights_of(model)
    inputs = inputs_of(model) if runs else None
    expected = outputs_of(model, inputs) if runs else []
    done = nw.fix(model, unsafe=finding.mended_by == "unsafe", **training_of(context))
    for a, b in zip(before, weights_of(model), strict=True):
        np.testing.assert_array_equal(a, b)
    there = {(f.name, f.layers) for f in done.after.findings}
    assert (rule.name, invalid.layers) not in there, done.left
    assert (rule.name, invalid.layers) in {(f.name, f.layers) for f in done.mended}
    assert done.report.changed and done.after == nw.check(done.model, **training_of(context))
    if finding.mended_by == "safe":
        assert done.report.max_difference <= 1e-5
        for a, b in zip(expected, outputs_of(done.model, inputs), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(a).max())
    else:
        assert str(done.report.promise) == "outputs change"
        assert done.report.max_difference is None


def test_unsafe_fixes_are_left_alone_until_asked_for():
    model = shaken(question())
    done = nw.fix(model)
    assert not done.mended and done.model is model and not done.report.changed
    reasons = {one.finding.name: one.reason for one in done.left}
    assert (
        "--fix unsafe" in reasons["affine-chain"]
        and "normwise place" in reasons["partial-coverage"]
    )
    assert {f.name for f in done.after.findings} == set(reasons)


def question():
    return nw.build("question", (64, 64, 3), filters=2)


def test_the_network_of_the_question_is_mended(tmp_path):
    model = question()
    done = nw.fix(model, unsafe=True)
    assert [f.name for f in done.mended].count("unnormalized-skip") == 2
    assert done.after.worst is Severity.INFO
    actions = {change.layer: change.action for change in done.report.changed}
    assert actions["concat1"] == "reads conv1_norm instead of conv1"
    assert actions["upconv6"] == "applies relu now" and "upconv7" not in actions
    assert str(nw.plan_of(done.model)).startswith("batch@before-downsampling")
    assert not nw.fix(done.model, unsafe=True).mended
    done.model.save(tmp_path / "mended.keras")
    assert nw.check(tmp_path / "mended.keras").worst is Severity.INFO
    fit_once(done.model, inputs_of(done.model))


def gate():
    """A dropout that can't be moved, and an activation without which it would matter more."""
    inputs = image(3)
    x = layers.Dropout(0.5, name="drop")(conv(4, activation="relu")(inputs))
    y = layers.BatchNormalization(name="norm")(conv(4, activation="relu", name="inner")(x))
    x = layers.Concatenate()([x, layers.ReLU(name="relu")(y)])
    x = layers.BatchNormalization(name="last")(conv(1, name="head")(layers.ReLU()(conv(4)(x))))
    return shaken(keras.Model(inputs, x))


def test_a_fix_that_would_bring_about_another_fault_is_not_made():
    model = gate()
    done = nw.fix(model, unsafe=True)
    (left,) = (one for one in done.left if one.finding.name == "double-activation")
    assert left.reason.startswith("it would bring about warning dropout-before-norm: norm learns")
    assert done.model.get_layer("inner").activation is keras.activations.relu
    # What is all right beside it is done, by itself and together with the one that isn't.
    assert [f.name for f in done.mended] == ["norm-on-output"]


def test_who_is_to_blame_for_another_fault_is_looked_for_near_it(monkeypatch):
    model = gate()
    x = layers.ReLU()(model.outputs[0])
    for number in range(4):
        x = layers.BatchNormalization()(conv(4, activation="relu", name=f"c{number}")(x))
        x = layers.ReLU(name=f"r{number}")(x)
    looks = []
    right = Mending._new
    monkeypatch.setattr(Mending, "_new", lambda *a: looks.append(1) or right(*a))
    before = nw.check(model := shaken(keras.Model(model.inputs, conv(1)(x))))
    done = nw.fix(model, unsafe=True)
    double = [f.layers[0] for f in done.mended if f.name == "double-activation"]
    assert [f.name for f in before.findings].count("double-activation") == 5
    assert double == [f"c{number}" for number in range(4)]
    (left,) = (one for one in done.left if one.finding.name == "double-activation")
    assert left.reason.startswith("it would bring about warning dropout-before-norm")
    # All together, all but those near the fault, these one by one; once more for what is tidied.
    assert len(looks) <= 5


def test_that_fix_is_made_where_it_brings_about_nothing():
    inputs = image(3)
    x = layers.BatchNormalization(name="norm")(conv(4, activation="relu", name="inner")(inputs))
    model = keras.Model(inputs, conv(1)(layers.ReLU(name="relu")(x)))
    done = nw.fix(model, unsafe=True)
    # Without its activation the convolution has a bias without effect, which goes as well.
    assert [f.name for f in done.mended] == ["double-activation", "redundant-bias"]
    assert not done.model.get_layer("inner").use_bias
    assert not nw.check(done.model).findings


def unet(pool):
    """The usual U-Net with raw skips: convolution with relu, norm, pooling."""
    inputs = image(3)
    a = conv(4, activation="relu", name="a")(inputs)
    x = pool(2, name="pool")(layers.BatchNormalization(name="norm")(a))
    x = layers.UpSampling2D(name="up")(conv(4, activation="relu")(x))
    x = layers.Concatenate(name="join")([x, a])
    return shaken(keras.Model(inputs, conv(1)(conv(4, activation="relu")(x))))


def read_by(model, layer):
    graph = read_graph(model)
    return [graph.nodes[t.node].name for n in graph.nodes if n.name == layer for t in n.inputs]


@pytest.mark.parametrize("pool", [layers.MaxPooling2D, layers.AveragePooling2D])
def test_a_skip_that_is_to_read_a_norm_before_a_pooling_does(pool):
    model = unet(pool)
    first = nw.check(model)
    safe, done = nw.fix(model), nw.fix(model, unsafe=True)
    assert {f.name for f in first.findings} >= {"unnormalized-skip", "norm-before-pool"}
    assert safe.model is model and not safe.mended and safe.after == first
    assert read_by(done.model, "join") == ["up", "norm"]
    assert read_by(done.model, "pool") == ["norm"] and read_by(done.model, "norm") == ["a"]
    assert [f.name for f in done.mended] == ["unnormalized-skip"]
    # What else was found is accounted for, though the skip leaves the norm where it is.
    (ended,) = (one for one in done.left if one.ended)
    assert ended.finding.name == "norm-before-pool"
    assert ended.reason == "ended: the fix of unnormalized-skip (a, join) removed its cause"
    assert not any(one.ended for one in safe.left)
    there = {(f.name, f.layers) for f in (*done.mended, *(one.finding for one in done.left))}
    assert {(f.name, f.layers) for f in first.findings} <= there
    reasons = {one.finding.name: one.reason for one in safe.left}
    assert "is read by others" in reasons["norm-before-pool"]


def stacked():
    inputs = image(3)
    x = layers.BatchNormalization(name="one", scale=False)(conv(4, name="a")(inputs))
    x = layers.BatchNormalization(name="two")(x)
    x = layers.BatchNormalization(name="three", center=False)(x)
    return shaken(keras.Model(inputs, conv(1)(layers.ReLU()(x))))


@pytest.mark.backends
def test_three_norms_in_a_row_become_one():
    model = stacked()
    inputs = inputs_of(model)
    expected = outputs_of(model, inputs)
    done = nw.fix(model)
    assert [f.name for f in done.mended] == ["stacked-norm", "stacked-norm", "redundant-bias"]
    names = [layer.name for layer in done.model.layers]
    assert "one" in names and "two" not in names and "three" not in names
    np.testing.assert_allclose(outputs_of(done.model, inputs)[0], expected[0], rtol=1e-4, atol=1e-5)
    fit_once(done.model, inputs)


def test_a_model_that_was_never_trained_is_mended_too():
    inputs = image(3)
    x = layers.BatchNormalization(name="two")(layers.BatchNormalization(name="one")(inputs))
    done = nw.fix(keras.Model(inputs, conv(1)(conv(4, activation="relu")(x))))
    assert [f.name for f in done.mended] == ["stacked-norm"]


def test_a_wrong_safe_fix_is_caught(monkeypatch):
    right = remove._composed

    def wrong(norm, path):
        step = right(norm, path)
        return lambda source, values: {**step(source, values), "beta": values["moving_mean"]}

    monkeypatch.setattr(remove, "_composed", wrong)
    with pytest.raises(PromiseError, match="should stay the same"):
        nw.fix(stacked())


def test_weights_tell_of_new_faults_before_anything_is_built(monkeypatch):
    """A norm whose variances a fix would make smaller than its epsilon."""
    from normwise.surgery import mend_norms

    right = mend_norms._copy_of

    def wrong(path):
        step = right(path)
        return lambda s, own: {**step(s, own), "moving_variance": np.full(8, 1e-5, "float32")}

    monkeypatch.setattr(mend_norms, "_copy_of", wrong)
    (shared,) = (i for rule, i in EXAMPLES if named(i) == "two_streams")
    done = nw.fix(live(shared.example()))
    (left,) = (one for one in done.left if one.finding.name == "shared-batch-norm")
    assert "it would bring about warning large-epsilon" in left.reason


def test_a_shared_model_keeps_its_shared_norm():
    (twice,) = (i for rule, i in EXAMPLES if named(i) == "two_levels")
    done = nw.fix(live(twice.example()))
    (left,) = (one for one in done.left if one.finding.name == "shared-batch-norm")
    assert BLOCKED["two_levels"] in left.reason


def test_what_is_allowed_stays():
    done = nw.fix(stacked(), ignore=["stacked-norm", "redundant-bias:a"])
    assert not done.mended and not done.left and not done.after.findings
    with pytest.raises(CheckError, match="Did you mean stacked-norm"):
        nw.fix(stacked(), ignore=["stacked-norms"])


def test_the_edits_of_a_nested_model_hold_at_each_of_its_calls():
    inner = image(4)
    y = layers.BatchNormalization(name="two")(layers.BatchNormalization(name="one")(inner))
    block = keras.Model(inner, layers.ReLU()(y), name="block")
    inputs = image(4)
    x = conv(4)(block(conv(4)(inputs)))
    model = keras.Model(inputs, conv(1)(block(x)))
    done = nw.fix(model)
    assert "stacked-norm" in {f.name for f in done.mended}
    assert [layer.name for layer in done.model.get_layer("block").layers][1:2] == ["one"]
    assert len(done.model.get_layer("block").layers) == 3


def test_files_say_what_only_files_say(tmp_path):
    inputs = image(3)
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(conv(4, use_bias=False)(inputs)))
    keras.Model(inputs, conv(1)(x)).save(tmp_path / "new.keras")
    done = nw.fix(tmp_path / "new.keras")
    assert [f.name for f in done.mended] == ["newer-config"] and not done.left
    with pytest.raises(CheckError, match="batch_size"):
        nw.fix(tmp_path / "new.keras", batch_size=0)

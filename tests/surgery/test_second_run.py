"""A second run changes nothing, also where a first round of edits sets other norms free."""

import itertools

import keras
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from keras import layers

from normwise.errors import PlanError, SurgeryError
from normwise.graph.shapes import with_shapes
from normwise.norms import NormPlan
from normwise.rules.sketches import Sketch
from normwise.surgery import planning
from normwise.surgery.edits import How
from normwise.surgery.place import place
from normwise.surgery.planning import edited_graph
from normwise.surgery.rewrite import Change
from normwise.surgery.work import EditSettings, Work
from tests.surgery.contract import check_pass, norms_of, placed
from tests.surgery.models import outputs_of, shaken, weights_of
from tests.zoo import conv, image

KEEP, RETRAIN = EditSettings(), EditSettings(keep=False)


def stacked(name="a"):
    """No plan describes the second norm as long as the first one stands."""
    inputs = image(4)
    x = layers.BatchNormalization(name="first")(conv(4, name=name)(inputs))
    x = layers.BatchNormalization(name="second")(x)
    x = layers.BatchNormalization(name="third", scale=False)(x)
    return shaken(keras.Model(inputs, conv(1, name="head")(layers.ReLU()(x))))


@pytest.mark.parametrize("keep", [True, False])
def test_norms_that_are_set_free_go_in_the_same_run(keep):
    done = check_pass(stacked(), placed("none", keep=keep), trains=False)
    assert [change.layer for change in done.report.changed] == ["first", "second", "third"]
    assert not norms_of(done.model) and not done.report.skipped and not done.report.notes


def test_one_round_alone_would_leave_them(monkeypatch):
    monkeypatch.setattr(Work, "following", lambda self: pytest.fail("planned again"))
    with pytest.raises(pytest.fail.Exception, match="planned again"):
        placed("none")(stacked())


def unet():
    """Encoder, bottleneck and decoder; two norms in a row in the decoder."""
    inputs = image(3)
    a = conv(4, activation="relu", name="a")(inputs)
    b = conv(4, activation="relu", name="b")(layers.MaxPooling2D()(a))
    x = layers.Concatenate()([layers.UpSampling2D()(b), a])
    x = layers.BatchNormalization(name="first")(conv(4, name="c")(x))
    x = layers.ReLU()(layers.BatchNormalization(name="second")(x))
    return shaken(keras.Model(inputs, conv(1, name="head")(x)))


def test_what_a_first_round_put_in_is_calibrated_behind_a_second_one():
    """The bias that the first round dropped is in the mean that the calibration sets last."""
    model = unet()
    data = [np.random.default_rng(3).normal(2, 3, (4, 16, 16, 3)).astype("float32")]
    plan = NormPlan.parse("batch@encoder:pre-activation")
    done = place(model, plan, EditSettings(drop_bias=True), data=data)
    assert norms_of(done.model) == {"a_norm"} and not done.report.skipped
    assert not done.model.get_layer("a").use_bias
    plain = keras.ops.convert_to_numpy(model(data[0], training=False))
    for training in (False, True):
        found = keras.ops.convert_to_numpy(done.model(data[0], training=training))
        np.testing.assert_allclose(found, plain, rtol=0, atol=1e-4 * np.abs(plain).max())
    again = place(done.model, plan, EditSettings(drop_bias=True)).report
    assert not again.changed and not again.skipped


def test_norms_that_are_kept_are_told_once_and_for_all():
    """Once the others are gone, no plan describes what couldn't be moved."""
    inputs = image(3)
    x = layers.ReLU()(layers.BatchNormalization(name="n0")(conv(4, name="first")(inputs)))
    skip = layers.ReLU()(layers.BatchNormalization(name="n1")(conv(4, name="a")(x)))
    x = layers.MaxPooling2D()(skip)
    x = layers.ReLU()(layers.BatchNormalization(name="n2")(conv(4, name="b")(x)))
    x = layers.Concatenate()([layers.UpSampling2D()(x), skip])
    x = layers.ReLU()(layers.BatchNormalization(name="n3")(conv(4, name="c")(x)))
    model = shaken(keras.Model(inputs, conv(1, name="head")(x)))
    plan = NormPlan.parse("batch@before-downsampling")
    done = place(model, plan)
    assert [s.layer for s in done.report.skipped] == ["n1"]
    assert "across an activation" in done.report.skipped[0].reason
    assert norms_of(done.model) == {"n1", "a_post_norm"}
    assert any(note.startswith("n1 is outside of any plan") for note in done.report.notes)
    again = place(done.model, plan).report
    assert not again.changed
    for a, b in zip(weights_of(done.model), weights_of(place(done.model, plan).model), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_name_that_is_free_again_is_not_given_to_another_layer():
    """The rules of the source's layer of that name must not be those of the new one."""
    first = edited_graph(Work(drawn_stack(), KEEP), NormPlan.parse("none"))
    draft = first.work.levels.root
    assert draft.free_name("first") == "first_2" and draft.free_name("other") == "other"


def drawn_stack():
    net = Sketch()
    x = net.norm(net.conv(4, net.input(8, 8, 3), name="a"), name="first")
    return net.graph(net.conv(1, net.relu(net.norm(x, name="second")), name="head"))


def test_a_place_that_vanishes_by_the_edits_for_it_is_said():
    """Normalized and with a hidden activation, the end is that of a feature extractor."""
    inputs = image(3)
    x = conv(4, activation="relu", name="a")(inputs)
    model = shaken(keras.Model(inputs, layers.ReLU()(conv(2, name="end")(x))))
    done = place(model, NormPlan.parse("batch@head:pre-activation"))
    assert [c.layer for c in done.report.changed] == ["end_norm"]
    assert "it has no place 'head:pre-activation'" in done.report.skipped[-1].reason
    given = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    for a, b in zip(outputs_of(model, given), outputs_of(done.model, given), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_an_edit_that_leads_nowhere_is_not_made(monkeypatch):
    """Were it made again in each round, the rounds would never end, and each run would add one."""
    blind = planning.edits_of

    def never_met(placement, plan, chosen, residue):
        edits = blind(placement, plan, chosen, residue)
        return edits or [edit for edit in first if edit.want.tensor < len(placement.graph.nodes)]

    net = Sketch()
    graph = net.graph(net.conv(1, net.conv(4, net.input(8, 8, 3), name="a", activation="relu")))
    plan = NormPlan.parse("batch@pre-activation")
    work = Work(graph, KEEP)
    first = blind(work.placement, plan, lambda owners: True, ())
    monkeypatch.setattr(planning, "edits_of", never_met)
    done = edited_graph(work, plan)
    assert not done.changed and done.edited is graph
    assert "whatever is edited" in done.skipped[0].reason


def in_two_models():
    """What is normalized in the inner model is to be normalized behind it."""
    inner, net = Sketch("inner"), Sketch()
    x = inner.norm(inner.conv(4, inner.input(8, 8, 4), name="c"), name="n")
    x = net.relu(net.nest(inner.graph(x), net.input(8, 8, 4), name="inner"), name="relu")
    return net.graph(net.conv(1, x, name="head"))


def test_a_norm_that_is_made_anew_in_vain_is_made_once(monkeypatch):
    """It is asked for as a move in each round, but what is made is another one."""
    work, plan = Work(in_two_models(), RETRAIN), NormPlan.parse("batch@post-activation")
    first = planning.edits_of(work.placement, plan, lambda owners: True, ())
    assert [edit.how for edit in first] == [How.MOVE]
    monkeypatch.setattr(planning, "edits_of", lambda *given: first)
    done = edited_graph(work, plan)
    assert not done.changed and done.edited is work.graph
    assert "whatever is edited" in done.skipped[0].reason


@pytest.mark.parametrize("in_vain", [False, True])
def test_edits_that_never_end_are_an_error(monkeypatch, in_vain):
    """New ones in each round, or one that is asked for again although it leads nowhere."""
    rounds = itertools.count()

    def always_more(work, wish, made):
        change = Change(f"norm_{next(rounds)}", "removed")
        asked = {(How.REMOVE, (("normalization", "n", 0),)): None} if in_vain else {}
        return planning._Round({change: None}, made=asked, in_vain=asked if made else {})

    monkeypatch.setattr(planning, "_round", always_more)
    with pytest.raises(SurgeryError, match="there is still something to edit"):
        edited_graph(Work(in_two_models(), KEEP), NormPlan.parse("none"))
    assert next(rounds) < 20


def activated_and_pooled():
    """What a convolution makes is read by an activation, and pooled as it is."""
    net = Sketch()
    x = net.conv(4, net.input(16, 16, 4), name="a")
    y = net.add("MaxPooling2D", net.relu(x, name="relu"))
    return net.graph(net.conv(1, net.add("Add", y, net.add("MaxPooling2D", x)), name="head"))


@pytest.mark.parametrize("settings_", [KEEP, RETRAIN])
def test_two_positions_that_mean_one_place_get_one_norm(settings_):
    """Both times it is what all readers of the convolution read."""
    plan = NormPlan.parse("batch@pre-activation+before-downsampling")
    done = edited_graph(Work(activated_and_pooled(), settings_), plan)
    assert [c.layer for c in done.changed] == ["a_norm", "a_post_norm"] and not done.skipped
    by_name = {node.name: node for node in done.edited.nodes}
    read = {name: done.edited.nodes[node.inputs[0].node].name for name, node in by_name.items()
            if node.inputs}  # fmt: skip
    assert read["a_norm"] == "a" and read["a_post_norm"] == "relu"
    assert not done.work.residue and not edited_graph(done.work, plan).changed


@pytest.mark.parametrize("first", ["none", "batch@pre-activation"])
def test_two_positions_that_mean_one_place_leave_the_skip_raw_if_one_says_so(first):
    net = Sketch()
    x = net.conv(4, net.input(16, 16, 4), name="a")
    low = net.add("Add", *(net.add("MaxPooling2D", y) for y in (net.relu(x, name="relu"), x)))
    x = net.add("Concatenate", net.add("UpSampling2D", low), x, name="join")
    start = edited_graph(Work(net.graph(net.conv(1, x)), RETRAIN), NormPlan.parse(first)).edited
    plan = NormPlan.parse("batch@pre-activation,batch@before-downsampling/raw-skip")
    done = edited_graph(Work(start, RETRAIN), plan)
    assert not done.skipped and not done.work.residue
    readers = {node.name: [done.edited.nodes[t.node].name for t in node.inputs]
               for node in done.edited.nodes}  # fmt: skip
    assert readers["join"][1] == readers["a_norm"][0] == "a" and readers["relu"] == ["a_norm"]
    assert sorted(name for name in readers if "norm" in name) == ["a_norm", "a_post_norm"]
    assert not edited_graph(done.work, plan).changed


def test_two_positions_that_mean_one_place_with_two_kinds_are_refused():
    plan = NormPlan.parse("batch@pre-activation,layer@before-downsampling")
    message = "'pre-activation' and 'before-downsampling' mean the same place after a,.*kinds"
    with pytest.raises(PlanError, match=message):
        edited_graph(Work(activated_and_pooled(), KEEP), plan)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ("conv", "fused", "norm", "norm", "other", "relu", "down", "up", "add", "join", "drop")
        ),
        st.integers(0, 9),
        st.integers(0, 9),
    ),
    min_size=2,
    max_size=12,
)
PLACES = ("pre-activation", "post-activation", "post-activation/raw-skip", "before-downsampling",
          "before-downsampling/raw-skip", "skip", "after-merge", "input",
          "encoder:pre-activation", "decoder:post-activation", "head:post-activation")  # fmt: skip
PLANS = st.lists(
    st.builds("{}@{}".format, st.sampled_from(["batch", "layer"]), st.sampled_from(PLACES)),
    min_size=1, max_size=2,
).map(",".join) | st.just("none")  # fmt: skip


def drawn(steps):
    """Norms wherever they fall: many of them are such that no plan describes them."""
    net = Sketch()
    made = [(net.input(16, 16, 4), 0)]
    for step, first, second in steps:
        (x, level), (y, other) = made[-1 - first % min(3, len(made))], made[second % len(made)]
        if step == "conv":
            x = net.conv(4, x)
        elif step == "fused":
            x = net.conv(4, x, activation="relu")
        elif step == "norm":
            x = net.norm(x)
        elif step == "other":
            x = net.add("LayerNormalization", x)
        elif step == "relu":
            x = net.relu(x)
        elif step == "drop":
            x = net.add("Dropout", x)
        elif step == "down" and level < 2:
            x, level = net.add("MaxPooling2D", x), level + 1
        elif step == "up" and level > 0:
            x, level = net.add("UpSampling2D", x), level - 1
        elif level == other and x != y:
            x = net.add("Add", x, y) if step == "add" else net.conv(4, net.add("Concatenate", x, y))
        made.append((x, level))
    return net.graph(net.conv(1, made[-1][0], name="head"))


RAW_AND_NOT = "batch@pre-activation,batch@before-downsampling/raw-skip"
"""Behind a layer whose activation is only on its skip, the two can't both hold."""


@settings(max_examples=150, deadline=None)
@given(STEPS, PLANS, st.booleans(), st.booleans())
@example(
    [("conv", 0, 0), ("conv", 0, 0), ("relu", 1, 0), ("down", 2, 0)], RAW_AND_NOT, False, False
)
def test_planning_ends_where_a_second_run_begins(steps, text, keep, drop_bias):
    graph = drawn(steps)
    try:
        plan = NormPlan.parse(text)
        done = edited_graph(Work(graph, EditSettings(keep, drop_bias)), plan)
    except PlanError:
        return
    assert done.changed or done.edited is graph
    try:
        again = edited_graph(Work(with_shapes(done.edited), EditSettings(keep, drop_bias)), plan)
    except PlanError as error:
        assert str(error) in {skip.reason for skip in done.skipped}
        return
    assert not again.changed
    assert set(again.skipped) <= set(done.skipped)

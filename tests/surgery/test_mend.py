"""Edits that mend are made in a draft of a graph, or refused with the reason."""

import keras
import numpy as np
import pytest
from keras import layers

from normwise.graph.flatten import flatten
from normwise.keras_format import read_graph
from normwise.norms.mends import (
    AddActivation,
    AddBias,
    DropActivation,
    DropBias,
    MoveBefore,
    MoveBehind,
    RemoveNorm,
    Reread,
    Restart,
    SetArguments,
    SplitNorm,
    configure,
)
from normwise.rules.sketches import Sketch
from normwise.surgery.edited_weights import EditedWeights
from normwise.surgery.mend import bench, finish
from normwise.surgery.rewrite import Change
from tests.surgery.models import inputs_of, outputs_of, shaken
from tests.zoo import conv, image


def unet():
    """Convolution, norm, relu, pooling, and a skip around them."""
    net = Sketch()
    a = net.conv(8, net.input(32, 32, 8), name="a", activation="relu")
    x = net.relu(net.norm(a, name="norm"), name="relu")
    x = net.add("UpSampling2D", net.add("MaxPooling2D", x, name="pool"), name="up")
    x = net.add("Concatenate", x, a, name="join")
    return net.graph(net.conv(1, x, name="head"))


def nested():
    """A block that is called twice."""
    inner = Sketch("block")
    y = inner.norm(inner.conv(8, inner.input(None, None, 8), name="conv"), name="norm")
    block = inner.graph(inner.relu(y, name="relu"))
    net = Sketch()
    x = net.nest(block, net.input(32, 32, 8), name="block")
    x = net.conv(8, x, name="between")
    return net.graph(net.again("block", x))


def made(graph, *mends, keep=False):
    done = bench(graph, mends, keep)
    return [done.done[mend] for mend in mends], flatten(done.edited)


def read_by(graph, name):
    return [graph.nodes[i].name for i in graph.producers[graph.index[name]]]


def test_what_is_read_otherwise():
    (change,), edited = made(unet(), Reread("join", "a", "norm"))
    assert change == Change("join", "reads norm instead of a")
    assert read_by(edited, "join") == ["up", "norm"]
    (change,), edited = made(unet(), Reread("pool", "relu", "norm"))
    assert "relu" not in edited.index and read_by(edited, "pool") == ["norm"]


def test_what_moves():
    (change,), edited = made(unet(), MoveBehind("relu", "pool"))
    assert change == Change("relu", "moved, now after pool")
    assert read_by(edited, "relu") == ["pool"] and read_by(edited, "up") == ["relu"]
    assert edited.nodes[edited.index["relu"]].shape == (None, 16, 16, 8)
    _, edited = made(unet(), MoveBefore("pool", "relu"))
    assert read_by(edited, "pool") == ["norm"] and read_by(edited, "relu") == ["pool"]


def test_what_was_made_to_read_a_tensor_that_moves_away_is_not_claimed():
    mends = (Reread("join", "a", "norm"), MoveBefore("norm", "norm_pad"))
    net = Sketch()
    a = net.conv(8, net.input(32, 32, 8), name="a", activation="relu")
    x = net.norm(net.add("ZeroPadding2D", a, name="norm_pad"), name="norm")
    x = net.conv(8, x, name="c")
    (reread, moved), edited = made(
        net.graph(net.conv(1, net.add("Concatenate", x, a, name="join"))), *mends
    )
    assert "another edit" in reread and moved == Change("norm", "moved, now before norm_pad")
    assert read_by(edited, "join") == ["c", "a"] and read_by(edited, "norm_pad") == ["norm"]
    assert read_by(edited, "c") == ["norm_pad"]


PENALTY = {"class_name": "L2", "config": {"l2": 0.1}}


@pytest.mark.parametrize(
    ("kind", "settings", "dead"),
    [
        ("Identity", {}, True),
        ("Dropout", {"rate": 0.0}, True),
        ("Identity", {"activity_regularizer": PENALTY}, False),
        ("Activation", {"activity_regularizer": PENALTY}, False),
        ("Dropout", {"rate": 0.0, "activity_regularizer": PENALTY}, False),
        ("ActivityRegularization", {"l1": 0.0, "l2": 0.1}, False),
    ],
)
def test_a_bias_stays_where_a_penalty_sees_it_before_the_norm(kind, settings, dead):
    net = Sketch()
    x = net.conv(8, net.input(8, 8, 3), name="a")
    x = net.norm(net.add(kind, x, **settings), name="norm")
    (done,), edited = made(net.graph(net.relu(x)), DropBias("a"), keep=True)
    assert isinstance(done, Change) == dead
    assert edited.nodes[edited.index["a"]].config["use_bias"] != dead


@pytest.mark.parametrize(
    ("moved", "target", "penalized", "stays"),
    [
        ("norm", "pool", None, False),
        ("norm", "pool", "norm", True),
        ("norm", "pool", "pool", True),
        ("drop", "norm", None, False),
        ("drop", "norm", "drop", True),
        ("drop", "norm", "norm", False),  # it reads in inference what it read before
    ],
)
def test_what_moves_with_outputs_kept_takes_no_penalty_elsewhere(moved, target, penalized, stays):
    net = Sketch()
    told = {name: {} for name in ("drop", "norm", "pool")}
    told.update({penalized: {"activity_regularizer": PENALTY}} if penalized else {})
    x = net.add("Dropout", net.conv(8, net.input(8, 8, 3)), name="drop", **told["drop"])
    x = net.norm(x, name="norm", **told["norm"])
    x = net.add("AveragePooling2D", x, name="pool", **told["pool"])
    graph = net.graph(net.conv(1, x))
    (done,), _ = made(graph, MoveBehind(moved, target), keep=True)
    assert (f"the activity of {penalized} is regularized" in str(done)) == stays
    assert isinstance(done, Change) != stays
    (done,), _ = made(graph, MoveBehind(moved, target))
    assert isinstance(done, Change)


def test_activations_come_and_go():
    (_, change), edited = made(unet(), DropActivation("a"), AddActivation("norm", "elu"))
    assert change == Change("norm_elu", "Activation elu inserted after norm")
    assert read_by(edited, "relu") == ["norm_elu"]
    assert edited.nodes[edited.index["a"]].config["activation"] == "linear"
    (change,), edited = made(unet(), AddActivation("head", "relu"))
    assert edited.nodes[edited.index["head"]].config["activation"] == "relu"


def test_a_norm_that_goes_leaves_a_bias():
    net = Sketch()
    x = net.norm(net.conv(8, net.input(8, 8, 3), name="a", use_bias=False), name="norm")
    (change,), edited = made(net.graph(net.relu(x)), RemoveNorm("norm"))
    assert change.action == "BatchNormalization removed; a has a bias instead"
    assert edited.nodes[edited.index["a"]].config["use_bias"] is True


@pytest.mark.parametrize(
    ("mends", "said"),
    [
        ((Reread("join", "a", "norm"), Reread("join", "a", "relu")), "another edit"),
        ((Reread("norm", "a", "pool"),), "pool is made from what it reads"),
        ((MoveBehind("pool", "norm"),), "another edit"),
        ((Reread("join", "a", "norm"), MoveBehind("norm", "relu")), "others read it too"),
        ((MoveBefore("norm", "pool"),), "another edit"),
        ((AddActivation("a", "relu"),), "another edit"),
        ((DropActivation("head"),), "another edit"),
        ((Reread("relu", "norm", "a"), RemoveNorm("norm")), "another edit"),
        ((Reread("relu", "norm", "a"), AddActivation("norm", "relu")), "another edit"),
        ((Reread("relu", "norm", "a"), MoveBehind("norm", "pool")), "another edit"),
        ((Reread("relu", "norm", "a"), MoveBefore("norm", "pool")), "another edit"),
        ((Reread("relu", "norm", "a"), Reread("join", "a", "norm")), "another edit"),
        ((AddBias("a"),), "it has a bias"),
        ((DropBias("a"),), "no normalization right after"),
    ],
)
def test_what_can_t_be_done_is_said(mends, said):
    graph = unet()
    done, _ = made(graph, *mends)
    assert said in done[-1]
    assert all(isinstance(change, Change) for change in done[:-1])


def test_both_calls_of_a_model_have_to_ask_for_an_edit():
    (reason,), _ = made(nested(), RemoveNorm("block/norm"))
    assert reason == "model 'block' is called 2 times, and its layers are the same in all of them"
    both = (RemoveNorm("block/norm"), RemoveNorm("block:1/norm"))
    (one, two), edited = made(nested(), *both)
    assert one == two == Change("block/norm", "BatchNormalization removed")
    assert not any("norm" in node.name for node in edited.nodes)
    (reason,), _ = made(nested(), Reread("between", "block/relu", "block/norm"))
    assert reason == "it stands in one model and would have to stand in another"


def test_norms_that_nothing_is_known_of():
    net = Sketch()
    x = net.add("UnitNormalization", net.input(8, 8, 3), name="unit")
    (reason,), _ = made(net.graph(x), SetArguments("unit", (("epsilon", 1e-5),)))
    assert reason == "no plan has a name for its settings"
    net = Sketch()
    x = net.norm(net.input(None, None, None), name="norm")
    (reason,), _ = made(net.graph(x), Restart("norm", "BatchNormalization", (("axis", -1),)))
    assert reason == "the number of its channels is not known"
    net = Sketch()
    a, b = net.input(8, 8, 3), net.input(8, 8, 3)
    x = net.norm(a, name="norm", call={"training": False})
    (reason,), _ = made(net.graph(x, net.again("norm", b)), SplitNorm("norm"))
    assert reason == "it is called with more than one argument"
    net = Sketch()
    x = net.conv(None, net.input(8, 8, 3), name="a", use_bias=False)
    (reason,), _ = made(net.graph(x), AddBias("a"))
    assert reason == "the number of its channels is not known"


def test_what_can_t_be_folded_stays_where_outputs_must():
    net = Sketch()
    x = net.relu(net.conv(8, net.input(8, 8, 3)), name="relu")
    (reason,), _ = made(net.graph(net.norm(x, name="norm")), RemoveNorm("norm"), keep=True)
    assert "it can't be folded into relu" in reason
    x = net.add("GroupNormalization", x, groups=2, name="one")
    (reason,), _ = made(net.graph(net.norm(x, name="two")), RemoveNorm("two"), keep=True)
    assert "it can't be folded into one" in reason
    x = net.norm(x, name="rows", axis=1)
    (reason,), _ = made(net.graph(net.norm(x, name="last")), RemoveNorm("last"), keep=True)
    assert reason == "it doesn't normalize the channels"


def test_weights_are_known_before_the_model_is_built():
    inputs = image(3)
    x = layers.BatchNormalization(name="two")(layers.BatchNormalization(name="one")(inputs))
    model = shaken(keras.Model(inputs, conv(1, name="head")(x)))
    mends = (RemoveNorm("two"), configure("one", {"trainable": False}))
    done = bench(read_graph(model), mends, True)
    told = EditedWeights(done.work, model)
    rewrite = finish(done, model)
    assert rewrite.model.get_layer("one").trainable is False
    for a, b in zip(told.of("one"), rewrite.model.get_layer("one").get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
    with np.testing.assert_raises(AssertionError):
        np.testing.assert_allclose(
            told.of("one")[0], model.get_layer("one").get_weights()[0], rtol=1e-3
        )
    assert told.of("head") is None and told.of("gone") is None


def test_a_frozen_norm_stays_frozen_and_another_is_not():
    inputs = image(3)
    x = layers.BatchNormalization(name="one")(conv(3)(inputs))
    model = shaken(keras.Model(inputs, layers.BatchNormalization(name="two")(conv(3)(x))))
    done = finish(bench(read_graph(model), [configure("one", {"trainable": False})], True), model)
    assert [layer.trainable for layer in done.model.layers if "o" in layer.name[:3]].count(
        False
    ) == 1
    inputs = inputs_of(model)
    np.testing.assert_array_equal(outputs_of(model, inputs)[0], outputs_of(done.model, inputs)[0])
    assert model.get_layer("one").trainable is True

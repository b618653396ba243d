"""What placing reaches: tricky models, one for each way in which Keras calls things."""

import keras
import pytest
from keras import layers, ops

from normwise.norms import NormPlan
from normwise.rules.sketches import Sketch
from normwise.surgery.place import place
from normwise.surgery.planning import edited_graph
from normwise.surgery.sites import IN_ANOTHER
from normwise.surgery.work import EditSettings, Work
from tests.surgery.contract import check_pass, norms_of, placed
from tests.surgery.models import shaken
from tests.zoo import conv, image

RETRAIN = EditSettings(keep=False)


def checked(model, plan, keep=True):
    return check_pass(model, placed(plan, keep=keep), trains=False)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("keep", [True, False])
def test_one_of_several_tensors_that_a_call_makes_is_not_meant(which, keep):
    inputs = image(4)
    parts = ops.split(conv(4, name="a")(inputs), 2, axis=-1)
    x = layers.UpSampling2D()(layers.MaxPooling2D()(parts[which]))
    x = conv(4, activation="relu", name="b")(layers.Concatenate()([x, parts[1 - which]]))
    model = shaken(keras.Model(inputs, conv(1, name="head")(x)))
    done = checked(model, "batch@before-downsampling", keep=keep)
    assert not done.report.changed
    assert "makes 2 tensors" in done.report.skipped[0].reason


def masked(training=None):
    """A norm that is told its mask, and one that finds it by itself."""
    words, given = keras.Input((6,), dtype="int32", name="words"), keras.Input((6,), name="given")
    x = layers.Dense(4, name="a")(layers.Embedding(9, 4, mask_zero=True)(words))
    x = layers.BatchNormalization(name="n")(x, mask=ops.greater(given, 0.0), training=training)
    x = layers.Dense(4, name="b")(layers.ReLU()(x))
    x = layers.ReLU()(layers.BatchNormalization(name="own")(x))
    return shaken(keras.Model([words, given], layers.Dense(1, name="head")(layers.LSTM(3)(x))))


@pytest.mark.parametrize("plan", ["none", "batch-renorm(epsilon=0.5)@pre-activation"])
def test_a_norm_that_is_told_its_mask(plan):
    done = checked(masked(), plan)
    assert {c.layer for c in done.report.changed} == {"n", "own"} and not done.report.skipped


@pytest.mark.parametrize("plan", ["batch@post-activation", "layer@pre-activation"])
def test_a_norm_that_is_told_its_mask_where_outputs_need_not_stay(plan):
    done = checked(masked(), plan, keep=False)
    assert len(norms_of(done.model)) == 2 and not done.report.skipped


def test_a_norm_that_one_call_keeps_in_training_mode_stays():
    done = checked(masked(training=True), "none")
    assert {c.layer for c in done.report.changed} == {"own"}
    assert "called in training mode" in done.report.skipped[0].reason
    assert "called in training mode" in checked(
        masked(training=True), "batch(epsilon=0.5)@pre-activation"
    ).report.skipped[0].reason  # fmt: skip


class Imperative(keras.Model):
    """A model without a graph, with a norm and random numbers of its own inside."""

    def __init__(self, width=4, **config):
        super().__init__(**config)
        self.width = width
        self.first = layers.Dense(width)
        self.norm = layers.BatchNormalization()
        self.drop = layers.Dropout(0.5)

    def call(self, x, training=None):
        return self.drop(self.norm(self.first(x), training=training), training=training)

    def get_config(self):
        return {**super().get_config(), "width": self.width}


class Parts(layers.Layer):
    """Takes a dictionary and makes one, with a weight."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(4,), initializer="ones", name="scale")

    def call(self, given, factor=1.0):
        return {"sum": given["x"] + given["y"], "scaled": given["x"] * self.scale * factor}


def test_models_without_a_graph_and_layers_of_dictionaries():
    inputs = image(4)
    x = conv(4, activation="relu", name="a")(inputs)
    y = Imperative(name="own")(x)
    made = Parts(name="parts")({"y": y, "x": x}, factor=2.0)
    x = conv(4, activation="relu", name="b")(layers.Concatenate()([made["sum"], made["scaled"]]))
    model = shaken(keras.Model(inputs, conv(1, name="head")(x)))
    assert checked(model, "batch@pre-activation").report.changed
    done = checked(model, "batch@post-activation")
    assert {c.layer for c in done.report.changed} == {"a_norm", "b_norm"}
    # What stands inside is no part of any plan.
    assert not checked(model, "none").report.changed


class Block(keras.Model):
    """A functional model that a user made a class of."""

    def __init__(self, width=4, name=None, **config):
        inputs = keras.Input((None, None, width))
        x = conv(width, name="c")(inputs)
        super().__init__(inputs, layers.ReLU()(x), name=name, **config)


def test_functional_models_with_a_class_of_their_own():
    inputs = image(4)
    block = Block(name="block")
    model = shaken(keras.Model(inputs, conv(1, name="head")(block(block(inputs)))))
    done = checked(model, "batch@pre-activation")
    assert [c.layer for c in done.report.changed] == ["block/c_norm"]
    assert any("'block' is a plain functional model now" in note for note in done.report.notes)


@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "bfloat16"])
def test_policies_of_half_precision(policy):
    inputs = image(4)
    x = conv(4, activation="relu", name="a", dtype=policy)(inputs)
    x = layers.BatchNormalization(name="n", dtype=policy)(conv(4, name="b", dtype=policy)(x))
    x = layers.ReLU(dtype=policy)(x)
    model = shaken(keras.Model(inputs, conv(1, name="head", dtype="float32")(x)))
    done = check_pass(
        model,
        lambda source: place(
            source, NormPlan.parse("batch@pre-activation"), EditSettings(drop_bias=True)
        ),
        trains=False,
    )
    assert norms_of(done.model) == {"a_norm", "n"}
    assert done.model.get_layer("a_norm").compute_dtype == policy.removeprefix("mixed_")
    assert done.model.get_layer("a_norm").variable_dtype == "float32"
    back = checked(done.model, "none")
    assert not norms_of(back.model) and not back.report.skipped
    grouped = place(model, NormPlan.parse("group(groups=2)@pre-activation"), RETRAIN).model
    assert grouped.get_layer("a_norm").variable_dtype == "float32"


def test_a_frozen_part_stays_frozen_and_gets_frozen_norms():
    inner_in = keras.Input((None, None, 4))
    x = conv(4, activation="relu", name="c")(inner_in)
    inner = keras.Model(inner_in, conv(4, activation="relu", name="d")(x), name="inner")
    inputs = image(4)
    x = conv(4, activation="relu", name="after")(inner(inputs))
    model = shaken(keras.Model(inputs, conv(1, name="head")(x)))
    inner.trainable = False
    inner.get_layer("d").trainable = True
    model.get_layer("after").bias.trainable = False
    done = checked(model, "batch@pre-activation")
    copy = done.model.get_layer("inner")
    flags = {layer.name: layer.trainable for layer in copy.layers[1:]}
    assert flags == {
        "c": False, "c_norm": False, "c_relu": False, "d": True, "d_norm": True, "d_relu": True,
    }  # fmt: skip
    assert not done.model.get_layer("after").bias.trainable
    assert done.model.get_layer("after").kernel.trainable
    assert done.model.get_layer("after_norm").trainable


def edited(graph, plan, keep):
    return edited_graph(Work(graph, EditSettings(keep)), NormPlan.parse(plan))


def test_a_norm_that_would_have_to_stand_in_another_model():
    """Where outputs may change, a new one stands there, and the old one goes."""
    inner = Sketch("inner")
    x = inner.norm(inner.conv(4, inner.input(16, 16, 4), name="c"), name="n")
    net = Sketch()
    x = net.relu(net.nest(inner.graph(x), net.input(16, 16, 4), name="inner"), name="relu")
    graph = net.graph(net.conv(1, x, name="head"))
    done = edited(graph, "batch@post-activation", keep=True)
    assert not done.changed and done.skipped[0].reason == IN_ANOTHER
    done = edited(graph, "batch@post-activation", keep=False)
    assert [c.layer for c in done.changed] == ["c_post_norm", "inner/n"] and not done.skipped


@pytest.mark.parametrize("keep", [True, False])
def test_what_a_masking_layer_compares_is_not_normalized(keep):
    net = Sketch()
    x = net.add("Masking", net.input(5, 3, name="series"), name="masking", mask_value=-1.0)
    x = net.add("LSTM", net.dense(4, x, name="a", activation="relu"))
    done = edited(net.graph(net.dense(1, x)), "batch@input", keep)
    assert not done.changed
    assert "masking tells masked steps by the values of series" in done.skipped[0].reason


def test_calls_of_a_model_that_ask_for_different_kinds():
    """Its layers are the same in all of them."""
    inner = Sketch("block")
    x = inner.relu(inner.conv(4, inner.input(None, None, 4), name="c"))
    net = Sketch()
    first = net.nest(inner.graph(x), net.input(16, 16, 4), name="block")
    x = net.relu(net.conv(4, net.add("MaxPooling2D", first), name="low"))
    x = net.again("block", net.add("UpSampling2D", x))
    graph = net.graph(net.conv(1, x, name="head"))
    both = edited(graph, "batch@encoder:pre-activation,batch-renorm@decoder:pre-activation", True)
    assert not both.changed and len(both.skipped) == 2
    assert all("is called 2 times, and only 1" in skip.reason for skip in both.skipped)
    done = edited(graph, "batch@encoder:pre-activation+decoder:pre-activation", True)
    assert [c.layer for c in done.changed] == ["block/c_norm"] and not done.skipped


class Widths(layers.Layer):
    """A layer with a setting that Keras' models have too."""

    def __init__(self, layers=(4, 4), **config):
        super().__init__(**config)
        self.widths = list(layers)
        named = enumerate(self.widths)
        self.parts = [keras.layers.Dense(width, name=f"part{place}") for place, width in named]

    def call(self, x):
        for part in self.parts:
            x = part(x) + x
        return x

    def get_config(self):
        return {**super().get_config(), "layers": self.widths}


class Steps(Widths):
    """The same with layers in its settings, which it applies in its own way."""

    def get_config(self):
        return {**super().get_config(), "layers": [part.get_config() for part in self.parts]}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "layers": [part["units"] for part in config["layers"]]})


@pytest.mark.parametrize("kind", [Widths, Steps])
def test_a_layer_of_a_user_with_a_setting_called_layers_is_no_model(kind):
    inputs = image(4)
    x = conv(4, activation="relu", name="a")(kind(name="own")(inputs))
    done = checked(shaken(keras.Model(inputs, conv(1, name="head")(x))), "batch@pre-activation")
    assert norms_of(done.model) == {"a_norm"}


def test_the_layers_of_a_pipeline_are_replayed_and_edited():
    inputs = image(3)
    parts = [layers.Rescaling(0.5), conv(4, activation="relu", name="a"), conv(4, name="b")]
    x = layers.Pipeline(parts, name="parts")(inputs)
    x = conv(4, activation="relu", name="c")(x)
    model = shaken(keras.Model(inputs, conv(1, name="head")(x)))
    assert not checked(model, "none").report.changed
    done = checked(model, "batch@pre-activation", keep=False)
    assert norms_of(done.model) == {"parts/a_norm", "c_norm"}
    assert isinstance(done.model.get_layer("parts"), layers.Pipeline)

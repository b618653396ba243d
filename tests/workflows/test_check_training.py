"""What is told of a training: counts, optimizers, settings of data that aren't there."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import normwise as nw
from normwise.errors import CheckError
from normwise.keras_format.compiled import Compiled, compiled_of
from normwise.keras_format.reading import read_graph
from normwise.workflows.check_training import Told


@pytest.fixture(scope="module")
def graph():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    return read_graph(keras.Model(inputs, layers.Conv2D(1, 1)(x)))


def names(graph, **told):
    return {finding.name for finding in nw.check(graph, **told).findings}


def excluding(**what):
    optimizer = keras.optimizers.AdamW(weight_decay=0.01)
    optimizer.exclude_from_weight_decay(**what)
    return optimizer


@pytest.mark.parametrize(
    ("optimizer", "decayed"),
    [
        (lambda: {"weight_decay": 0.01}, True),
        (lambda: keras.optimizers.AdamW(weight_decay=0.01), True),
        (keras.optimizers.SGD, False),
        (lambda: excluding(var_names=["gamma", "beta"]), False),
        (lambda: excluding(var_names=["kernel"]), True),
        (lambda: excluding(var_list=[keras.Variable(1.0)]), False),
        (lambda: None, False),
    ],
)
def test_an_optimizer_tells_its_weight_decay(graph, optimizer, decayed):
    assert ("decayed-affine" in names(graph, optimizer=optimizer())) is decayed


@pytest.mark.parametrize("optimizer", ["adamw", 3, keras.optimizers.AdamW])
def test_what_is_no_optimizer_is_refused(graph, optimizer):
    with pytest.raises(CheckError, match="expected its settings"):
        nw.check(graph, optimizer=optimizer)


def test_counts_of_numpy_are_counts(graph):
    assert "tiny-batch" in names(graph, batch_size=np.int64(2))
    for count in (True, 2.0, "2", 0, np.int64(-1)):
        with pytest.raises(CheckError, match=r"batch_size is .*expected a whole number"):
            nw.check(graph, batch_size=count)


@pytest.mark.parametrize(
    "settings", [{"new_data": False}, {"limit": 3}, {"nodata": 0.0}, {"bands": [0]}, {"tile": 8}]
)
def test_settings_of_data_need_data(graph, settings):
    (name,) = settings
    with pytest.raises(CheckError, match=f"got {name} without data"):
        nw.check(graph, **settings)


def compiled(optimizer, loss="mse"):
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, use_bias=False, name="conv")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    model = keras.Model(inputs, layers.Conv2D(1, 1)(x))
    model.compile(optimizer, loss)
    return model


def decaying(**settings):
    return keras.optimizers.AdamW(weight_decay=0.02, **settings)


SAID = "weight decay of 0.02 also pulls at gamma and beta of 1 normalization"


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_file_tells_what_it_was_compiled_with(suffix, tmp_path):
    path = tmp_path / f"model{suffix}"
    compiled(decaying(gradient_accumulation_steps=4)).save(path)

    def found(**training):
        return {f.name: f.message for f in nw.check(path, **training).findings}

    assert f"{SAID}, unless they were left out, which no file says." in found()["decayed-affine"]
    assert "gradients of 8 samples" in found(batch_size=2)["accumulated-batches"]
    # What is said overrules it.
    assert "gradients of 16 samples" in found(batch_size=2, accumulation=8)["accumulated-batches"]
    assert "accumulated-batches" not in found(batch_size=2, accumulation=1)
    assert "decayed-affine" not in found(optimizer={})
    other = found(optimizer={"weight_decay": 0.5, "gradient_accumulation_steps": 2}, batch_size=2)
    assert (
        "decay of 0.5 also" in other["decayed-affine"] and "unless" not in other["decayed-affine"]
    )
    assert "gradients of 4 samples" in other["accumulated-batches"]
    # An optimizer that says nothing of it leaves what was compiled; one that says "no" doesn't.
    named = found(optimizer={"weight_decay": 0.5}, batch_size=2)
    assert "gradients of 8 samples" in named["accumulated-batches"]
    for none in (keras.optimizers.AdamW(), {"gradient_accumulation_steps": None}):
        assert "accumulated-batches" not in found(optimizer=none, batch_size=2)
    left = {one.finding.name for one in nw.fix(path).left}
    assert "decayed-affine" in left


def test_a_live_model_tells_what_it_is_compiled_with():
    (found,) = (f for f in nw.check(compiled(decaying())).findings if f.name == "decayed-affine")
    assert found.message.endswith(f"{SAID}.")
    scaled = keras.optimizers.LossScaleOptimizer(decaying())
    assert "decayed-affine" in {f.name for f in nw.check(compiled(scaled)).findings}
    spared = decaying()
    spared.exclude_from_weight_decay(var_names=["gamma", "beta"])
    assert "decayed-affine" not in {f.name for f in nw.check(compiled(spared)).findings}
    assert "decayed-affine" not in {f.name for f in nw.check(compiled("adam")).findings}


ADAMW = {"class_name": "AdamW", "config": {"weight_decay": 0.1, "gradient_accumulation_steps": 3}}
STEPS = {"weight_decay": 0.1, "gradient_accumulation_steps": 3}


@pytest.mark.parametrize(
    ("told", "optimizer", "loss"),
    [
        ({"optimizer": ADAMW, "loss": "mse"}, STEPS, "mse"),
        ({"optimizer": {"config": {"inner_optimizer": ADAMW}}}, STEPS, None),
        ({"optimizer": "AdamW", "loss": {"class_name": "Dice", "config": {}}},
         {"weight_decay": 0.004}, "Dice"),
        ({"optimizer": "adam", "loss": ["mse", "mae"]}, {}, None),
        ({"optimizer": {"config": {"weight_decay": None}}}, {}, None),
        ({"optimizer": {"config": {"weight_decay": [1], "gradient_accumulation_steps": True}}},
         {}, None),
        ({"optimizer": [ADAMW], "loss": {"config": 3}}, {}, None),
        ({}, {}, None), (None, {}, None), (3, {}, None),
    ],
)  # fmt: skip
def test_what_is_read_of_a_compilation(told, optimizer, loss, tmp_path):
    found = compiled_of({"compile_config": told}, tmp_path / "m.keras")
    assert found == Compiled(optimizer, loss)


def test_a_compilation_in_circles_ends():
    ring = {"config": {}}
    ring["config"]["inner_optimizer"] = ring
    assert compiled_of({"compile_config": {"optimizer": ring}}, Path("m.keras")) == Compiled()


def test_steps_that_are_none_are_not_accumulated():
    for steps in (-3, 0, 1, 10**30, 2.0, True, "4"):
        told = Compiled({"gradient_accumulation_steps": steps})
        assert Told(2, None, None, None, 1, None, None).training(told).accumulation == 1


def embedding(features, loss):
    """A model that ends in a normalized vector, compiled with a loss."""
    inputs = keras.Input((4,), name="in")
    x = layers.BatchNormalization(name="norm")(layers.Dense(features, name="dense")(inputs))
    model = keras.Model(inputs, x)
    if loss is not None:
        model.compile(loss=loss)
    return model


def cosine_distance(truth, made):
    return -keras.ops.mean(truth * made)


def severity(model, **told):
    return {f.name: str(f.severity) for f in nw.check(model, **told).findings}["norm-on-output"]


@pytest.mark.parametrize(
    ("features", "loss", "expected"),
    [
        (4, None, "error"),
        (4, "mse", "error"),
        (4, "cosine_similarity", "warning"),
        (4, keras.losses.CosineSimilarity(), "warning"),
        (4, cosine_distance, "warning"),
        (40, None, "warning"),
        (40, "my_own", "warning"),
        (40, "mse", "warning"),
        (40, keras.losses.BinaryCrossentropy(from_logits=True), "error"),
    ],
)
def test_the_loss_tells_an_embedding_from_a_prediction(features, loss, expected, tmp_path):
    assert severity(embedding(features, None), loss=loss) == expected
    if loss != "my_own":
        compiled = embedding(features, loss)
        assert severity(compiled) == expected
        for suffix in (".keras", ".h5"):
            compiled.save(tmp_path / f"model{suffix}")
            assert severity(tmp_path / f"model{suffix}") == expected
        # What is said overrules it.
        assert severity(compiled, loss="triplet") == "warning"
        assert severity(compiled, loss=keras.losses.Dice()) == "error"


def test_a_fix_goes_by_the_loss():
    def mended(loss):
        return [finding.name for finding in nw.fix(embedding(40, None), loss=loss).mended]

    assert "norm-on-output" in mended("dice") and "norm-on-output" not in mended(None)


def test_several_losses_tell_nothing():
    inputs = keras.Input((4,))
    ends = [layers.BatchNormalization()(layers.Dense(40)(inputs)) for _ in range(2)]
    for loss in ("dice", ["dice", "dice"]):
        model = keras.Model(inputs, ends)
        model.compile(loss=loss)
        assert severity(model) == "warning"


@pytest.mark.parametrize("loss", [3, ["mse", "mae"], {"head": "mse"}])
def test_what_is_no_loss_is_refused(graph, loss):
    with pytest.raises(CheckError, match="expected the name of one, such as 'mse'"):
        nw.check(graph, loss=loss)

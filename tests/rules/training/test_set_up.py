"""Rules on training set-ups and weights, on models that Keras built, trained and wrote."""

import keras
import numpy as np
import pytest
from keras import layers

import normwise as nw
from normwise.rules import BY_NAME, Severity, Training
from normwise.rules.sketches import Sketch


def network(policy=None, **norm):
    inner_in = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, dtype=policy)(inner_in)
    x = layers.ReLU()(layers.BatchNormalization(name="norm", dtype=policy, **norm)(x))
    inner = keras.Model(inner_in, x, name="block")
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, layers.Conv2D(1, 1)(inner(inputs)))


def norm_of(model):
    return model.get_layer("block").get_layer("norm")


def found(model, severity=Severity.INFO, **known):
    report = nw.check(model, **known)
    names = [finding.name for finding in report.at_least(severity)]
    return [name for name in names if name != "newer-config"]


def written(model, suffix, folder):
    path = folder / f"model{suffix}"
    path.write_text(model.to_json()) if suffix == ".json" else model.save(path)
    return path


GAMMA, BETA, MEAN, VARIANCE = np.float32([
    [0.9, 1.1, 1.2, 0.8],
    [0.1, -0.2, 0.3, 0.0],
    [0.4, 0.1, -0.3, 0.2],
    [0.5, 1.5, 2.0, 0.7],
])  # fmt: skip
SMALL = np.full(4, 1e-4, "float32")
FAULTS = {
    "untouched-statistics": (GAMMA, BETA, np.zeros(4), np.ones(4)),
    "large-epsilon": (GAMMA, BETA, MEAN, SMALL),
    "dead-channels": (GAMMA * [1, 0, 1, 1], BETA, MEAN, VARIANCE),
    None: (GAMMA, BETA, MEAN, VARIANCE),
}


@pytest.mark.parametrize("suffix", ["", ".keras", ".h5"])
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_weights_are_read_from_live_models_and_files(fault, suffix, tmp_path):
    model = network()
    norm_of(model).set_weights([np.asarray(value, "float32") for value in FAULTS[fault]])
    at = written(model, suffix, tmp_path) if suffix else model
    assert found(at) == ([fault] if fault else [])
    assert found(written(model, ".json", tmp_path)) == []


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_norm_without_gamma_has_its_weights_in_another_order(fault, tmp_path):
    model = network(scale=False)
    norm_of(model).set_weights([np.asarray(value, "float32") for value in FAULTS[fault][1:]])
    expected = [fault] if fault in ("untouched-statistics", "large-epsilon") else []
    assert found(model) == found(written(model, ".keras", tmp_path)) == expected


def test_statistics_that_keras_trained_too_briefly_are_cold():
    model = network()
    model.compile("sgd", "mse")
    data = np.random.default_rng(0).normal(size=(40, 8, 8, 3)).astype("float32")
    model.fit(data, data[..., :1], batch_size=8, epochs=4, verbose=0)
    steps = {"batch_size": 8, "samples": 40, "epochs": 4}
    moved = norm_of(model).moving_variance.numpy()
    assert (moved >= 0.99**20).all() and (moved != 1).all()
    assert found(model, Severity.ERROR, **steps) == ["cold-statistics"]
    # The same model as the start of another training: it can't have begun at 1.
    norm_of(model).moving_variance.assign(SMALL * 100)
    assert "cold-statistics" not in found(model, **steps)


def test_a_huge_number_of_steps_leaves_nothing_cold():
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3))))
    context = net.context(net.conv(1, x), training=Training(steps=10**400))
    assert list(BY_NAME["cold-statistics"].check(context)) == []


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("bfloat16", True), ("float16", True), ("mixed_bfloat16", False), ("float32", False)],
)
def test_policies_as_keras_writes_them(policy, expected, tmp_path):
    model = network(policy)
    for at in (model, written(model, ".keras", tmp_path), written(model, ".json", tmp_path)):
        assert ("half-precision-norm" in found(at)) is expected


@pytest.mark.parametrize(
    ("regularizer", "expected"),
    [(keras.regularizers.L2(1e-4), True), (keras.regularizers.L1(1e-4), False), (None, False)],
)
def test_regularizers_as_keras_writes_them(regularizer, expected):
    assert ("decayed-affine" in found(network(gamma_regularizer=regularizer))) is expected


def test_initializers_as_keras_writes_them():
    for initializer in ("zeros", keras.initializers.Constant(0.5), keras.initializers.Ones()):
        assert found(network(gamma_initializer=initializer)) == []
    random = keras.initializers.RandomNormal(1.0, 0.02, seed=0)
    assert found(network(gamma_initializer=random)) == []


@pytest.mark.parametrize("names", [["gamma", "beta"], ["norm"], ["gam.a", "bet"], ["gamma"], []])
def test_what_weight_decay_leaves_out_is_what_keras_leaves_out(names):
    model = network()
    optimizer = keras.optimizers.SGD(learning_rate=0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=names)
    optimizer.build(model.trainable_variables)
    before = [np.ones(v.shape, "float32") for v in norm_of(model).trainable_variables]
    for variable, value in zip(norm_of(model).trainable_variables, before, strict=True):
        variable.assign(value)
    optimizer.apply([keras.ops.zeros_like(v) for v in model.trainable_variables])
    decayed = any((v.numpy() != 1).any() for v in norm_of(model).trainable_variables)
    settings = {"weight_decay": 0.5, "exclude_from_weight_decay": names}
    assert ("decayed-affine" in found(model, optimizer=settings)) is decayed


def test_a_tower_on_several_replicas():
    small = {"batch_size": 8, "replicas": 4, "accumulation": 2}
    assert found(network(), Severity.WARNING, **small) == [
        "tiny-batch",
        "accumulated-batches",
        "unsynced-replicas",
    ]
    norm = norm_of(model := network())
    norm.trainable = False
    assert found(model, **small) == []


def test_statistics_move_with_each_step_of_time_as_keras_moves_them():
    norm = keras.layers.BatchNormalization(momentum=0.5, name="norm")
    inputs = keras.Input((3, 2))
    series = keras.Model(inputs, keras.layers.TimeDistributed(norm, name="each")(inputs))
    steps = np.array([1.0, 2.0, 4.0], "float32")
    series(steps[None, :, None] * np.ones((4, 3, 2), "float32"), training=True)
    expected = ((steps[0] / 2 + steps[1]) / 2 + steps[2]) / 2
    np.testing.assert_allclose(np.asarray(norm.moving_mean), [expected] * 2, rtol=1e-6, atol=0)


@pytest.mark.parametrize(("rule", "accumulation"), [("tiny-batch", 1), ("accumulated-batches", 4)])
def test_replicas_that_share_statistics_are_not_said_to_have_their_own(rule, accumulation):
    def said(batch_size, **config):
        net = Sketch()
        x = net.relu(net.norm(net.dense(8, net.input(4)), **config))
        training = Training(batch_size=batch_size, replicas=4, accumulation=accumulation)
        context = net.context(net.dense(1, x), training=training)
        (spot,) = BY_NAME[rule].look(context)
        return spot.message

    together, apart = said(8, synchronized=True), said(8)
    assert "8 samples" in together and "each of" not in together
    assert "2 samples" in apart and ("on each of 4 replicas" in apart) is (rule == "tiny-batch")

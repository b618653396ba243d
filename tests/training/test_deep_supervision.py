"""Heads inside a network, trained with labels of their size; the main one is what is saved."""

import keras
import numpy as np
import pytest
from keras import layers

from normwise.errors import NetworkError
from normwise.training.deep_supervision import Supervised, head_sizes, head_weights
from normwise.training.determinism import seed_run
from normwise.training.fit import fit
from normwise.training.losses.composition import loss_of
from normwise.training.progress import Silent
from normwise.training.run import train
from normwise.training.training_settings import TrainingSettings

from .stand_in import Batches, recipe, same_weights, weights_of
from .test_run import recipe_of, write_folder

pytestmark = pytest.mark.usefixtures("no_pictures")


def with_heads(count=3, dropout=0.0):
    """Heads at full, half and full resolution."""
    inputs = layers.Input((None, None, 3))
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(inputs)
    deep = layers.MaxPooling2D()(x)
    deep = layers.BatchNormalization(momentum=0.9)(layers.Conv2D(8, 3, padding="same")(deep))
    deep = layers.Dropout(dropout)(layers.Activation("relu")(deep))
    x = layers.Concatenate()([layers.UpSampling2D()(deep), x])
    read = (x, deep, x)[:count]
    heads = [layers.Conv2D(1, 1, name=f"head_{i}")(t) for i, t in enumerate(read)]
    return keras.Model(inputs, heads, name="with_heads")


def validate(model):
    x, y, _ = Batches(seed=99)[0]
    predicted, truth = model.predict_on_batch(x)[0][..., 0] > 0, y > 0
    return {"loss": 0.5, "iou": (predicted & truth).sum() / max((predicted | truth).sum(), 1)}


def test_weights_are_halved_from_head_to_head():
    np.testing.assert_allclose(head_weights(3), np.array([4, 2, 1]) / 7, rtol=1e-12, atol=0)
    assert head_weights(1) == (1.0,)


def test_sizes_come_from_the_network():
    assert head_sizes(with_heads(), (16, 24)) == ((16, 24), (8, 12), (16, 24))


def test_a_main_output_of_another_size_is_refused():
    model = with_heads()
    turned = keras.Model(model.inputs, model.outputs[1:])
    with pytest.raises(NetworkError, match=r"Output 1 of .* has \(8, 12\) pixels for a patch of"):
        head_sizes(turned, (16, 24))


@pytest.mark.parametrize("space", [(4, 6), (4, 6, 8)])
def test_class_ids_are_the_nearest_and_ignored_ones_stay_so(space):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, (2, *space)).astype(np.uint8)
    weights = rng.choice([0.0, 1.0, 2.0], labels.shape).astype(np.float32)
    half = tuple(side // 2 for side in space)
    made = Supervised((space, half), values=False, prepare=lambda batch: batch)
    _, found, kept = made((None, labels, weights))
    np.testing.assert_array_equal(found[0], labels)
    np.testing.assert_array_equal(kept[0], weights)
    for place in np.ndindex(2, *half):
        source = (place[0], *(2 * part + 1 for part in place[1:]))
        assert found[1][place] == labels[source]
        assert kept[1][place] == weights[source]
    assert found[1].dtype == np.uint8


@pytest.mark.parametrize("space", [(4, 6), (4, 6, 8)])
def test_values_are_the_mean_of_what_is_labelled(space):
    rng = np.random.default_rng(0)
    labels = rng.normal(size=(2, *space, 2)).astype(np.float32)
    weights = rng.choice([0.0, 1.0, 2.0], labels.shape).astype(np.float32)
    weights[0, :2, :2] = 0
    half = tuple(side // 2 for side in space)
    made = Supervised((space, half), values=True, prepare=lambda batch: batch)
    _, found, kept = made((None, np.where(weights > 0, labels, np.nan), weights))
    np.testing.assert_array_equal(kept[0], weights)
    for place in np.ndindex(2, *half, 2):
        block = (place[0], *(slice(2 * p, 2 * p + 2) for p in place[1:-1]), place[-1])
        own = weights[block]
        wanted = np.average(labels[block], weights=own) if own.any() else 0.0
        assert found[1][place] == pytest.approx(wanted, rel=1e-5, abs=1e-6)
        assert kept[1][place] == pytest.approx(own.mean(), rel=1e-6)
    assert (kept[1] == 0).any()


@pytest.mark.backends
def test_the_loss_is_the_weighted_sum_over_the_heads(tmp_path):
    found = []

    class Recorder(Silent):
        def step(self, epoch, step, loss, patches_per_second):
            found.append(loss)

    seed_run(0)
    model = with_heads()
    x, y, weight = Batches()[0]
    outputs = [keras.ops.convert_to_numpy(output) for output in model(x, training=True)]
    settings = recipe(epochs=1, steps=1, loss="cross-entropy", learning_rate=1e-9)
    loss = loss_of(TrainingSettings(loss="cross-entropy"))
    labels = [(y, weight), (y[:, 1::2, 1::2], weight[:, 1::2, 1::2]), (y, weight)]
    each = [
        float(loss(*map(keras.ops.convert_to_tensor, (truth, output, own))))
        for output, (truth, own) in zip(outputs, labels, strict=True)
    ]
    fit(model, Batches(1), validate, settings, tmp_path, watcher=Recorder())
    assert found[0] == pytest.approx(np.dot(each, [4 / 7, 2 / 7, 1 / 7]), rel=1e-4)
    assert found[0] != pytest.approx(each[0], rel=1e-3)


def test_a_run_with_heads_resumes_exactly(tmp_path):
    class Interrupted(Silent):
        def step(self, epoch, step, loss, patches_per_second):
            if (epoch, step) == (2, 3):
                raise KeyboardInterrupt

    def trained(folder, **options):
        seed_run(0)
        model = with_heads(2, dropout=0.3)
        fit(model, Batches(), validate, recipe(epochs=2), folder, **options)
        return weights_of(model)

    whole = trained(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "parts", watcher=Interrupted())
    assert same_weights(whole, trained(tmp_path / "parts", resume=True))
    assert not same_weights(whole, weights_of(with_heads(2)))


@pytest.mark.parametrize("task", ["segmentation", "regression"])
def test_a_supervised_network_is_finished_with_its_main_head_alone(tmp_path, task):
    data = write_folder(tmp_path / "data", task)
    settings = recipe_of(data, epochs=1)
    network = settings.network.model_copy(update={"deep_supervision": True, "depth": 2})
    run = train(
        settings.model_copy(update={"network": network}), out=tmp_path / "run", progress=False
    )
    assert len(run.model.outputs) == 1
    names = {layer.name for layer in run.model.layers}
    assert "head" in names
    assert "head_2" not in names
    assert run.metrics.values["iou" if task == "segmentation" else "r2"] > 0.2

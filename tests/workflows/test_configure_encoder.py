"""Encoders of keras.applications, configured and trained: what is frozen stays, the rest moves."""

import keras
import numpy as np
import pytest

import normwise as nw
from normwise.networks import applications
from normwise.rasters import write_raster
from normwise.training.configure import Cost, structure
from normwise.training.configure.cost import network_to_measure
from normwise.training.preparing import parts_of
from tests.networks.small_application import randomize, small_application, small_model

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """The application is a small one, and no step of it is timed."""
    structure._built_narrow.cache_clear()
    monkeypatch.setattr(applications, "application", lambda _: small_application())

    def cost(*arguments):
        network_to_measure(*arguments)
        return Cost(0.1, 10**8)

    monkeypatch.setattr("normwise.training.configure.cost.measured_cost", cost)
    yield
    structure._built_narrow.cache_clear()


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    for name in "abcd":
        mask = rng.random((32, 32)) > 0.6
        image = rng.normal(1000, 100, (32, 32, 4)) + 300 * mask[..., None]
        write_raster(tmp_path / "data/images" / f"{name}.npy", image.astype(np.float32))
        write_raster(tmp_path / "data/masks" / f"{name}.npy", mask[..., None].astype(np.uint8))
    return tmp_path / "data"


@pytest.fixture
def stored(tmp_path):
    model = randomize(small_model())
    model.save_weights(tmp_path / "pretrained.weights.h5")
    return model


def configured(data, *settings):
    weights = data.parent / "pretrained.weights.h5"
    told = ["network.encoder=MobileNet", f"network.weights={weights}", "network.filters=2"]
    few = ["training.batch_size=4", "training.workers=1", "training.epochs=2", "training.steps=3"]
    return nw.configure(data, settings=[*told, *few, *settings]).recipe


def test_what_is_frozen_stays_to_the_last_bit(data, stored, tmp_path):
    """With averaged weights it is a copy that trains."""
    recipe = configured(data, "network.frozen=true")
    assert recipe.training.ema == 0.9
    assert "encoder_momentum" not in recipe.network.options
    run = nw.train(recipe, out=tmp_path / "run", progress=False)
    assert len(run.history) == 2
    trained = keras.saving.load_model(tmp_path / "run" / "model.keras", compile=False)
    for ours, theirs in (
        ("down", stored.layers[-3].layers[-1]),
        ("conv2d", stored.layers[7]),
        ("batch_normalization", stored.layers[3]),
        ("batch_normalization_1", stored.layers[8]),
    ):
        for one, two in zip(
            trained.get_layer(ours).get_weights(), theirs.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(one, two)
    own = [layer for layer in trained.layers if isinstance(layer, keras.layers.BatchNormalization)]
    moving = [keras.ops.convert_to_numpy(norm.moving_mean) for norm in own[2:]]
    assert moving and all(np.abs(mean).max() > 0 for mean in moving)  # the decoder's began at 0


def test_what_is_not_frozen_has_a_lower_rate_and_statistics_that_follow(data, stored):
    recipe = configured(data)
    assert recipe.training.learning_rate == 3e-4
    assert recipe.network.options["encoder_momentum"] == 0.8
    network = parts_of(recipe).network
    norms = [layer for layer in network.layers if isinstance(layer, type(stored.layers[3]))]
    assert len(norms) > 2 and all(norm.momentum == 0.8 for norm in norms)
    own = configured(data, "network.encoder_momentum=null")
    norms = parts_of(own).network.get_layer("batch_normalization")
    assert norms.momentum == stored.layers[3].momentum == 0.99

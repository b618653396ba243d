"""Several models as one: their mean, and what names them."""

import json

import keras
import numpy as np
import pytest

import normwise as nw
from normwise.data.reading import Record
from normwise.errors import ModelReadError, NetworkError
from normwise.training.distribution import Distribution
from normwise.training.target_units import unit_layers
from normwise.workflows import evaluate as evaluating
from normwise.workflows.ensembles import members_of, write_ensemble


def times(factor, fill=0.0, channels=2):
    """A model that multiplies the sum of its channels; missing ones count as `fill`."""
    inputs = keras.Input((None, None, channels))
    raw = keras.layers.Normalization(mean=[fill] * channels, variance=[1.0] * channels)(inputs)
    total = keras.ops.sum(raw + fill, axis=-1, keepdims=True)
    return keras.Model(inputs, total * factor)


@pytest.fixture
def folder(tmp_path):
    for index, factor in enumerate((1.0, 3.0), start=1):
        (tmp_path / f"fold{index}").mkdir()
        times(factor).save(tmp_path / f"fold{index}" / "model.keras")
    write_ensemble(tmp_path, ["fold1", "fold2"])
    return tmp_path


IMAGE = np.arange(24, dtype=np.float32).reshape(3, 4, 2)


def test_the_mean_of_the_members_is_predicted(folder):
    single = IMAGE.sum(-1, keepdims=True)
    np.testing.assert_allclose(nw.predict(folder, IMAGE), 2 * single, rtol=1e-6)
    np.testing.assert_allclose(nw.predict([times(1), times(2)], IMAGE), 1.5 * single, rtol=1e-6)
    assert not np.allclose(nw.predict(folder / "fold1", IMAGE), nw.predict(folder, IMAGE))


def test_each_member_fills_missing_pixels_with_its_own_mean():
    image = IMAGE.copy()
    image[0, 0, 0] = np.nan
    found = nw.predict([times(1, fill=10), times(1, fill=20)], image)
    assert found[0, 0, 0] == pytest.approx(15 + image[0, 0, 1])


def test_classes_come_from_the_mean_probability():
    def constant(probability):
        inputs = keras.Input((None, None, 2))
        zero = keras.ops.sum(inputs, axis=-1, keepdims=True) * 0.0
        logit = float(np.log(probability / (1 - probability)))
        return keras.Model(inputs, keras.layers.Activation("sigmoid")(zero + logit))

    # Two of three members say no, but the mean probability is above one half.
    found = nw.predict([constant(0.45), constant(0.45), constant(0.9)], IMAGE, classes=True)
    assert (found == 1).all()


def test_members_must_agree_on_the_channels():
    with pytest.raises(NetworkError, match="3 channels"):
        nw.predict([times(1), times(1, channels=3)], IMAGE)


def test_members_with_other_outputs_are_told_by_their_channels():
    inputs = keras.Input((None, None, 2))
    one, three = (keras.Model(inputs, keras.layers.Conv2D(n, 1)(inputs)) for n in (1, 3))
    with pytest.raises(NetworkError, match=r"outputs of 1 and 3 channels; .* with --outputs"):
        nw.predict([three, one, three], IMAGE)


def test_a_list_may_hold_folders(folder):
    assert members_of([folder, "other.keras"]) == (
        folder / "fold1",
        folder / "fold2",
        "other.keras",
    )


@pytest.mark.parametrize(
    "content", ["no json", "[]", '{"members": []}', '{"members": 3}', '{"members": [1]}', "{}"]
)
def test_a_listing_that_is_none_is_a_clear_error(tmp_path, content):
    (tmp_path / "ensemble.json").write_text(content)
    with pytest.raises(ModelReadError, match=r"ensemble\.json"):
        members_of(tmp_path)


def test_a_member_that_is_missing_is_named(folder):
    (folder / "ensemble.json").write_text(json.dumps({"members": ["fold1", "fold9"]}))
    with pytest.raises(ModelReadError, match="fold9"):
        nw.predict(folder, IMAGE)


def test_an_empty_list_is_refused():
    with pytest.raises(ModelReadError, match="no models"):
        nw.predict([], IMAGE)


def test_each_member_reads_its_own_bands(tmp_path):
    folders = []
    for index in range(2):
        folder = tmp_path / f"run{index}"
        folder.mkdir()
        times(1.0, channels=1).save(folder / "model.keras")
        (folder / "recipe.yaml").write_text(f"data: {{path: {tmp_path}, bands: [{index}]}}\n")
        folders.append(folder)
    np.testing.assert_allclose(nw.predict(folders, IMAGE), IMAGE.mean(-1, keepdims=True), rtol=1e-6)
    with pytest.raises(nw.NormwiseError, match=r"data\.bands"):
        nw.evaluate(folders, tmp_path)


# What members predict. ----------------------------------------------------------------------------


def run(folder, names, outputs, law=None):
    """A run that tells its classes or targets."""
    inputs = keras.Input((None, None, 2))
    made = keras.layers.Conv2D(outputs, 1)(inputs)
    if law is not None:
        made = unit_layers(made, law, [0.0] * len(names), [1.0] * len(names))
    folder.mkdir()
    keras.Model(inputs, made).save(folder / "model.keras")
    (folder / "metrics.json").write_text(json.dumps({"per_class": {name: {} for name in names}}))
    Record().write(folder)
    return folder


@pytest.fixture(scope="module")
def land_water(tmp_path_factory):
    return run(tmp_path_factory.mktemp("runs") / "one", ["land", "water", "ice"], 3)


def test_members_that_order_their_classes_differently_are_no_ensemble(
    land_water, tmp_path, monkeypatch
):
    other = run(tmp_path / "other", ["water", "land", "ice"], 3)
    told = r"one: land, water, ice; .*other\S*: water, land, ice"
    for checked in (True, False):
        with pytest.raises(NetworkError, match=told):
            nw.predict([land_water, other / "model.keras"], IMAGE, checked=checked)
    monkeypatch.setattr(evaluating, "measured_data", lambda *_: None)
    with pytest.raises(NetworkError, match=told):
        nw.evaluate([land_water, other])
    # The controls: a model alone tells no names, and neither do names that nobody chose.
    live = keras.saving.load_model(other / "model.keras")
    assert nw.predict([land_water, live], IMAGE).shape == (3, 4, 3)
    unnamed = run(tmp_path / "unnamed", ["class 0", "class 1", "class 2"], 3)
    assert nw.predict([land_water, unnamed, land_water], IMAGE).shape == (3, 4, 3)


def test_members_of_other_classes_are_no_ensemble_unless_names_alone_differ(land_water, tmp_path):
    other = run(tmp_path / "other", ["Land", "lake", "ice"], 3)
    with pytest.raises(NetworkError, match=r"land, lake, ice.*--unchecked"):
        nw.predict([land_water, other], IMAGE)
    assert nw.predict([land_water, other], IMAGE, checked=False).shape == (3, 4, 3)


def test_a_single_channel_is_that_of_the_second_class(tmp_path):
    one, same, turned = (
        run(tmp_path / name, classes, 1)
        for name, classes in (("a", ["no", "yes"]), ("b", ["rest", "Yes"]), ("c", ["yes", "no"]))
    )
    assert nw.predict([one, same], IMAGE).shape == (3, 4, 1)
    with pytest.raises(NetworkError, match=r"a: no, yes; .*c: yes, no"):
        nw.predict([one, turned], IMAGE, checked=False)


def test_members_that_say_other_things_of_a_target_are_no_ensemble(tmp_path):
    normal = run(tmp_path / "normal", ["height"], 2, Distribution(gaussian=True))
    levels = run(tmp_path / "levels", ["height"], 2, Distribution((0.1, 0.9)))
    values = run(tmp_path / "values", ["height", "depth"], 2, Distribution())
    for others in ([normal, levels], [levels, values], [values, normal]):
        with pytest.raises(NetworkError, match="different outputs for a target: target"):
            nw.predict(others, IMAGE, checked=False)
    # The control: a model without a run may say anything.
    assert nw.predict([normal, keras.Model(*_pair())], IMAGE).shape == (3, 4, 2)


def _pair():
    inputs = keras.Input((None, None, 2))
    return inputs, keras.layers.Conv2D(2, 1)(inputs)

"""Several models as one: their mean, and what names them."""

import json

import keras
import numpy as np
import pytest

import normwise as nw
from normwise.errors import ModelReadError, NetworkError
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

"""A batch normalization too wide to look at: the rest is checked, and the report says so."""

import json

import keras
import numpy as np
import pytest
from keras import layers

import normwise as nw
from normwise.keras_format import weights_file
from normwise.rules.context import batch_norm_weights
from normwise.workflows.check_formats import to_github, to_sarif
from normwise.workflows.check_many import check_many
from tests.commands import normwise

WIDE = batch_norm_weights.MOST_CHANNELS + 1
TRAINING = {"batch_size": 4, "samples": 8, "epochs": 1}


@pytest.fixture(scope="module")
def model():
    """Norms whose gammas were trained, and whose statistics never moved."""
    inputs = keras.Input((WIDE,))
    x = layers.Dense(4)(layers.BatchNormalization(name="wide")(inputs))
    made = keras.Model(inputs, layers.Dense(1)(layers.BatchNormalization(name="narrow")(x)))
    for name in ("wide", "narrow"):
        gamma = made.get_layer(name).gamma
        gamma.assign(np.full(gamma.shape, 2.0))
    return made


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("wide") / "wide.keras"
    model.save(path)
    return path


def untouched(report):
    return [f.layers for f in report.findings if f.name == "untouched-statistics"]


def test_rules_that_need_the_weights_are_silent_on_it(model, path):
    for checked in (path, model):
        report = nw.check(checked)
        assert untouched(report) == [("narrow",)]
        assert report.unread == ("wide",) and report.to_dict()["unread"] == ["wide"]
        assert report.left_out.startswith("The weights of wide are too many to look at")


def test_it_may_have_been_trained_before(path):
    found = {f.name: f.layers for f in nw.check(path, **TRAINING).findings}
    assert found["cold-statistics"] == ("narrow",)


def test_within_the_bounds_it_is_reported(path, monkeypatch):
    monkeypatch.setattr(weights_file, "MAX_LAYER_NUMBERS", 2**22)
    monkeypatch.setattr(batch_norm_weights, "MOST_CHANNELS", 2**20)
    report = nw.check(path, **TRAINING)
    assert untouched(report) == [("wide", "narrow")]
    assert report.unread == () and not report.left_out


def test_every_form_says_so(path):
    said = "weights of wide are too many"
    printed = normwise("check", path, "--fail-on", "never")
    assert printed.returncode == 0 and said in printed.stdout
    checked = list(check_many([str(path)]))
    assert said in to_github(checked)[-1]
    told = json.dumps(to_sarif(checked)["runs"][0]["invocations"])
    assert said in told and '"note"' in told

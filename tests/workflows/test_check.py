"""`nw.check`: files of every format, live models, training set-ups; no Keras for files."""

import copy
import json
import subprocess
import sys
from functools import cache

import keras
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import normwise as nw
from normwise.errors import CheckError, ModelReadError
from normwise.keras_format.config import graph_from_config
from normwise.rules import Severity
from tests import zoo


def faulty():
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(axis=1, name="norm")(x))
    return keras.Model(inputs, layers.Conv2D(1, 1)(x), name="faulty")


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".json"])
def test_files_say_the_same_as_the_live_model(suffix, tmp_path):
    model, path = faulty(), tmp_path / f"model{suffix}"
    path.write_text(model.to_json()) if suffix == ".json" else model.save(path)
    report = nw.check(path)
    assert report.findings == nw.check(str(path)).findings
    *same, newer = report.findings
    assert tuple(same) == nw.check(model).findings
    assert [f.name for f in same] == ["wrong-axis"] and newer.name == "newer-config"
    assert report.source == str(path) and report.model == "faulty"


def test_a_run_folder_is_checked_by_its_model(tmp_path):
    faulty().save(tmp_path / "model.keras")
    assert nw.check(tmp_path).worst == "error"


def test_files_are_checked_without_loading_keras(tmp_path):
    faulty().save(tmp_path / "model.keras")
    code = (
        "import normwise as nw, sys\n"
        f"print(nw.check({str(tmp_path / 'model.keras')!r}, batch_size=2).worst)\n"
        "print(sorted({'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["error", "[]"]


def test_a_report_is_plain_data():
    told = json.loads(json.dumps(nw.check(faulty()).to_dict()))
    assert told["worst"] == "error" and told["model"] == "faulty"
    (finding,) = told["findings"]
    assert finding["code"] == "NW101" and finding["layers"] == ["norm"]
    assert finding["evidence"] and finding["keeps_outputs"] is False


def test_a_healthy_model_has_an_empty_report():
    inputs = keras.Input((16, 16, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, use_bias=False)(inputs))
    report = nw.check(keras.Model(inputs, layers.Conv2D(1, 1)(layers.ReLU()(x))))
    assert report.findings == () and report.worst is None


@pytest.mark.parametrize("name", ["batch_size", "samples", "epochs", "replicas", "accumulation"])
@pytest.mark.parametrize("value", [0, -3, 1.5, True, "8"])
def test_an_impossible_set_up_is_refused(name, value):
    with pytest.raises(CheckError, match=f"{name} is {value!r}; expected a whole number"):
        nw.check(faulty(), **{name: value})


def test_what_is_no_model_is_refused(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(ModelReadError, match=r"no readable \.keras archive"):
        nw.check(tmp_path / "model.keras")
    with pytest.raises(ModelReadError, match="no such file"):
        nw.check("gone.keras")


def test_every_model_of_the_zoo_can_be_checked():
    for make in zoo.ZOO.values():
        report = nw.check(make(), batch_size=1, samples=3, epochs=1)
        assert all(finding.layers for finding in report.findings)


def test_findings_of_shared_and_nested_layers_come_once_with_full_paths():
    inner_in = keras.Input((16, 16, 4))
    y = layers.Conv2D(4, 3, padding="same", name="c")(inner_in)
    y = layers.BatchNormalization(axis=2, name="norm")(y)
    inner = keras.Model(inner_in, layers.ReLU()(y), name="inner")
    inputs = keras.Input((16, 16, 4))
    model = keras.Model(inputs, layers.Conv2D(1, 1)(inner(inner(inputs))))
    errors = nw.check(model).at_least(Severity.ERROR)
    assert [(f.name, f.layers) for f in errors] == [("wrong-axis", ("inner/norm",))]


SET_UP = {
    "batch_size": 4,
    "samples": 9,
    "epochs": 2,
    "replicas": 2,
    "accumulation": 2,
    "optimizer": {"weight_decay": 0.01},
}
ODD = [None, True, -1, 0, 10**30, 0.5, float("nan"), "", "relu", [], [1, 2], {}, {"a": 1}]


@given(st.data())
@settings(max_examples=60)
def test_a_damaged_configuration_ends_in_a_report_or_a_clear_error(data):
    name = data.draw(st.sampled_from(["nested_twice", "channels_first", "all_norms", "depthwise"]))
    config = json.loads(written(name))
    for _ in range(data.draw(st.integers(1, 3))):
        spots = list(places(config["config"]))
        container, key = spots[data.draw(st.integers(0, len(spots) - 1))]
        container[key] = copy.deepcopy(data.draw(st.sampled_from(ODD)))
    try:
        graph = graph_from_config(config, "file")
    except ModelReadError:
        return
    training = data.draw(st.sampled_from([{}, {"batch_size": 1}, SET_UP]))
    json.dumps(nw.check(graph, **training).to_dict())


@cache
def written(name):
    return zoo.built(name).to_json()


def places(part):
    """Every entry of a configuration: its container and key."""
    entries = part.items() if isinstance(part, dict) else enumerate(part)
    for key, value in list(entries):
        yield part, key
        if isinstance(value, (dict, list)):
            yield from places(value)

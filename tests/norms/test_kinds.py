"""Kinds of normalization, told from Keras layers and made from them."""

import keras
import pytest

from normwise.errors import PlanError
from normwise.graph.graph import Node
from normwise.keras_format import read_graph
from normwise.norms.kinds import (
    KINDS,
    NormSpec,
    cancels_bias,
    config_of,
    refuse_missing_kind,
    spec_of,
    value_text,
)
from tests.zoo import image

layers = keras.layers


def node_of(layer: keras.layers.Layer) -> Node:
    inputs = image(4)
    return read_graph(keras.Model(inputs, layer(inputs))).nodes[1]


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (layers.BatchNormalization(), "batch"),
        (layers.BatchNormalization(axis=3), "batch"),
        (layers.BatchNormalization(momentum=0.9, epsilon=1e-5), "batch(momentum=0.9,epsilon=1e-5)"),
        (layers.BatchNormalization(center=False), "batch(center=false)"),
        (layers.BatchNormalization(renorm=True), "batch-renorm"),
        (
            layers.BatchNormalization(renorm=True, renorm_clipping={"dmax": 5.0, "rmax": 3.0}),
            "batch-renorm(rmax=3.0,dmax=5.0)",
        ),
        (layers.GroupNormalization(2), "group(groups=2)"),
        (layers.GroupNormalization(4), "group(groups=4)"),
        (layers.LayerNormalization(scale=False), "layer(scale=false)"),
        (layers.RMSNormalization(), "rms"),
        (layers.Normalization(mean=0.0, variance=1.0), "standardize"),
    ],
)
def test_layers_are_told_by_kind_and_arguments(layer: keras.layers.Layer, text: str) -> None:
    assert str(spec_of(node_of(layer))) == text


def test_synchronized_batch_normalization() -> None:
    if keras.backend.backend() != "tensorflow":
        pytest.skip("only TensorFlow has it")
    assert str(spec_of(node_of(layers.BatchNormalization(synchronized=True)))) == "sync-batch"


def test_what_no_plan_can_write_has_no_kind() -> None:
    assert spec_of(node_of(layers.UnitNormalization())) is None
    assert spec_of(node_of(layers.Normalization(mean=0.0, variance=1.0, invert=True))) is None
    assert spec_of(node_of(layers.ReLU())) is None
    odd = Node("n", "n", "BatchNormalization", config={"epsilon": (1, 2)})
    assert spec_of(odd) is None


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in {"sync-batch", "standardize"}])
def test_a_kind_builds_the_layer_that_is_read_as_it(kind: str) -> None:
    config = config_of(NormSpec(kind, (("groups", 2),) if kind == "group" else ()))
    made = spec_of(node_of(getattr(layers, KINDS[kind].class_name)(**config)))
    # Keras keeps no trace of -1: an instance norm is saved as a group for each channel.
    assert made is not None and made.kind == ("group" if kind == "instance" else kind)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "standardize"])
def test_defaults_are_those_of_keras(kind: str) -> None:
    if kind == "sync-batch" and keras.backend.backend() != "tensorflow":
        pytest.skip("only TensorFlow has it")
    written = getattr(layers, KINDS[kind].class_name)(**KINDS[kind].fixed).get_config()
    assert written.get("renorm_clipping") in (None, {})
    # Keras leaves bounds out that bound nothing; test_batch_renorm holds that.
    unbounded = {"rmin", "rmax", "dmax"}
    for argument, default in KINDS[kind].defaults.items():
        if argument in unbounded:
            continue
        assert written[argument] == default, argument


@pytest.mark.parametrize(
    ("kind", "channels", "cancels"),
    [
        (NormSpec("batch"), 8, True),
        (NormSpec("batch-renorm"), 8, True),
        (NormSpec("instance"), 8, True),
        (NormSpec("group"), 64, False),
        (NormSpec("group"), 32, True),
        (NormSpec("group", (("groups", 8),)), 8, True),
        (NormSpec("group", (("groups", 4),)), 8, False),
        (NormSpec("layer"), 8, False),
        (NormSpec("rms"), 8, False),
    ],
)
def test_a_bias_is_dead_where_each_channel_loses_its_mean(
    kind: NormSpec, channels: int, cancels: bool
) -> None:
    assert cancels_bias(kind, channels) is cancels


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (8, "8"),
        (0.9, "0.9"),
        (1e-5, "1e-5"),
        (1.001e-5, "1.001e-5"),
        (1e-3, "0.001"),
    ],
)
def test_values_are_written_short(value: bool | float, text: str) -> None:
    assert value_text(value) == text


def test_only_tensorflow_has_sync_batch() -> None:
    refuse_missing_kind("sync-batch", "tensorflow")
    refuse_missing_kind("batch", "jax")
    with pytest.raises(PlanError, match=r"needs the TensorFlow backend, got torch\. Use 'batch'"):
        refuse_missing_kind("sync-batch", "torch")

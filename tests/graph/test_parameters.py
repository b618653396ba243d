"""Numbers of parameters, without Keras the same as Keras counts."""

from pathlib import Path

import keras
import numpy as np
import pytest

from normwise.graph.parameters import Parameters, parameters_of, total_parameters
from normwise.keras_format import read_graph
from tests.zoo import UNCOUNTED, ZOO, built, conv, image

APPLICATIONS = (
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "ResNet50V2",
    "VGG16",
    "Xception",
    "EfficientNetB0",
)


def trainable(model: keras.Model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.mark.parametrize("name", sorted(set(ZOO) - UNCOUNTED))
def test_the_zoo_is_counted_as_keras_counts_it(name: str) -> None:
    model = built(name)
    counted = total_parameters(read_graph(model))
    assert counted is not None and counted.total == model.count_params()
    if name != "frozen_and_mixed":
        assert counted.trainable == trainable(model)


@pytest.mark.parametrize("name", sorted(UNCOUNTED))
def test_what_cannot_be_known_is_none(name: str) -> None:
    assert total_parameters(read_graph(built(name))) is None


@pytest.mark.parametrize("name", APPLICATIONS)
def test_applications_are_counted_as_keras_counts_them(name: str) -> None:
    shape = (96, 96, 3)
    model = getattr(keras.applications, name)(weights=None, input_shape=shape, classes=7)
    counted = total_parameters(read_graph(model))
    assert counted is not None and counted.total == model.count_params()
    assert counted.trainable == trainable(model)


def test_a_frozen_layer_keeps_its_numbers() -> None:
    graph = read_graph(built("frozen_and_mixed"))
    assert parameters_of(graph, graph.node("batch_normalization")) == Parameters(8, 8)


def test_files_tell_the_same(tmp_path: Path) -> None:
    model = built("sequential_in_functional")
    model.save(tmp_path / "m.keras")
    assert total_parameters(read_graph(tmp_path / "m.keras")) == Parameters(157, 8)


def test_an_adapted_normalization_holds_its_statistics_as_weights() -> None:
    inputs = image(3)
    layer = keras.layers.Normalization(name="scale")
    layer.adapt(np.zeros((2, 16, 16, 3), "float32"))
    model = keras.Model(inputs, conv(1)(layer(inputs)))
    graph = read_graph(model)
    assert parameters_of(graph, graph.node("scale")) == Parameters(0, 7)
    counted = total_parameters(graph)
    assert counted is not None and counted.total == model.count_params()


def test_free_channels_are_unknown_numbers() -> None:
    inputs = keras.Input((None, 4))
    graph = read_graph(keras.Model(inputs, keras.layers.PReLU(shared_axes=[1])(inputs)))
    assert total_parameters(graph) == Parameters(4, 0)
    assert Parameters(3, 4).total == 7

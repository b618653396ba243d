"""Graphs as text and the difference of two graphs."""

import keras
import pytest

from normwise.graph.text import diff, text_of
from normwise.keras_format import read_graph
from normwise.networks import build
from tests import zoo


def question(**options):
    return read_graph(build("question", (64, 64, 9), 1, filters=4, **options))


def test_one_line_a_node_and_one_for_the_outputs():
    graph = question()
    lines = text_of(graph).splitlines()
    assert len(lines) == len(graph.nodes) + 1
    assert lines[0] == "input = InputLayer() -> (None, 64, 64, 9) float32"
    assert lines[1] == (
        "conv1 = Conv2D(filters=4, kernel_size=3, strides=2, padding=same, activation=relu)(input)"
        " -> (None, 32, 32, 4) float32"
    )
    assert "concat2 = Concatenate()([upconv5, conv2]) -> (None, 16, 16, 12) float32" in lines
    assert lines[-1] == "outputs: upconv7"


def test_without_names_equal_structures_have_equal_texts():
    model = build("unet", (16, 16, 2), 1, filters=2, depth=1)
    renamed = keras.models.clone_model(
        model,
        clone_function=lambda layer: layer.__class__.from_config(
            {**layer.get_config(), "name": f"my_{layer.name}"}
        ),
    )
    one, two = read_graph(model), read_graph(renamed)
    assert text_of(one) != text_of(two)
    assert text_of(one, names=False) == text_of(two, names=False)
    other = read_graph(build("unet", (16, 16, 2), 1, "batch@post-activation", filters=2, depth=1))
    assert text_of(one, names=False) != text_of(other, names=False)


@pytest.mark.parametrize("name", zoo.ZOO)
def test_every_model_of_the_zoo_has_a_text_and_no_difference_from_itself(name):
    graph = read_graph(zoo.ZOO[name]())
    text = text_of(graph)
    assert all(node.name in text for node in graph.nodes)
    assert diff(graph, graph) == ""


def test_nested_models_are_indented():
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="d")], name="inner")
    inputs = keras.Input((4,), name="i")
    graph = read_graph(keras.Model(inputs, inner(inputs)))
    assert "  | d = Dense(units=3)" in text_of(graph)
    assert "  | " not in text_of(graph, inner=False)


def test_a_difference_names_what_is_new_gone_and_rewired():
    before = question()
    after = question(norm="batch@encoder:post-activation", dropout=0.5)
    lines = diff(before, after).splitlines()
    assert lines == [
        "~ dropout: rate=0.5 instead of rate=0.25",
        "~ concat2 reads [upconv5, conv2_norm] instead of [upconv5, conv2]",
        "~ concat1 reads [upconv6, conv1_norm] instead of [upconv6, conv1]",
    ]
    plain = question(norm="none")
    gone = diff(before, plain).splitlines()
    assert sum(line.startswith("- conv") for line in gone) == 5
    assert "~ conv2 reads conv1 instead of conv1_norm" in gone
    new = diff(plain, before).splitlines()
    assert sum(line.startswith("+ conv") for line in new) == 5


def test_a_difference_of_classes_shapes_and_outputs():
    def net(pool, units, last):
        inputs = keras.Input((8, 8, 2), name="i")
        x = pool(2, name="pool")(inputs)
        x = keras.layers.Conv2D(units, 1, name="c")(x)
        y = keras.layers.ReLU(name="r")(x)
        return read_graph(keras.Model(inputs, y if last else x))

    one = net(keras.layers.MaxPooling2D, 3, True)
    two = net(keras.layers.AveragePooling2D, 4, False)
    text = diff(one, two)
    assert "~ pool is AveragePooling2D instead of MaxPooling2D" in text
    assert "~ c: filters=4 instead of filters=3" in text
    assert "~ c makes (None, 4, 4, 4) float32 instead of (None, 4, 4, 3) float32" in text
    assert "- r = ReLU(" in text
    assert "~ outputs are c instead of r" in text


def test_a_difference_inside_a_nested_model_is_named_by_its_path():
    def net(units):
        inner = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(units, name="d")], name="inner"
        )
        inputs = keras.Input((4,), name="i")
        return read_graph(keras.Model(inputs, inner(inputs)))

    assert "~ inner/d: units=5 instead of units=3" in diff(net(3), net(5))

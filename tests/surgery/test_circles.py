"""Norms that read their own results: the statistics that are right for them, or a warning."""

import keras
import numpy as np
import pytest
from keras import layers

from normwise.norms import NormPlan
from normwise.surgery import passes
from normwise.surgery.circle import Circle
from normwise.surgery.fixed_point import FixedPoint
from normwise.surgery.place import place
from normwise.surgery.population import SETTLED
from normwise.surgery.recalibrate import recalibrate
from normwise.surgery.statistics import apply_statistics, input_statistics, population_statistics
from normwise.surgery.work import EditSettings
from tests.surgery.models import shaken
from tests.surgery.reference import normalize, population, relu

CALLS, WIDTH = 4, 3


def chained(seed=7, strength=1.0):
    """One norm behind each of four 1x1 convolutions in a row."""
    rng = np.random.default_rng(seed)
    inputs = x = keras.Input((4, 4, WIDTH))
    norm = layers.BatchNormalization(name="norm")
    for call in range(CALLS):
        x = layers.Conv2D(WIDTH, 1, name=f"c{call}")(x)
        x = layers.ReLU()(norm(x))
    model = keras.Model(inputs, x)
    for call in range(CALLS):
        kernel = rng.normal(0, strength, (1, 1, WIDTH, WIDTH))
        model.get_layer(f"c{call}").set_weights([kernel, rng.normal(0, 1, WIDTH)])
    gamma = rng.uniform(0.5, 1.5, WIDTH) * rng.choice([-1, 1], WIDTH)
    norm.set_weights([gamma, rng.normal(0, 0.5, WIDTH), np.zeros(WIDTH), np.ones(WIDTH)])
    return model


def images(seed=5):
    scale = np.array([0.5, 1.0, 3.0])
    values = np.random.default_rng(seed).normal(1, 2, (8, 4, 4, WIDTH)) * scale
    return values.astype("float32")


def read_by_norm(model, data, mean, variance):
    """All that the four calls read while the norm holds these statistics."""
    gamma, beta = model.get_layer("norm").get_weights()[:2]
    found, x = [], data.astype("float64")
    for call in range(CALLS):
        kernel, bias = model.get_layer(f"c{call}").get_weights()
        found.append(x @ kernel.astype("float64")[0, 0] + bias)
        x = relu(normalize(found[-1], mean, variance, gamma, beta))
    return population(np.concatenate(found))


def slowly(model, data, rounds=1200, share=0.05):
    """The same point by very small steps, which need no luck."""
    mean, variance = np.zeros(WIDTH), np.ones(WIDTH)
    for _ in range(rounds):
        m, v = read_by_norm(model, data, mean, variance)
        mean, variance = mean + share * (m - mean), variance + share * (v - variance)
    return mean, variance


@pytest.mark.backends
def test_a_norm_of_four_calls_in_a_row_holds_what_all_of_them_read_together():
    model, data = chained(), images()
    found = population_statistics(model, [data[:3], data[3:]])
    one = found.statistics["norm"]
    assert one.settled and one.count == CALLS * data[..., 0].size and not found.warnings()
    mean, variance = slowly(model, data)
    deviation = np.sqrt(variance)
    np.testing.assert_allclose(one.mean, mean, rtol=0, atol=3e-3 * deviation.max())
    np.testing.assert_allclose(np.sqrt(one.variance), deviation, rtol=3e-3)
    apply_statistics(model, found.statistics)
    again = input_statistics(model, [data], ["norm"]).statistics["norm"]
    np.testing.assert_allclose(again.mean, one.mean, rtol=0, atol=1e-3 * deviation.max())
    assert population_statistics(model, [data]).passes <= 2


def test_what_came_out_put_in_again_does_not_settle(monkeypatch):
    """Negative control: so it was before, ten times, and nobody was told."""
    monkeypatch.setattr(FixedPoint, "following", lambda self, point, image: image)
    monkeypatch.setattr(passes, "LOOPS", 10)
    found = population_statistics(chained(), [images()])
    assert not found.statistics["norm"].settled and found.warnings()


def test_what_has_not_settled_is_told_with_what_remains(monkeypatch):
    monkeypatch.setattr(passes, "LOOPS", 2)
    model, data = chained(), images()
    done = recalibrate(model, [data])
    (warning,) = [note for note in done.report.notes if note.startswith("warning")]
    assert warning.startswith("warning: norm reads its own results, and in 3 passes")
    assert "had not settled" in done.report.changed[0].action
    held = done.model.get_layer("norm").get_weights()[2:]
    mean, variance = read_by_norm(model, data, *(np.asarray(v, "float64") for v in held))
    moved = np.abs(mean - held[0]) / np.sqrt(variance + 1e-3)
    widened = np.abs(np.sqrt((held[1] + 1e-3) / (variance + 1e-3)) - 1)
    remaining = max(moved.max(), widened.max())
    told = float(warning.partition("still ")[2].split()[0])
    assert told == pytest.approx(remaining, rel=0.06) and told > SETTLED


def test_placing_tells_it_too(monkeypatch):
    monkeypatch.setattr(passes, "LOOPS", 1)
    done = place(
        chained(),
        NormPlan.parse("batch@post-activation"),
        EditSettings(keep=False),
        data=[images()],
    )
    assert [note for note in done.report.notes if "norm reads its own results" in note]


class Stack(layers.Layer):
    """A layer of a user's own with many norms, of which no graph shows which reads which."""

    def __init__(self, **config):
        super().__init__(**config)
        self.norms = [layers.BatchNormalization(name=f"n{index}") for index in range(12)]

    def build(self, shape):
        for norm in self.norms:
            norm.build(shape)

    def call(self, x):
        for norm in self.norms:
            x = keras.ops.tanh(norm(x))
        return x

    def compute_output_shape(self, shape):
        return shape


def test_many_norms_inside_of_one_layer_take_a_pass_each():
    inputs = keras.Input((4, 4, WIDTH))
    model = shaken(keras.Model(inputs, Stack(name="stack")(inputs)))
    data = images()
    found = population_statistics(model, [data])
    assert found.passes == 13 and all(one.settled for one in found.statistics.values())
    x = data.astype("float64")
    for norm in model.get_layer("stack").norms:
        mean, variance = population(x)
        one = found.statistics[f"stack/{norm.name}"]
        np.testing.assert_allclose(one.mean, mean, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(one.variance, variance, rtol=1e-3)
        gamma, beta = norm.get_weights()[:2]
        x = np.tanh(normalize(x, mean, variance, gamma, beta))


def test_a_channel_that_never_varies_settles():
    """Its deviation is the root of epsilon, and not nothing."""
    inputs = keras.Input((4, 4, WIDTH))
    norm = layers.BatchNormalization(name="norm", beta_initializer="ones")
    model = keras.Model(inputs, norm(layers.ReLU()(norm(inputs))))
    data = images()
    data[..., 1] = -7.0
    assert population_statistics(model, [data]).statistics["norm"].settled


def test_a_point_that_repels_is_found():
    turn = np.array([[0.0, -3.0], [3.0, 0.5]])
    wanted = np.linalg.solve(np.eye(2) - turn, np.array([1.0, 2.0]))
    search, point = FixedPoint(), wanted + np.array([0.1, -0.2])
    for _ in range(12):
        point = search.following(point, turn @ point + np.array([1.0, 2.0]))
    np.testing.assert_allclose(point, wanted, rtol=1e-6)
    point = wanted + np.array([0.1, -0.2])
    for _ in range(12):
        point = turn @ point + np.array([1.0, 2.0])
    assert np.abs(point - wanted).max() > 1e-3  # without it the way leads away


def test_what_a_circle_holds_survives_the_way_through_its_coordinates():
    norm = layers.BatchNormalization(epsilon=0.5)
    norm.build((None, 2))
    circle = Circle({"n": norm})
    held = {"n": circle._held["n"]}
    circle._scales = {"n": np.array([0.3, 7.0])}
    back = circle._parted(circle._joined(held), held)["n"]
    np.testing.assert_allclose(back.mean, held["n"].mean, atol=1e-12)
    np.testing.assert_allclose(back.variance, held["n"].variance, rtol=1e-12)

"""No pass holds more than one copy of a model at a time, nor arrays of all its weights."""

import weakref
from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

from normwise.graph.graph import freeze
from normwise.keras_format import read_graph, replayed
from normwise.keras_format.replay import replay
from normwise.keras_format.weights import Weights
from normwise.norms import NormPlan
from normwise.surgery import copying
from normwise.surgery import fold as folding
from normwise.surgery import recalibrate as recalibrating
from normwise.surgery.fold import fold
from normwise.surgery.place import place
from normwise.surgery.recalibrate import recalibrate
from normwise.surgery.work import EditSettings
from tests.surgery.models import inputs_of, shaken
from tests.zoo import conv, image


def network():
    inputs = image(4)
    x = layers.ReLU()(layers.BatchNormalization(name="back")(conv(4, name="a")(inputs)))
    x = layers.BatchNormalization(name="ahead")(x)  # its shift stays before the padding
    return shaken(keras.Model(inputs, conv(2, name="head")(layers.ReLU()(conv(4, name="b")(x)))))


@pytest.fixture
def copies(monkeypatch):
    """Every copy that a pass makes; when the next one is made, those before it are gone."""
    made = []

    def counted(*args, **kwargs):
        assert not [copy for copy in made if copy() is not None]
        copy = replay(*args, **kwargs)
        made.append(weakref.ref(copy.model))
        return copy

    for module in (folding, copying, recalibrating):
        monkeypatch.setattr(module, "replay", counted)
    return made


def test_a_fold_with_a_shift_that_stays_is_copied_once(copies):
    assert len(fold(network()).report.changed) == 2 and len(copies) == 1


def test_a_fold_of_norms_that_never_trained_is_copied_once(copies):
    """They shift nothing, so no bias and no shift is made for them."""
    inputs = image(4)
    x = layers.BatchNormalization(name="back")(conv(4, name="a", use_bias=False)(inputs))
    x = layers.BatchNormalization(name="ahead")(layers.ReLU()(x))
    done = fold(keras.Model(inputs, conv(2, name="head", use_bias=False)(x)))
    assert len(done.report.changed) == 2 and len(copies) == 1
    assert not done.model.get_layer("a").use_bias and not done.model.get_layer("head").use_bias


def test_a_fold_that_differs_with_other_statistics_is_copied_again(copies, monkeypatch):
    model = network()
    monkeypatch.setattr(folding, "_shifts", lambda trial, done: None)
    assert len(fold(model).report.changed) == 2 and len(copies) == 2


def test_shifts_are_told_from_other_differences():
    model = network()
    one, other = (
        folding._folded(read_graph(model), model, folding.other_statistics(model, seed)).graph
        for seed in (0, 1)
    )
    assert set(folding._shifts(one, other)) == {"ahead_shift"}
    assert folding._shifts(one, one) == {} and folding._shifts(read_graph(model), one) is None
    renamed = replace(one.nodes[2], config=freeze({**one.nodes[2].config, "use_bias": False}))
    changed = replace(one, nodes=(*one.nodes[:2], renamed, *one.nodes[3:]))
    assert folding._shifts(one, changed) is None


def test_a_fold_without_one_is_copied_once(copies):
    inputs = image(4)
    x = layers.BatchNormalization(name="back")(conv(4, name="a")(inputs))
    model = shaken(keras.Model(inputs, conv(2)(layers.ReLU()(x))))
    assert len(fold(model).report.changed) == 1 and len(copies) == 1


def test_a_placing_is_copied_once(copies):
    model = network()
    assert place(model, NormPlan.parse("batch@pre-activation")).report.changed
    assert len(copies) == 1


def test_a_placing_that_changes_the_outputs_and_standardizes_the_input(copies):
    model = network()
    plan = NormPlan.parse("standardize@input,batch@pre-activation")
    done = place(model, plan, EditSettings(keep=False), data=[inputs_of(model)])
    assert done.report.changed and len(copies) == 3


def test_a_recalibration_is_copied_once(copies):
    model = network()
    assert recalibrate(model, [inputs_of(model)]).report.changed and len(copies) == 1


def test_a_fold_holds_maps_of_channels_and_no_kernels():
    model = network()
    plan = folding._folded(read_graph(model), model, {}).plan
    assert set(plan.takes) == {"a", "b"}
    for takes in plan.takes.values():
        for take in takes:
            assert take.affine.scale.shape == take.affine.shift.shape == (4,)


class Alive:
    """Bytes of the arrays of weights that are alive at the same time."""

    def __init__(self):
        self.most, self.arrays, self.kept = 0, [], []

    def see(self, array, keep=False):
        self.kept += [array] if keep else []
        self.arrays = [a for a in self.arrays if a() is not None] + [weakref.ref(array)]
        self.most = max(self.most, sum(a().nbytes for a in self.arrays))
        return array


DEEP, WIDE = 6, 16


def heavy():
    inputs = x = image(WIDE)
    for _ in range(DEEP):
        x = layers.ReLU()(layers.BatchNormalization()(conv(WIDE)(x)))
    return shaken(keras.Model(inputs, conv(1, 1)(x)))


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("rewrite", [fold, lambda model: place(model, NormPlan.parse("none"))])
def test_arrays_of_one_layer_at_a_time(rewrite, keep, monkeypatch):
    """With the model and its copy (see above), no more than two copies of the weights exist."""
    alive, array, assign = Alive(), Weights.array, replayed.assign

    def counted(path, layer, values):
        assign(path, layer, {name: alive.see(value, keep) for name, value in values.items()})

    monkeypatch.setattr(Weights, "array", lambda self, v: alive.see(array(self, v), keep))
    monkeypatch.setattr(replayed, "assign", counted)
    model = heavy()
    assert len(rewrite(model).report.changed) == DEEP
    kernel = 3 * 3 * WIDE * WIDE * 4
    assert (alive.most < 3 * kernel) != keep  # one that is read, what is made of it, and vectors
    assert (alive.most > DEEP * kernel) == keep


@pytest.mark.backends
def test_values_for_an_assignment_are_independent_afterwards():
    source, other = conv(2), conv(2)
    for layer in (source, other):
        layer.build((None, 8, 8, 3))
    before = Weights({}).array(source.kernel)
    other.kernel.assign(Weights({}).value(source.kernel))
    other.kernel.assign_add(np.ones_like(before))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(source.kernel), before)
    source.kernel.assign(np.zeros_like(before))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(other.kernel), before + 1)

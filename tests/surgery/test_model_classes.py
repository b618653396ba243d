"""Reports say which models of a user's own class are plain ones afterwards."""

import keras
import pytest
from keras import layers

from normwise.surgery.fold import fold
from tests.surgery.contract import placed
from tests.surgery.models import fit_once, inputs_of, shaken
from tests.zoo import conv, image


class Plain(keras.Model):
    greeting = "hello"


class WithDefault(keras.Model):
    def __init__(self, inputs, outputs, alpha=0.5, **config):
        super().__init__(inputs=inputs, outputs=outputs, **config)
        self.alpha = alpha


class Nameless(layers.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), name="scale")

    def call(self, x):
        return x * self.scale

    def get_config(self):
        return {}


def ends():
    inputs = image(3)
    x = layers.BatchNormalization(name="norm")(conv(4, name="conv")(inputs))
    return inputs, Nameless(name="my_scale")(layers.ReLU()(x))


@pytest.mark.parametrize("rewrite", [fold, placed("batch@input")], ids=["fold", "place"])
@pytest.mark.parametrize("kind", [Plain, WithDefault])
def test_what_becomes_of_a_class_of_models(kind, rewrite):
    model = shaken(kind(*ends()))
    done = rewrite(model)
    assert (type(done.model) is kind) == (kind is Plain)
    notes = [note for note in done.report.notes if "is a plain functional model now" in note]
    assert len(notes) == (kind is WithDefault)
    assert all(kind.__name__ in note for note in notes)
    assert done.model.get_layer("my_scale") is not model.get_layer("my_scale")


@pytest.mark.parametrize("kind", [Plain, keras.Model])
def test_attributes_that_were_set_on_a_model_are_named_as_lost(kind):
    model = shaken(kind(*ends()))
    fit_once(model, inputs_of(model))
    told = placed("batch@input")(model).report.notes
    assert not any("attributes" in note for note in told)
    model.temperature, model.classes = 2.0, ["a", "b"]
    done = placed("batch@input")(model)
    (note,) = [note for note in done.report.notes if "attributes" in note]
    assert note.endswith("classes, temperature. Set them again where they are needed")

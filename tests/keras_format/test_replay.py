"""A replayed model is the source again, with weights of its own."""

import keras
import numpy as np
import pytest
from keras import layers

from normwise.errors import SurgeryError
from normwise.graph.free_size import freed
from normwise.keras_format import read_graph
from normwise.keras_format.replay import replay
from tests.surgery.models import fit_once, inputs_of, outputs_of, runs_here, shaken, weights_of
from tests.zoo import ZOO, conv, image

CORE = ["nested_twice", "sequential_in_functional", "dict_in_and_out", "all_norms", "free_size"]


def copy_of(model):
    return replay(read_graph(model), model).model


def assert_same(model, copy):
    inputs = inputs_of(model)
    for a, b in zip(outputs_of(model, inputs), outputs_of(copy, inputs), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ZOO)
def test_a_copy_of(name):
    model = shaken(ZOO[name]())
    before = weights_of(model)
    copy = copy_of(model)
    assert type(copy) is type(model) and copy.name == model.name
    assert not {id(v) for v in copy.variables} & {id(v) for v in model.variables}
    assert [v.name for v in copy.variables] == [v.name for v in model.variables]
    for a, b, c in zip(before, weights_of(model), weights_of(copy), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    assert [i.name for i in copy.inputs] == [i.name for i in model.inputs]
    if not isinstance(model, keras.Sequential):
        assert copy.output_names == model.output_names
        keras.tree.assert_same_structure(copy.input, model.input)
        keras.tree.assert_same_structure(copy.output, model.output)
    if runs_here(name):
        assert_same(model, copy)


@pytest.mark.backends
@pytest.mark.parametrize("name", CORE)
def test_training_the_copy_leaves_the_source_alone_and_usable(name):
    model = shaken(ZOO[name]())
    inputs, before = inputs_of(model), weights_of(model)
    copy = copy_of(model)
    # On TensorFlow one of them as Keras does by default; tracing takes longer than the step.
    eagerly = keras.backend.backend() == "tensorflow" and name != CORE[0]
    fit_once(copy, inputs, eagerly=eagerly)
    for a, b in zip(before, weights_of(model), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(before, weights_of(copy), strict=True))
    after = weights_of(copy)
    fit_once(model, inputs, eagerly=eagerly)  # on JAX a shared buffer would be gone by now
    for a, b in zip(after, weights_of(copy), strict=True):
        np.testing.assert_array_equal(a, b)


def test_trainable_flags_survive_at_every_level():
    model = ZOO["nested_in_nested"]()
    model.get_layer("outer").get_layer("inner").trainable = False
    model.get_layer("outer").get_layer("first").get_layer("norm").trainable = False
    copy = copy_of(model)
    told = [layer.trainable for layer in model._flatten_layers()]
    assert [layer.trainable for layer in copy._flatten_layers()] == told and not all(told)
    assert len(copy.trainable_variables) == len(model.trainable_variables)
    model.trainable = False
    assert not copy_of(model).trainable


def test_an_adapted_normalization_keeps_its_statistics():
    inputs = image(3)
    adapted = layers.Normalization()
    adapted.adapt(np.random.default_rng(0).normal(5, 3, (4, 8, 8, 3)).astype("float32"))
    model = keras.Model(inputs, conv(1)(adapted(inputs)))
    assert_same(model, copy_of(model))


def test_optional_inputs_stay_optional():
    first, second = image(2, name="first"), keras.Input((16, 16, 2), name="second", optional=True)

    class AddIfThere(layers.Layer):
        def call(self, x, y=None):
            return x if y is None else x + y

    model = keras.Model([first, second], conv(1)(AddIfThere()(first, second)))
    copy = copy_of(model)
    x = np.ones((1, 16, 16, 2), "float32")
    for given in ([x, x], [x, None]):
        for a, b in zip(outputs_of(model, given), outputs_of(copy, given), strict=True):
            np.testing.assert_array_equal(a, b)


def test_masks_and_constants_in_calls():
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(9, 4, mask_zero=True)(inputs)
    x = layers.LSTM(3, return_sequences=True)(x)
    x = layers.MultiHeadAttention(2, 2)(x, x, use_causal_mask=True)
    model = keras.Model(inputs, layers.Dense(1)(layers.GlobalAveragePooling1D()(x)))
    copy = copy_of(model)
    given = np.array([[1, 2, 0, 0, 0, 0], [3, 4, 5, 6, 7, 8]], "int32")
    np.testing.assert_array_equal(outputs_of(model, given)[0], outputs_of(copy, given)[0])


def test_random_state_rematerialization_and_mixed_policies_are_copied():
    with keras.RematScope(mode="full"):
        remembered = conv(4, name="remembered")
    inputs = image(3)
    x = layers.Dropout(0.5, seed=3)(remembered(inputs))
    x = layers.Conv2D(2, 1, dtype="mixed_bfloat16", name="half")(x)
    model = keras.Model(inputs, x)
    model(np.ones((1, 16, 16, 3), "float32"), training=True)  # moves the seed generator on
    copy = copy_of(model)
    assert copy.get_layer("remembered")._remat_mode.mode == "full"
    assert copy.get_layer("half").dtype_policy.name == "mixed_bfloat16"
    for a, b in zip(weights_of(model), weights_of(copy), strict=True):
        np.testing.assert_array_equal(a, b)


def swish_like(x):
    return x * keras.ops.sigmoid(2 * x)


class Scaled(layers.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), name="scale")

    def call(self, x):
        return x * self.scale

    def compute_output_shape(self, shape):
        return shape


def test_unregistered_functions_and_classes_need_no_registration():
    inputs = image(3)
    x = Scaled(name="scaled")(conv(4, activation=swish_like)(inputs))
    model = keras.Model(inputs, layers.TimeDistributed(Scaled())(x))
    assert_same(model, copy_of(model))


def scaled(factor):
    def bend(x):
        return keras.ops.tanh(factor * x)

    return bend


def test_functions_are_those_of_the_source_whatever_their_names():
    inputs = keras.Input((5, 3))
    x = layers.Dense(4, activation=keras.ops.gelu, name="approximate")(inputs)
    x = layers.Dense(4, activation=scaled(3), name="dense")(x)
    gates = {"activation": scaled(1), "recurrent_activation": scaled(2)}
    model = keras.Model(inputs, layers.LSTM(3, **gates, name="series")(x))
    copy = copy_of(model)
    assert_same(model, copy)
    for name in ("approximate", "dense", "series"):
        assert copy.get_layer(name).activation is model.get_layer(name).activation


class OwnDense(layers.Dense):
    """Of its activation it takes a text alone."""

    @classmethod
    def from_config(cls, config):
        assert isinstance(config["activation"], str)
        return super().from_config(config)


def test_classes_of_a_user_get_what_their_configuration_says():
    inputs = image(3)
    model = keras.Model(inputs, OwnDense(4, activation="relu")(inputs))
    assert_same(model, copy_of(model))


class Unnamed(layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],))  # Keras makes up another name each time

    def call(self, x):
        return x * self.factor


def test_weights_without_a_name_are_copied():
    inputs = image(3)
    model = keras.Model(inputs, Unnamed()(Unnamed()(inputs)))
    assert_same(model, copy_of(model))


def test_a_layer_shared_by_two_levels_stays_shared():
    inputs = image(3)
    shared = conv(3, name="shared")
    inner = keras.Model(inputs, shared(inputs), name="inner")
    outside = image(3)
    model = keras.Model(outside, shared(inner(outside)))
    copy = copy_of(model)
    assert copy.get_layer("shared") is copy.get_layer("inner").get_layer("shared")
    assert len(copy.variables) == len(model.variables)


def test_a_layer_that_cannot_be_copied_is_named():
    class Stubborn(layers.Layer):
        def __init__(self, thing, **config):
            super().__init__(**config)
            self.thing = thing

        def build(self, shape):
            self.w = self.add_weight(shape=(1,), name="w")

        def call(self, x):
            return x * self.w

    inputs = image(3)
    model = keras.Model(inputs, Stubborn(object(), name="stubborn")(inputs))
    with pytest.raises(SurgeryError, match=r"'stubborn' of class Stubborn .* get_config"):
        copy_of(model)


def test_an_unbuilt_sequential_is_refused():
    with pytest.raises(SurgeryError, match="isn't built"):
        copy_of(keras.Sequential([conv(2)], name="bare"))


def test_a_chain_longer_than_pythons_stack():
    inputs = keras.Input((2,))
    x = inputs
    for _ in range(150):
        x = layers.Dense(2)(x)
    model = keras.Model(inputs, x)
    assert_same(model, copy_of(model))


def test_save_and_load_of_a_copy(tmp_path):
    model = shaken(ZOO["nested_dictionaries"]())
    copy_of(model).save(tmp_path / "copy.keras")
    assert_same(model, keras.saving.load_model(tmp_path / "copy.keras"))


class Nameless(Scaled):
    def get_config(self):
        return {}


def test_a_layer_whose_configuration_lacks_the_name_keeps_it():
    inputs = image(3)
    x = layers.BatchNormalization(name="norm")(conv(4, name="conv")(inputs))
    model = keras.Model(inputs, Nameless(name="my_scale")(layers.ReLU()(x)))
    copy = copy_of(model)
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    assert_same(model, copy)
    assert copy.get_layer("my_scale") is not model.get_layer("my_scale")


class Plain(keras.Model):
    greeting = "hello"


class WithDefault(keras.Model):
    def __init__(self, inputs, outputs, alpha=0.5, **config):
        super().__init__(inputs=inputs, outputs=outputs, **config)
        self.alpha = alpha


class WithArgument(keras.Model):
    def __init__(self, inputs, outputs, alpha):
        super().__init__(inputs=inputs, outputs=outputs)
        self.alpha = alpha


class WithFirst(keras.Model):
    def __init__(self, alpha, *args, **config):
        super().__init__(*args, **config)
        self.alpha = alpha


class WithoutName(keras.Model):
    def __init__(self, inputs, outputs):
        super().__init__(inputs=inputs, outputs=outputs)


def ends():
    inputs = image(3)
    return inputs, layers.BatchNormalization(name="norm")(conv(4, name="conv")(inputs))


def test_a_model_class_without_arguments_of_its_own_is_kept():
    model = Plain(*ends())
    done = replay(read_graph(model), model)
    assert type(done.model) is Plain and not done.notes


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (WithDefault, lambda: WithDefault(*ends(), alpha=0.9)),
        (WithArgument, lambda: WithArgument(*ends(), 0.9)),
        (WithFirst, lambda: WithFirst(0.9, *ends())),
        (WithoutName, lambda: WithoutName(*ends())),
    ],
)
def test_a_model_class_with_arguments_of_its_own_becomes_a_plain_model_and_that_is_said(
    kind, given
):
    model = given()
    done = replay(read_graph(model), model)
    assert type(done.model) is type(keras.Model(*ends())) and done.model.name == model.name
    (note,) = done.notes
    assert kind.__name__ in note and "plain" in note


def test_a_layer_that_also_stands_inside_a_wrapper_is_refused():
    series, single = keras.Input((7, 3)), keras.Input((3,))
    shared, other = layers.Dense(5, name="shared"), layers.Dense(5, name="other")
    wrapped = layers.TimeDistributed(shared, name="each")(series)
    with pytest.raises(SurgeryError, match=r"'(each|shared)' and '(each|shared)' share the weight"):
        copy_of(keras.Model([series, single], [wrapped, shared(single)]))
    apart = keras.Model([series, single], [wrapped, other(single)])
    assert_same(apart, copy_of(apart))


@pytest.mark.backends
@pytest.mark.parametrize("first", ["copied", "called", "a layer too"])
def test_an_activation_with_weights_that_several_layers_apply_stays_one(first):
    inputs, bend = image(3), layers.PReLU(alpha_initializer="uniform", name="bend")
    x = conv(4, activation=bend, name="b")(conv(4, activation=bend, name="a")(inputs))
    x = bend(x) if first == "a layer too" else x
    x = conv(4, activation=layers.PReLU(alpha_initializer="uniform"), name="own")(x)
    model = keras.Model(inputs, layers.Activation(bend, name="c")(x))
    if first == "called":
        inputs_of(model)  # its weights are made in the first call with numbers
    copy = copy_of(model)
    a, b, c, own = (copy.get_layer(name).activation for name in ("a", "b", "c", "own"))
    assert a is b and a is c and a is not own and a is not bend
    assert len(copy.weights) == len(model.weights) == 8
    assert_same(model, copy)
    if first == "called":
        before = weights_of(model)
        fit_once(copy, inputs_of(model))
        for old, now in zip(before, weights_of(model), strict=True):
            np.testing.assert_array_equal(old, now)


def test_a_layer_inside_two_wrappers_is_refused():
    series = keras.Input((7, 3))
    shared = layers.Dense(3, name="shared")
    x = layers.TimeDistributed(shared, name="first")(series)
    model = keras.Model(series, layers.TimeDistributed(shared, name="second")(x))
    with pytest.raises(SurgeryError, match="'first' and 'second' share the weight"):
        copy_of(model)


def test_a_wrapper_that_is_called_twice_stays_one():
    series = keras.Input((7, 3))
    wrapper = layers.TimeDistributed(layers.Dense(3), name="each")
    model = keras.Model(series, wrapper(wrapper(series)))
    assert len(copy_of(model).variables) == 2
    assert_same(model, copy_of(model))


@pytest.mark.backends
def test_copies_keep_their_initializers_though_none_of_them_runs():
    class Counted(keras.initializers.GlorotUniform):
        runs = 0

        def __call__(self, *args, **kwargs):
            Counted.runs += 1
            return super().__call__(*args, **kwargs)

    inputs = image(3)
    x = conv(4, kernel_initializer=Counted(seed=1), name="a")(inputs)
    x = layers.SeparableConv2D(4, 3, depthwise_initializer=Counted(seed=2), name="b")(x)
    model = shaken(keras.Model(inputs, layers.Dense(2, bias_initializer="ones", name="c")(x)))
    before = Counted.runs
    copy = copy_of(model)
    assert Counted.runs == before == 2
    assert_same(model, copy)
    for name in "abc":
        told, found = (m.get_layer(name).get_config() for m in (model, copy))
        assert found == told


@pytest.mark.parametrize("name", ["sequential", "functional", "nested"])
def test_an_input_may_have_another_shape_than_that_of_the_source(name):
    inputs = keras.Input((8, 8, 3), name="pixels")
    if name == "sequential":
        model = keras.Sequential([inputs, conv(2)])
    elif name == "functional":
        model = keras.Model(inputs, conv(2)(inputs))
    else:
        inner = keras.Input((8, 8, 3))
        shared = keras.Model(inner, conv(3)(inner), name="shared")
        model = keras.Model(inputs, shared(shared(inputs)))
    copy = replay(freed(read_graph(model)), model).model
    assert copy.input_shape == (None, None, None, 3) != model.input_shape
    assert copy.inputs[0].name == model.inputs[0].name
    assert len(copy.variables) == len(model.variables) == 2
    image = np.random.default_rng(0).normal(size=(1, 12, 9, 3)).astype("float32")
    (found,) = outputs_of(copy, image)
    (wanted,) = outputs_of(model, image[:, :8, :8])
    np.testing.assert_allclose(found[:, :6, :6], wanted[:, :6, :6], rtol=1e-5, atol=1e-6)

"""Population statistics of whole networks, against networks in plain NumPy."""

import keras
import numpy as np
import pytest
from keras import layers

from normwise.errors import DataError, NormwiseError
from normwise.surgery.batches import Missing
from normwise.surgery.fold import fold
from normwise.surgery.population import MeasureSettings
from normwise.surgery.recalibrate import recalibrate
from normwise.surgery.statistics import (
    apply_statistics,
    batch_norms,
    input_statistics,
    population_statistics,
)
from normwise.surgery.taps import as_array
from tests.surgery.randomize import randomize
from tests.surgery.reference import normalize, population, relu

RNG = np.random.default_rng(11)
FAST = MeasureSettings(fast=True)


def images(count=12, size=8, channels=3, centre=2.0):
    drift = np.linspace(-1, 1, count)[:, None, None, None]
    return (RNG.normal(centre, 1, (count, size, size, channels)) + 3 * drift).astype(np.float32)


def pointwise(axis=-1, size=8, dtype=None, **config):
    """Three 1x1 convolutions, each with a norm: NumPy can follow it without a convolution."""
    first = axis == 1
    form = {"data_format": "channels_first" if first else "channels_last", "dtype": dtype}
    inputs = keras.Input((3, size, size) if first else (size, size, 3))
    x = inputs
    for index, filters in enumerate((4, 5, 6)):
        x = layers.Conv2D(filters, 1, name=f"conv{index}", **form)(x)
        x = layers.BatchNormalization(axis=axis, name=f"norm{index}", dtype=dtype, **config)(x)
        x = layers.ReLU(name=f"relu{index}", dtype=dtype)(x)
    return randomize(keras.Model(inputs, x))


def followed(model, values, valid=None):
    """What each norm of `pointwise` should hold, from all values at once."""
    found, x = {}, values.astype(np.float64)
    for index in range(3):
        kernel, bias = model.get_layer(f"conv{index}").get_weights()
        x = x @ kernel.astype(np.float64)[0, 0] + bias
        found[f"norm{index}"] = population(x, valid)
        gamma, beta = model.get_layer(f"norm{index}").get_weights()[:2]
        x = relu(normalize(x, *found[f"norm{index}"], gamma, beta))
    return found


def weights(model):
    return [np.array(keras.ops.convert_to_numpy(v)) for v in model.variables]


def assert_same(found, expected, rtol=1e-4):
    assert set(found) == set(expected)
    for path, (mean, variance) in expected.items():
        deviation = np.sqrt(variance).max() + 1e-12
        np.testing.assert_allclose(found[path].mean, mean, rtol=rtol, atol=rtol * deviation)
        np.testing.assert_allclose(found[path].variance, variance, rtol=10 * rtol)


@pytest.mark.backends
def test_exact_statistics_are_those_of_everything_at_once():
    model, data = pointwise(), images()
    before = weights(model)
    found = population_statistics(model, [data[:5], data[5:6], data[6:]])
    assert (found.passes, found.samples) == (3, 12)
    assert_same(found.statistics, followed(model, data))
    for old, new in zip(before, weights(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_statistics_of_one_pass_through_the_old_model_are_wrong():
    """Negative control: without the recalibrated norms before it, a norm gets other numbers."""
    model, data = pointwise(), images()
    stale = input_statistics(model, [data], ["norm0", "norm1", "norm2"]).statistics
    expected = followed(model, data)
    np.testing.assert_allclose(stale["norm0"].mean, expected["norm0"][0], rtol=1e-4, atol=1e-4)
    with pytest.raises(AssertionError):
        assert_same(stale, expected)


@pytest.mark.backends
def test_fast_statistics_agree_for_one_batch_and_differ_for_several():
    model, data = pointwise(), images()
    exact = followed(model, data)
    once = population_statistics(model, iter([data]), settings=FAST)
    assert once.passes == 1
    assert_same(once.statistics, exact)
    split = population_statistics(model, [data[:6], data[6:]], settings=FAST).statistics
    assert_same({"norm0": split["norm0"]}, {"norm0": exact["norm0"]})
    with pytest.raises(AssertionError):
        assert_same(split, exact, rtol=1e-2)


def test_applied_statistics_are_a_fixed_point():
    model, data = pointwise(), images()
    apply_statistics(model, population_statistics(model, [data]).statistics)
    again = input_statistics(model, [data], ["norm0", "norm1", "norm2"]).statistics
    for name, layer in batch_norms(model).items():
        mean, variance = (keras.ops.convert_to_numpy(v) for v in layer.weights[2:4])
        np.testing.assert_allclose(mean, again[name].mean, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(variance, again[name].variance, rtol=1e-3)


@pytest.mark.backends
def test_channels_first():
    if keras.backend.backend() == "tensorflow":
        pytest.skip("TensorFlow has no channels_first convolution on a CPU")
    model, data = pointwise(axis=1), images()
    data[2, 3, 4] = np.nan
    found = population_statistics(model, [np.moveaxis(data, -1, 1)])
    valid = ~np.isnan(data).all(axis=-1)
    assert_same(found.statistics, followed(model, np.nan_to_num(data), valid))


@pytest.mark.backends
def test_mixed_precision_is_measured_in_float32():
    data = images()
    model = pointwise(dtype=keras.dtype_policies.DTypePolicy("mixed_bfloat16"))
    found = population_statistics(model, [data[:7], data[7:]]).statistics
    assert_same(found, followed(model, data), rtol=0.03)
    assert all(p.mean.dtype == np.float64 for p in found.values())


def test_renormalization_gets_the_same_population_everywhere():
    model, data = pointwise(renorm=True), images()
    found = population_statistics(model, [data]).statistics
    assert_same(found, followed(model, data))
    apply_statistics(model, found)
    layer = model.get_layer("norm1")
    deviation = np.sqrt(found["norm1"].variance + layer.epsilon)
    for variable in (layer.moving_stddev, layer.renorm_stddev):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), deviation, rtol=1e-6)
    for variable in (layer.moving_mean, layer.renorm_mean):
        mean = keras.ops.convert_to_numpy(variable)
        np.testing.assert_allclose(mean, found["norm1"].mean, rtol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow only")
def test_a_synchronized_norm_is_measured_like_any_other():
    model, data = pointwise(synchronized=True), images()
    assert_same(population_statistics(model, [data]).statistics, followed(model, data))


@pytest.mark.parametrize("nodata", [None, -9999.0])
def test_pixels_without_measurement_are_left_out(nodata):
    model, data = pointwise(), images()
    valid = RNG.random(data.shape[:3]) > 0.3
    clean = np.where(valid[..., None], data, 0)
    data = np.where(valid[..., None], data, np.nan if nodata is None else nodata)
    missing = MeasureSettings(missing=Missing(nodata, fill=(1.0, 2.0, 3.0)))
    found = population_statistics(model, [data[:5], data[5:]], settings=missing).statistics
    assert_same(found, followed(model, clean, valid))
    with pytest.raises(AssertionError):
        assert_same(found, followed(model, clean))


def test_a_coarse_feature_counts_if_the_pixel_under_its_centre_does():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="down")(inputs)
    model = randomize(keras.Model(inputs, layers.BatchNormalization(name="norm")(x)))
    data = images()
    data[:, :, 5:] = np.nan
    settings = MeasureSettings(missing=Missing(fill=1.5))
    found = population_statistics(model, [data], settings=settings)
    seen = np.where(np.isnan(data), np.float32(1.5), data)
    features = keras.ops.convert_to_numpy(model.get_layer("down")(seen))
    valid = ~np.isnan(data[:, 1::2, 1::2, 0])
    assert_same(found.statistics, {"norm": population(features, valid)})
    with pytest.raises(AssertionError):
        assert_same(found.statistics, {"norm": population(features)})


def windows():
    inputs = keras.Input((8, 8, 3))
    x = keras.ops.reshape(inputs, (-1, 4, 4, 3))
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3, padding="same")(x))
    return randomize(keras.Model(inputs, keras.ops.reshape(x, (-1, 8, 8, 4))))


@pytest.mark.parametrize("fast", [False, True])
def test_missing_pixels_of_a_network_that_moves_space_into_the_batch(fast):
    data, settings = images(), MeasureSettings(fast)
    found = population_statistics(windows(), [data], settings=settings)
    assert found.statistics["norm"].count == data[..., 0].size
    data[0, :3, :3] = np.nan
    with pytest.raises(DataError, match="'norm' reads 48 samples of a batch of 12") as told:
        recalibrate(windows(), [data], settings)
    assert "\n" not in str(told.value)


def test_positions_that_a_keras_mask_hides_are_left_out():
    inputs = keras.Input((7,), dtype="int32")
    x = layers.Embedding(9, 4, mask_zero=True, name="words")(inputs)
    model = randomize(keras.Model(inputs, layers.BatchNormalization(name="norm")(x)))
    words = RNG.integers(0, 4, (6, 7))
    found = population_statistics(model, [words[:2], words[2:]]).statistics
    table = model.get_layer("words").get_weights()[0]
    assert_same(found, {"norm": population(table[words], words != 0)})


def test_nested_and_shared_norms_have_one_path():
    inner_in = keras.Input((None, None, 4))
    inner = keras.Model(inner_in, layers.BatchNormalization(name="norm")(inner_in), name="inner")
    inputs = keras.Input((8, 8, 3))
    left, right = (layers.Conv2D(4, 1, name=name)(inputs) for name in ("left", "right"))
    merged = layers.Add()([inner(left), inner(right)])
    model = randomize(keras.Model(inputs, layers.BatchNormalization(name="last")(merged)))
    data = images()
    found = population_statistics(model, [data[:3], data[3:]])
    assert list(found.statistics) == ["inner/norm", "last"]
    assert found.passes == 2
    sides = [keras.ops.convert_to_numpy(model.get_layer(n)(data)) for n in ("left", "right")]
    both = np.concatenate(sides)
    assert_same({"n": found.statistics["inner/norm"]}, {"n": population(both)})
    assert found.statistics["inner/norm"].count == 2 * 12 * 64


@pytest.mark.parametrize("fast", [False, True])
def test_a_norm_of_two_models_is_measured_at_all_of_its_calls(fast):
    """It has a path in each of them, and its calls are under both."""
    shared = layers.BatchNormalization(name="norm")
    inner_in = keras.Input((None, None, 4))
    inner = keras.Model(inner_in, shared(inner_in), name="inner")
    inputs = keras.Input((8, 8, 3))
    left, right = (layers.Conv2D(4, 1, name=name)(inputs) for name in ("left", "right"))
    model = randomize(keras.Model(inputs, layers.Add()([inner(left), shared(right)])))
    data, pixels = images(), 12 * 8 * 8
    found = population_statistics(model, [data], settings=MeasureSettings(fast=fast)).statistics
    sides = [keras.ops.convert_to_numpy(model.get_layer(n)(data)) for n in ("left", "right")]
    both = population(np.concatenate(sides))
    (one,) = found.values()
    assert_same({"norm": one}, {"norm": both})
    assert one.count == 2 * pixels
    for path in ("norm", "inner/norm"):
        assert_same(input_statistics(model, [data], [path]).statistics, {path: both})


def test_a_norm_that_reads_its_own_result_settles():
    inputs = keras.Input((8, 8, 3))
    shared = layers.BatchNormalization(name="shared")
    x = layers.ReLU()(shared(layers.Conv2D(3, 1, name="a")(inputs)))
    model = randomize(keras.Model(inputs, shared(layers.Conv2D(3, 1, name="b")(x))))
    data = images()
    found = population_statistics(model, [data])
    assert found.statistics["shared"].settled
    assert found.passes > 2
    apply_statistics(model, found.statistics)
    again = input_statistics(model, [data], ["shared"]).statistics["shared"]
    np.testing.assert_allclose(found.statistics["shared"].mean, again.mean, atol=1e-3)
    np.testing.assert_allclose(found.statistics["shared"].variance, again.variance, rtol=1e-3)


class Block(keras.layers.Layer):
    """A layer of a user's own, with norms that no graph shows."""

    names = ("first", "second")

    def __init__(self, **config):
        super().__init__(**config)
        self.first, self.second = (layers.BatchNormalization(name=name) for name in self.names)

    def build(self, shape):
        self.first.build(shape)
        self.second.build(shape)

    def call(self, x):
        return self.second(keras.ops.relu(self.first(x)))

    def compute_output_shape(self, shape):
        return shape


def test_norms_inside_a_layer_of_ones_own():
    inputs = keras.Input((8, 8, 3))
    model = randomize(keras.Model(inputs, Block(name="block")(inputs)))
    data = images()
    found = population_statistics(model, [data[:6], data[6:]]).statistics
    gamma, beta = model.get_layer("block").first.get_weights()[:2]
    first = population(data)
    second = population(relu(normalize(data, *first, gamma, beta)))
    assert_same(found, {"block/first": first, "block/second": second})


class Namesakes(Block):
    """The same, both norms of one name."""

    names = ("bn", "bn")


@pytest.mark.parametrize("fast", [False, True])
def test_norms_of_one_name_inside_a_layer_of_ones_own(fast):
    inputs = keras.Input((8, 8, 3))
    model = randomize(keras.Model(inputs, Namesakes(name="block")(inputs)))
    data, block = images(), model.get_layer("block")
    assert batch_norms(model) == {"block/bn": block.first, "block/bn:1": block.second}
    gamma, beta = block.first.get_weights()[:2]
    first = population(data)
    second = population(relu(normalize(data, *first, gamma, beta)))
    expected = {"block/bn": first, "block/bn:1": second}
    measured = population_statistics(model, [data], None, MeasureSettings(fast))
    assert_same(measured.statistics, expected)
    recalibrated = recalibrate(model, [data], MeasureSettings(fast))
    assert [change.layer for change in recalibrated.report.changed] == list(expected)
    found = [norm.get_weights()[2:4] for norm in batch_norms(recalibrated.model).values()]
    for held, (mean, variance) in zip(found, expected.values(), strict=True):
        np.testing.assert_allclose(held[0], mean, rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(held[1], variance, rtol=1e-3)
    assert [skip.layer for skip in fold(model).report.skipped] == list(expected)


class Spare(Block):
    """A norm that is used on demand only, built or not."""

    def __init__(self, builds=False, **config):
        super().__init__(**config)
        self.builds = builds

    def build(self, shape):
        self.first.build(shape)
        if self.builds:
            self.second.build(shape)

    def call(self, x):
        return self.first(x)

    def get_config(self):
        return {**super().get_config(), "builds": self.builds}


@pytest.mark.parametrize("builds", [False, True])
@pytest.mark.parametrize("fast", [False, True])
def test_norms_that_are_never_called(builds, fast):
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="plain")(Spare(builds, name="block")(inputs))
    x = layers.BatchNormalization(name="last")(layers.Conv2D(4, 1, name="conv")(x))
    model = randomize(keras.Model(inputs, x))
    called, spare = ["block/first", "plain", "last"], ["block/second"] if builds else []
    settings = MeasureSettings(fast)
    measured = population_statistics(model, [images()], settings=settings)
    assert sorted(measured.statistics) == sorted(called) and list(measured.uncalled) == spare
    report = recalibrate(model, [images()], settings).report
    assert sorted(change.layer for change in report.changed) == sorted(called)
    assert [(skip.layer, skip.reason) for skip in report.skipped] == [
        (path, "it is never called") for path in spare
    ]
    report = fold(model).report
    assert [change.layer for change in report.changed] == ["plain", "last"]
    assert {"block/first", *spare} <= {skip.layer for skip in report.skipped}


@pytest.mark.parametrize("extra", [{}, {"label": np.zeros(4)}])
def test_arrays_by_the_names_of_inputs_in_any_order(extra):
    a, b = keras.Input((4,), name="a"), keras.Input((2,), name="b")
    x = layers.Concatenate()([layers.BatchNormalization(name="norm")(b), a])
    data = {"a": RNG.normal(size=(4, 4)), "b": RNG.normal(3, 1, (4, 2)).astype("float32"), **extra}
    expected = {"norm": population(data["b"])}
    assert_same(population_statistics(keras.Model([b, a], x), [data]).statistics, expected)
    one = keras.Model(b, layers.BatchNormalization(name="norm")(b))
    own = {"b": data["b"], **extra}
    assert_same(population_statistics(one, [own]).statistics, expected)
    data.pop("b")
    with pytest.raises(DataError):
        population_statistics(keras.Model([b, a], x), [data])


def test_arrays_by_the_names_of_inputs_or_by_the_keys_that_a_model_takes_them_by():
    a, b = keras.Input((4,), name="first"), keras.Input((2,), name="second")
    x = layers.Concatenate()([layers.BatchNormalization(name="norm")(b), a])
    model = keras.Model({"a": a, "b": b}, x)
    one, two = RNG.normal(size=(4, 4)), RNG.normal(3, 1, (4, 2)).astype("float32")
    expected = {"norm": population(two)}
    for given in ({"b": two, "a": one, "label": one}, {"second": two, "first": one}):
        assert_same(population_statistics(model, [given]).statistics, expected)
    for other, said in (([one, two], "list"), ({"a": one}, r"\['a'\]")):
        with pytest.raises(DataError, match=rf"batch 0.*by the names \['a', 'b'\], got {said}"):
            population_statistics(model, [other])
    with pytest.raises(DataError, match=r"names \['first', 'second'\], got \['a', 'b'\]"):
        population_statistics(keras.Model([a, b], x), [{"a": one, "b": two}])


def test_an_optional_input_may_be_left_out():
    a, b = keras.Input((4,)), keras.Input((4,), optional=True, name="more")
    x = layers.BatchNormalization(name="norm")(MaybeSum()([a, b]))
    model = keras.Model([a, b], x)
    one, two = (RNG.normal(size=(4, 4)).astype("float32") for _ in range(2))
    found = population_statistics(model, [[one, None], [one, two]])
    assert found.samples == 8
    assert_same(found.statistics, {"norm": population(np.concatenate([one, one + two]))})
    with pytest.raises(DataError, match="batch 0: None, but input"):
        population_statistics(model, [[None, two]])


class MaybeSum(layers.Layer):
    def call(self, inputs):
        one, more = inputs
        return one if more is None else one + more


def test_time_distributed():
    inputs = keras.Input((3, 8, 8, 2))
    each = layers.TimeDistributed(layers.BatchNormalization(name="norm"), name="each")
    model = randomize(keras.Model(inputs, each(inputs)))
    data = RNG.normal(size=(5, 3, 8, 8, 2)).astype(np.float32)
    found = population_statistics(model, [data]).statistics
    assert_same(found, {"each/norm": population(data)})


def test_a_tensor_without_values_names_its_layer():
    """Inside a loop that a backend compiles, tensors have no values to measure."""
    with pytest.raises(NormwiseError, match="layer 'each/norm' runs inside a loop"):
        as_array(keras.Input((3,)), "each/norm")


def test_a_call_in_training_mode_moves_nothing():
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="always")(inputs, training=True)
    model = randomize(keras.Model(inputs, layers.BatchNormalization(name="last")(x)))
    before = weights(model)
    population_statistics(model, [images()], layers=["last"])
    input_statistics(model, [images()], layers=["last"])
    for old, new in zip(before, weights(model), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("fast", [False, True])
def test_an_interruption_leaves_the_model_as_it_was(fast):
    model, data = pointwise(), images()
    before, expected = weights(model), model(data)

    class Stops:
        passes = 0

        def __iter__(self):
            self.passes += 1
            yield data
            if fast or self.passes == 2:
                raise KeyboardInterrupt
            yield data

    with pytest.raises(KeyboardInterrupt):
        population_statistics(model, Stops(), settings=MeasureSettings(fast=fast))
    for old, new in zip(before, weights(model), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(y) for y in (expected, model(data))))


def test_several_inputs():
    first, second = keras.Input((8, 8, 3), name="a"), keras.Input((4, 4, 2), name="b")
    norms = [layers.BatchNormalization(name=f"n{t.name}")(t) for t in (first, second)]
    model = keras.Model({"a": first, "b": second}, norms)
    a, b = images(), images(size=4, channels=2)
    b[:, :2] = np.nan
    batches = [{"a": a[:4], "b": b[:4]}, {"a": a[4:], "b": b[4:]}]
    found = population_statistics(model, batches).statistics
    assert_same(found, {"na": population(a[:, 4:]), "nb": population(b[:, 2:])})


def test_batches_that_do_not_know_how_many_they_are():
    class Dataset:
        def __iter__(self):
            return iter([data])

        def __len__(self):
            raise TypeError("the dataset length is unknown")

    model, data = pointwise(), images()
    assert_same(population_statistics(model, Dataset()).statistics, followed(model, data))


def test_an_array_of_all_samples_is_cut_into_batches():
    model, data = pointwise(), images(20)
    found = population_statistics(model, data)
    assert found.samples == 20
    assert_same(found.statistics, followed(model, data))


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        (lambda d: iter([d]), "can be read only once.*fast=True"),
        (lambda d: (x for x in [d]), "generator can be read only once"),
        (lambda d: "images", "expected an iterable of arrays"),
        (lambda d: [], "there is none"),
        (lambda d: [(d, d)], "2 arrays, but the model has 1 input.*without labels"),
        (lambda d: [d[..., :2]], r"shape \(12, 8, 8, 2\).*takes \(None, 8, 8, 3\)"),
        (lambda d: [d[0]], r"batch 0: shape \(8, 8, 3\)"),
        (lambda d: [d[:0]], r"batch 0: shape \(0, 8, 8, 3\)"),
        (lambda d: [d * np.nan], "no valid pixel reaches layer 'norm0'"),
        (lambda d: [d * np.float32(np.inf)], "no valid pixel reaches layer 'norm0'"),
        (lambda d: [np.full_like(d, 3.4e38)], "layer 'norm0' reads values that are no finite"),
    ],
)
def test_batches_that_wont_do(batches, message):
    with pytest.raises(DataError, match=message):
        population_statistics(pointwise(), batches(images()))


def test_batches_that_change_from_pass_to_pass():
    class Shrinks(list):
        def __iter__(self):
            yield self.pop()

    with pytest.raises(DataError, match="12 samples in the first pass and 5 in pass 2"):
        population_statistics(pointwise(), Shrinks([images(5), images(12)]))


def test_unknown_layers_are_named():
    with pytest.raises(NormwiseError, match=r"no layer 'conv0' here; expected one of norm0, norm1"):
        population_statistics(pointwise(), [images()], layers=["conv0"])


def test_a_model_without_norms_needs_no_pass():
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layers.Conv2D(2, 1)(inputs))
    assert population_statistics(model, [images()]).passes == 0

"""U-Nets on networks of keras.applications: skips, sizes, plans, channels, weights, freezing."""

from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras.src.applications import efficientnet

from normwise.errors import ModelReadError, NetworkError, PlanError
from normwise.graph.flatten import flatten
from normwise.keras_format import read_graph
from normwise.networks import applications, build
from normwise.networks.applications import Application, application, convention_of, names
from normwise.networks.pretrained import inflated
from normwise.norms import infer_plan
from tests.networks.small_application import randomize, small_application, small_model
from tests.norms.structure import structure
from tests.surgery.models import outputs_of
from tests.weightless import weightless

MEAN = np.array([123.675, 116.28, 103.53])
STD = np.array([58.395, 57.12, 57.375])


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network of keras.applications is built once: those of ours have copies of its layers."""
    monkeypatch.setattr(applications, "application", cache(applications.application))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applications, "application", lambda name: small_application())


def small_unet(channels: int = 9, size: int | None = None, **options: Any) -> Any:
    return build("encoder", (size, size, channels), 2, filters=4, **options)


def coarsest(model: Any) -> Any:
    """The model up to the last tensor of its encoder."""
    last = max(int(x.name[7:-3]) for x in model.layers if x.name.endswith("_up"))
    return keras.Model(model.input, model.get_layer(f"decoder{last}_up").input)


def skips(model: Any) -> dict[str, str]:
    """The layer that each concatenation reads first."""
    graph = read_graph(model)
    return {
        node.name: graph.nodes[node.inputs[0].node].layer
        for node in graph.nodes
        if node.name.endswith("_concat") and node.name.startswith("decoder")
    }


# The graph tells the skips. -------------------------------------------------------------------


@weightless()
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "VGG16",
            ["block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3"],
        ),
        (
            "MobileNetV2",
            ["block_1_expand_relu", "block_3_expand_relu", "block_6_expand_relu",
             "block_13_expand_relu"],
        ),
        (
            "ConvNeXtTiny",
            ["convnext_tiny_downsampling_layernorm_0", "convnext_tiny_downsampling_layernorm_1",
             "convnext_tiny_downsampling_layernorm_2"],
        ),
        ("Xception", ["block1_conv2_act", "add", "add_1", "add_10"]),
    ],
)  # fmt: skip
def test_the_skips_of_applications_and_their_sizes(name: str, expected: list[str]) -> None:
    """Sizes that aren't square, of networks with and without padding: every concatenation fits."""
    model = build("encoder", (64, 96, 5), 3, encoder=name, filters=2)
    assert list(skips(model).values())[::-1] == expected
    assert model.output_shape == (None, 64, 96, 3)
    for concat in skips(model):
        one, two = (tensor.shape[1:3] for tensor in model.get_layer(concat).input)
        assert one == two


@pytest.mark.backends
@pytest.mark.usefixtures("small")
def test_any_size_of_the_stride_runs_and_ends_at_its_size() -> None:
    model = small_unet()
    assert skips(model) == {"decoder3_concat": "down_norm", "decoder2_concat": "activation"}
    for height, width in ((8, 8), (16, 40)):
        made = model.predict_on_batch(np.ones((1, height, width, 9), "float32"))
        assert made.shape == (1, height, width, 2)


@pytest.mark.usefixtures("small")
def test_names_do_not_depend_on_what_was_built_before() -> None:
    first, second = (small_unet() for _ in range(2))
    assert [x.name for x in first.layers] == [x.name for x in second.layers]
    assert {"batch_normalization", "batch_normalization_1"} <= {x.name for x in first.layers}


@pytest.mark.usefixtures("small")
def test_a_saved_network_loads_and_predicts_the_same(tmp_path: Path) -> None:
    model = randomize(small_unet())
    model.save(tmp_path / "model.keras")
    given = np.random.default_rng(0).normal(size=(1, 16, 24, 9)).astype("float32")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    (expected,), (found,) = outputs_of(model, given), outputs_of(loaded, given)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_an_application_that_begins_without_padding_is_built_where_its_sizes_are_even(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """NASNet compares and pads by the sizes of its tensors while it is built."""

    def unpadded(**options: Any) -> Any:
        return small_model(size=options["input_shape"][0])

    def padded(**options: Any) -> Any:
        inputs = keras.Input(options["input_shape"])
        return keras.Model(inputs, keras.layers.Conv2D(2, 4, strides=4, name="stem")(inputs))

    for builder, size in ((unpadded, 257), (padded, 256)):
        monkeypatch.setattr(keras.applications, "MobileNet", builder)
        assert application("MobileNet").model.input_shape[1] == size


# Plans. ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "plan",
    [
        "batch@decoder:pre-activation",
        "group(groups=2)@decoder:pre-activation",
        "batch(momentum=0.9)@decoder:post-activation",
        "standardize@input,instance@skip+decoder:after-merge",
        "none",
    ],
)
@pytest.mark.parametrize("upsampling", ["nearest", "transposed"])
def test_plans_are_read_back_and_build_the_same_network(plan: str, upsampling: str) -> None:
    model = small_unet(norm=plan, upsampling=upsampling)
    read = infer_plan(read_graph(model))
    again = small_unet(norm=str(read), upsampling=upsampling)
    assert structure(read_graph(again)) == structure(read_graph(model))
    assert infer_plan(read_graph(again)) == read


@pytest.mark.usefixtures("small")
def test_the_momentum_of_the_encoder_is_told_apart_and_read_back() -> None:
    norms = ("batch_normalization", "batch_normalization_1")
    model = small_unet(encoder_momentum=0.75)
    assert [model.get_layer(name).momentum for name in norms] == [0.75] * 2
    decoder = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)][2:]
    assert decoder and all(norm.momentum == 0.99 for norm in decoder)
    read = infer_plan(read_graph(model))
    assert "momentum=0.75" in str(read)
    again = small_unet(norm=str(read), encoder_momentum=0.75)
    assert structure(read_graph(again)) == structure(read_graph(model))
    with pytest.raises(PlanError, match="reaches the encoder"):
        small_unet(norm=str(read))
    assert small_unet().get_layer(norms[0]).momentum == 0.99


def test_a_momentum_without_effect_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(applications, "application", lambda name: small_application())
    path = saved(small_model(), tmp_path, ".weights.h5")
    with pytest.raises(NetworkError, match="frozen statistics don't move"):
        small_unet(weights=path, frozen=True, encoder_momentum=0.9)
    inputs = keras.Input((64, 64, 3))
    x = keras.layers.Conv2D(2, 3, strides=2, padding="same", activation="relu")(inputs)
    bare = keras.Model(inputs, x)
    plain = Application("VGG16", bare, flatten(read_graph(bare)))
    monkeypatch.setattr(applications, "application", lambda name: plain)
    with pytest.raises(NetworkError, match="VGG16 has no batch normalizations; leave it out"):
        small_unet(encoder="VGG16", encoder_momentum=0.9)


@weightless()
@pytest.mark.usefixtures("once")
def test_what_holds_in_the_encoder_may_be_said() -> None:
    """VGG has no normalization; MobileNet has one before every activation."""
    model = build("encoder", (32, 32, 3), 1, norm="batch@pre-activation", encoder="MobileNet")
    assert str(infer_plan(read_graph(model))) == "batch@pre-activation"
    for plan, words in (
        ("group(groups=2)@pre-activation", ["encoder:pre-activation", "decoder:pre-activation"]),
        ("batch(momentum=0.5)@pre-activation", ["batch(momentum=0.5)@encoder:pre-activation"]),
        ("batch@encoder:post-activation", ["encoder:post-activation", "nw.place"]),
        ("batch@before-downsampling", ["encoder:before-downsampling"]),
    ):
        with pytest.raises(PlanError) as caught:
            build("encoder", (32, 32, 3), 1, norm=plan, encoder="MobileNet")
        for word in ["reaches the encoder", "batch@", *words]:
            assert word in str(caught.value)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ("batch@decoder:before-downsampling", "nothing is down-sampled in the decoder"),
        ("batch@head:pre-activation", "the head is linear"),
        ("batch@bottleneck:before-downsampling", "reaches the encoder"),
    ],
)
def test_plans_that_cannot_hold_say_why(plan: str, words: str) -> None:
    with pytest.raises(PlanError, match=words):
        small_unet(norm=plan)


# Channels and what weights expect. ------------------------------------------------------------


@pytest.mark.parametrize("channels", [3, 4, 6, 9, 13])
def test_the_response_to_repeated_colours_is_unchanged(channels: int) -> None:
    chance = np.random.default_rng(0)
    kernel, pixel = chance.normal(size=(3, 3, 3, 5)), chance.normal(size=3)
    spread = inflated(kernel, channels, (0, 1, 2))
    assert spread.shape == (3, 3, channels, 5)
    repeated = np.resize(pixel, channels)
    expected = np.einsum("hwif,i->hwf", kernel, pixel)
    np.testing.assert_allclose(
        np.einsum("hwcf,c->hwf", spread, repeated), expected, rtol=1e-12, atol=1e-12
    )
    other = np.einsum("hwcf,c->hwf", inflated(kernel, channels, (2, 1, 0)), repeated)
    assert not np.allclose(other, expected, rtol=1e-3, atol=1e-3)


@pytest.fixture
def shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    """EfficientNets end after three of their seven stages."""
    stages = efficientnet.DEFAULT_BLOCKS_ARGS
    monkeypatch.setattr(efficientnet, "DEFAULT_BLOCKS_ARGS", stages[:3])


@pytest.mark.parametrize("channels", [1, 2])
def test_fewer_channels_keep_the_response_to_grey(channels: int) -> None:
    kernel = np.random.default_rng(0).normal(size=(1, 1, 3, 5))
    made = inflated(kernel, channels, (0, 1, 2)).sum(axis=2)
    np.testing.assert_allclose(made, kernel.sum(axis=2), rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("once", "shorter")
@pytest.mark.parametrize("name", ["VGG16", "MobileNetV3Small", "EfficientNetB0"])
def test_pretrained_encoders_respond_as_the_application_does(name: str, tmp_path: Path) -> None:
    """Pixels, pre-processed in the application's own way, against standardized ones, repeated."""
    builder = getattr(keras.applications, name)
    reference = randomize(builder(include_top=False, weights=None, input_shape=(64, 64, 3)))
    for layer in reference.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.adapt_mean.assign(MEAN / 255)
            layer.adapt_variance.assign((STD / 255) ** 2)
            layer.finalize_state()
    path = tmp_path / "pretrained.weights.h5"
    reference.save_weights(path)
    standard = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype("float32")
    pixels = (MEAN + STD * standard).astype("float32")
    module = {"VGG16": "vgg16", "MobileNetV3Small": "mobilenet_v3", "EfficientNetB0": None}[name]
    if module:
        pixels = getattr(keras.applications, module).preprocess_input(pixels)
    (expected,) = outputs_of(reference, pixels)
    expected = expected / np.abs(expected).max()

    def response(channels: int, **options: Any) -> Any:
        model = build(
            "encoder", (None, None, channels), encoder=name, weights=path, filters=1, **options
        )
        given = standard[..., np.arange(channels) % 3]
        (made,) = outputs_of(coarsest(model), given)
        return made / np.abs(made).max()

    np.testing.assert_allclose(response(9), expected, rtol=1e-3, atol=1e-3)
    if name == "VGG16":
        assert not np.allclose(response(3, preprocessing="standardized"), expected, atol=1e-2)


def test_conventions() -> None:
    """What red, green and blue become whose mean and deviation are those of ImageNet."""
    plain = convention_of(small_application("VGG16"))  # its own scaling to -1..1 comes after it
    assert plain.positions == (2, 1, 0)
    np.testing.assert_allclose(plain.scale, STD / 127.5, rtol=1e-4)
    signed = convention_of(small_application("DenseNet121"))
    assert signed.positions == (0, 1, 2)
    np.testing.assert_allclose(signed.scale, [1 / 127.5] * 3, rtol=1e-4)
    np.testing.assert_allclose(signed.offset, [-1.0] * 3, rtol=1e-4)


# Weights from files. --------------------------------------------------------------------------


def saved(model: Any, folder: Path, how: str) -> Path:
    path = folder / f"small{how}"
    if how == ".weights.h5":
        model.save_weights(path)
    else:
        model.save(path)
    return path


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("how", [".weights.h5", ".keras", ".h5"])
def test_weights_from_a_file_go_to_the_layers_of_their_names(how: str, tmp_path: Path) -> None:
    stored = randomize(small_model())
    model = small_unet(3, weights=str(saved(stored, tmp_path, how)), preprocessing="standardized")
    for ours, theirs in (
        ("stem", stored.get_layer("stem")),
        ("down", stored.layers[-3].layers[-1]),
        ("conv2d", stored.layers[7]),
        ("batch_normalization_1", stored.layers[8]),
    ):
        for one, two in zip(model.get_layer(ours).get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.usefixtures("small")
def test_a_file_of_a_network_of_ours_with_as_many_channels(tmp_path: Path) -> None:
    first = randomize(small_unet(5))
    first.save(tmp_path / "first.keras")
    second = small_unet(5, weights=tmp_path / "first.keras")
    for one, two in zip(coarsest(first).get_weights(), coarsest(second).get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    with pytest.raises(NetworkError, match=r"'stem' reads 5 channels; expected 3.*or the 7 of"):
        small_unet(7, weights=tmp_path / "first.keras")
    with pytest.raises(NetworkError, match="is for red, green and blue"):
        small_unet(5, weights=tmp_path / "first.keras", preprocessing="application")


@pytest.mark.usefixtures("small")
def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    wide = saved(small_model(filters=8), tmp_path, ".weights.h5")
    with pytest.raises(NetworkError, match=r"small.weights.h5: the weights of layer 'stem' have"):
        small_unet(weights=wide)
    inputs = keras.Input((8, 8, 3))
    other = keras.Model(inputs, keras.layers.Conv2D(4, 3, name="other")(inputs))
    with pytest.raises(NetworkError, match="'batch_normalization' by Keras, this encoder has 2"):
        small_unet(weights=saved(other, tmp_path, ".keras"))
    more = small_model()
    top = keras.layers.Conv2D(4, 3, padding="same")(more.output)
    with pytest.raises(NetworkError, match="holds 3 layers named 'conv2d' by Keras, this enc"):
        small_unet(weights=saved(keras.Model(more.input, top), tmp_path, ".h5"))
    (tmp_path / "broken.h5").write_bytes(b"nothing")
    with pytest.raises(ModelReadError, match=r"broken\.h5: no readable weights"):
        small_unet(weights=tmp_path / "broken.h5")


@pytest.mark.usefixtures("small")
def test_a_missing_layer_is_named(tmp_path: Path) -> None:
    model = small_model()
    cut = keras.Model(model.input, model.get_layer("block_relu").output)
    chosen = keras.layers.Conv2D(8, 3, padding="same", name="conv2d")(cut.output)
    path = saved(keras.Model(model.input, chosen), tmp_path, ".keras")
    with pytest.raises(NetworkError, match="holds no weights for layer 'down_norm' of MobileNet"):
        small_unet(weights=path)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weights": "imagenett"}, "weights is 'imagenett'; expected 'imagenet', or the path"),
        ({"frozen": True}, "frozen is True, but the encoder has random weights"),
        ({"preprocessing": "application"}, "random weights"),
        ({"encoder_momentum": 1.0}, r"encoder_momentum is 1\.0; expected a number above 0 and be"),
        ({"encoder_momentum": "much"}, "encoder_momentum is 'much'; expected"),
        ({"preprocessing": "caffe"}, "preprocessing is 'caffe'; expected one of"),
        ({"upsampling": "cubic"}, "upsampling is 'cubic'"),
        ({"activation": "rellu"}, "activation is 'rellu'"),
        ({"filters": 4.5}, "filters is 4.5"),
        ({"size": 12}, "height 12 isn't divisible by the network's total stride 8; use 8 or 16"),
        ({"size": 4}, "height 4 isn't divisible"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], words: str) -> None:
    size = options.pop("size", None)
    with pytest.raises(NetworkError, match=words):
        build("encoder", (size, size, 3), 1, **{"filters": 4, **options})


def test_unknown_applications_and_shapes() -> None:
    assert {"ResNet50", "ConvNeXtTiny", "NASNetMobile"} <= set(names())
    with pytest.raises(NetworkError, match="Did you mean 'ResNet50'"):
        build("encoder", (32, 32, 3), 1, encoder="Resnet50")
    for shape in ((32, 32), (32, 32, 32, 3), (32, 32, None)):
        with pytest.raises(NetworkError, match=r"input_shape is .* expected \(height, width, ch"):
            build("encoder", shape, 1, encoder="MobileNet")


def test_a_download_that_fails_says_what_would_help(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(**options: Any) -> Any:
        if options["weights"] == "imagenet":
            raise Exception("URL fetch failure on x: None -- no route")
        return small_model()

    offline.__module__ = keras.applications.MobileNet.__module__
    monkeypatch.setattr(keras.applications, "MobileNet", offline)
    with pytest.raises(NetworkError, match=r"couldn't be loaded \(URL fetch failure.*_notop\.h5"):
        build("encoder", (64, 64, 3), 1, encoder="MobileNet", weights="imagenet")


def test_downloaded_weights_are_put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = randomize(small_model())

    def online(**options: Any) -> Any:
        return stored if options["weights"] == "imagenet" else small_model()

    online.__module__ = keras.applications.MobileNet.__module__
    monkeypatch.setattr(keras.applications, "MobileNet", online)
    model = build("encoder", (64, 64, 3), 1, encoder="MobileNet", weights="imagenet", filters=2)
    np.testing.assert_array_equal(
        model.get_layer("down").get_weights()[0], stored.layers[-3].layers[-1].get_weights()[0]
    )


# Freezing. ------------------------------------------------------------------------------------


@pytest.mark.backends
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("frozen", [True, False])
def test_freezing_keeps_weights_and_statistics(frozen: bool, tmp_path: Path) -> None:
    path = saved(randomize(small_model()), tmp_path, ".weights.h5")
    model = small_unet(4, weights=path, frozen=frozen)
    chance = np.random.default_rng(0)
    x = chance.normal(3, 2, size=(2, 16, 16, 4)).astype("float32")
    y = chance.normal(size=(2, 16, 16, 2)).astype("float32")
    way_down = coarsest(model)
    before = [np.array(values) for values in way_down.get_weights()]
    head = model.get_layer("head").get_weights()[0]
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(x, y, epochs=1, batch_size=2, verbose=0)
    names = [weight.path for weight in way_down.weights]
    moved = [
        name
        for name, old, new in zip(names, before, way_down.get_weights(), strict=True)
        if not np.array_equal(old, new)
    ]
    assert not np.array_equal(model.get_layer("head").get_weights()[0], head)
    if frozen:
        assert moved == []
    else:
        assert any("moving_mean" in name for name in moved)
        assert any("kernel" in name for name in moved)

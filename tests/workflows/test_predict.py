"""Prediction: missing pixels, bands, and what is refused."""

import re

import keras
import numpy as np
import pytest
import rasterio

import normwise as nw
from normwise.data.reading import Record
from normwise.errors import ModelReadError, NetworkError, OutputExistsError, RasterError
from normwise.files import write_text
from normwise.rasters import RasterInfo, raster_info, read_raster, write_raster
from normwise.rasters.output_records import remember
from normwise.training.recipe import Recipe, to_yaml
from normwise.workflows import predict as predict_module
from normwise.workflows.made_outputs import about_picture


@pytest.fixture
def doubling():
    """A model of any size that adds its two channels, scaled by known statistics."""
    inputs = keras.Input((None, None, 2))
    layer = keras.layers.Normalization(mean=[10.0, 20.0], variance=[1.0, 1.0])
    return keras.Model(inputs, keras.ops.sum(layer(inputs), axis=-1, keepdims=True))


def test_missing_pixels_are_filled_with_the_mean_and_are_missing_in_the_result(doubling):
    image = np.full((3, 5, 2), 12.0, np.float32)
    image[0, 0] = np.nan
    image[1, 1, 0] = np.nan
    out = nw.predict(doubling, image)
    assert out.shape == (3, 5, 1)
    assert np.isnan(out[0, 0, 0])
    assert out[1, 1, 0] == -8  # the missing channel counts as its mean, 10
    assert out[2, 2, 0] == 2 - 8
    assert np.isnan(out).sum() == 1


def test_nodata_of_a_file_is_known(doubling, tmp_path):
    image = np.full((4, 4, 2), 12, np.int16)
    image[0, 0] = -9999
    like = RasterInfo(tmp_path / "x", 4, 4, 2, np.dtype("int16"), -9999.0)
    write_raster(tmp_path / "scene.tif", image, like, nodata=-9999)
    written = nw.predict(doubling, tmp_path / "scene.tif", tmp_path / "out.tif")
    assert np.isnan(read_raster(written)[0, 0, 0])
    assert np.isnan(raster_info(written).nodata)
    again = nw.predict(doubling, np.full((2, 2, 2), 7.0, np.float32), nodata=7)
    assert np.isnan(again).all()


def write_marked(path, dtype, mask=True):
    """A GeoTIFF with a nodata value of its own, 99, and a mask of its own."""
    pixels = np.full((6, 8, 2), 12, dtype)
    pixels[0, 0], pixels[1, 1], pixels[3, 3, 0] = 99, 77, 99
    size = {"height": 6, "width": 8, "count": 2, "dtype": dtype, "nodata": 99}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", driver="GTiff", **size) as file,
    ):
        file.write(np.moveaxis(pixels, -1, 0))
        if mask:
            shown = np.full((6, 8), 255, np.uint8)
            shown[2, 2] = 0
            file.write_mask(shown)
    return path


@pytest.mark.parametrize("tile", [None, 4])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
@pytest.mark.parametrize("told", ["asked", "run", "runs", "nobody"])
def test_whatever_calls_a_pixel_missing_it_is_missing(doubling, tmp_path, dtype, tile, told):
    """The file's nodata value, the file's mask, the run's nodata or the one that is asked for."""
    scene, model, nodata = write_marked(tmp_path / "scene.tif", dtype), doubling, None
    if told == "asked":
        nodata = 77
    elif told != "nobody":
        doubling.save(tmp_path / "model.keras")
        (tmp_path / "recipe.yaml").write_text(to_yaml(Recipe(data={"path": "gone"})))
        Record(nodata=77.0).write(tmp_path)
        model = tmp_path if told == "run" else [doubling, tmp_path]
    found = nw.predict(model, scene, tmp_path / "out.npy", nodata=nodata, tile=tile)
    values = read_raster(found)[..., 0]
    wanted = np.full((6, 8), -6.0)  # 12 - 10 + 12 - 20
    wanted[3, 3] = -8  # the missing channel counts as its mean
    wanted[0, 0] = wanted[2, 2] = np.nan
    wanted[1, 1] = np.nan if told != "nobody" else 77 - 10 + 77 - 20
    np.testing.assert_allclose(values, wanted, rtol=1e-6)
    plain = nw.predict(model, write_marked(tmp_path / "plain.tif", dtype, mask=False))
    assert plain[2, 2, 0] == -6


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_what_an_array_masks_is_missing(doubling, tmp_path, dtype):
    scene = write_marked(tmp_path / "scene.tif", dtype)
    with rasterio.open(scene) as file:
        image = np.moveaxis(file.read(masked=True), 0, -1)
    assert isinstance(image, np.ma.MaskedArray)
    found = nw.predict(doubling, image, nodata=99)  # rasterio's mask leaves that out
    np.testing.assert_array_equal(found, nw.predict(doubling, scene))
    assert type(found) is np.ndarray and np.isnan(found[2, 2]).all()
    # Without a pixel that is masked, and of a single channel.
    image = np.ma.array(np.full((3, 4, 2), 12, dtype))
    np.testing.assert_array_equal(nw.predict(doubling, image), np.full((3, 4, 1), -6.0))
    one = keras.Input((None, None, 1))
    same = keras.Model(one, keras.layers.Activation("linear")(one))
    flat = np.ma.masked_equal(np.array([[7, 9], [9, 9]], dtype), 7)
    np.testing.assert_array_equal(nw.predict(same, flat)[..., 0], [[np.nan, 9], [9, 9]])


@pytest.mark.parametrize("dtype", ["complex64", "object", "<U3"])
def test_arrays_of_no_real_numbers_are_refused(doubling, dtype):
    with pytest.raises(RasterError, match=r"image: pixels of type .* Expected integers or real"):
        nw.predict(doubling, np.zeros((3, 4, 2), dtype))
    assert nw.predict(doubling, np.ones((3, 4, 2), bool)).shape == (3, 4, 1)


@pytest.mark.parametrize("shape", [(0, 4, 2), (4, 0, 2), (0, 0, 2)])
def test_an_image_without_pixels_is_refused(doubling, shape):
    for tile in (None, 4):
        with pytest.raises(NetworkError, match=r"an image of shape \(.*\) has no pixels"):
            nw.predict(doubling, np.zeros(shape, np.float32), tile=tile)


def test_a_tile_is_whole_numbers_of_any_kind(doubling):
    image = np.random.default_rng(0).normal(size=(9, 12, 2)).astype(np.float32)
    whole = nw.predict(doubling, image)
    for tile in (np.int64(4), np.uint8(4), np.array([4, 6]), (np.int32(4), 6)):
        np.testing.assert_allclose(nw.predict(doubling, image, tile=tile), whole, rtol=1e-6)
    for tile in (True, np.True_, (4, True), 4.0, "4", 0, -4, (), (4, 4, 4), (4, None)):
        with pytest.raises(NetworkError, match="expected a number of pixels above 0"):
            nw.predict(doubling, image, tile=tile)


@pytest.mark.parametrize("tile", [None, 8])
def test_infinite_pixels_are_missing_and_that_is_told(tmp_path, caplog, tile):
    """Decibels of an empty border; a network would spread them over its whole halo."""
    inputs = keras.Input((None, None, 2))
    scaled = keras.layers.Normalization(mean=[-10.0, -20.0], variance=[1.0, 1.0])(inputs)
    sums = keras.layers.Conv2D(1, 3, padding="same", kernel_initializer="ones")
    model = keras.Model(inputs, sums(scaled))
    decibels = np.random.default_rng(0).normal(-15, 3, (20, 24, 2)).astype(np.float32)
    decibels[:, :5], decibels[9, 9, 0] = -np.inf, np.inf
    write_raster(tmp_path / "scene.tif", decibels)
    found = read_raster(nw.predict(model, tmp_path / "scene.tif", tmp_path / "o.npy", tile=tile))
    assert np.isnan(found[:, :5]).all() and np.isfinite(found[:, 5:]).all()
    (line,) = (record.getMessage() for record in caplog.records if "infinite" in record.msg)
    assert re.match(r"scene\.tif: \d\d\.\d% of the values that were read are infinite", line)
    caplog.clear()
    # The control: NaN in their place is the same, and nothing to tell.
    known = np.where(np.isfinite(decibels), decibels, np.float32(np.nan))
    np.testing.assert_array_equal(nw.predict(model, known, tile=tile), found)
    assert "infinite" not in caplog.text


def test_bands_are_chosen_and_checked(doubling):
    image = np.stack([np.full((2, 2), v, np.float32) for v in (1, 12, 22)], axis=-1)
    assert np.array_equal(nw.predict(doubling, image, bands=[1, 2]), np.full((2, 2, 1), 4.0))
    with pytest.raises(RasterError, match="has 3 channels"):
        nw.predict(doubling, image, bands=[1, 3])
    with pytest.raises(NetworkError, match="rows, columns, 2"):
        nw.predict(doubling, image)


def test_classes_need_probabilities(doubling):
    with pytest.raises(nw.NormwiseError, match="sigmoid or softmax"):
        nw.predict(doubling, np.zeros((2, 2, 2), np.float32), classes=True)


def test_class_ids_of_a_softmax():
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.Activation("softmax")(inputs))
    image = np.eye(3, dtype=np.float32)[None].repeat(2, 0)
    assert np.array_equal(nw.predict(model, image, classes=True)[..., 0], [[0, 1, 2]] * 2)


def test_an_existing_output_is_kept(doubling, tmp_path):
    (tmp_path / "out.npy").write_text("mine")
    write_raster(tmp_path / "in.npy", np.zeros((2, 2, 2), np.float32))
    with pytest.raises(OutputExistsError):
        nw.predict(doubling, tmp_path / "in.npy", tmp_path / "out.npy")
    assert (tmp_path / "out.npy").read_text() == "mine"


def test_a_model_without_a_graph_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    for model, told in ((Own(), "has no graph of layers"), (len, "expected a Keras model")):
        with pytest.raises(ModelReadError, match=told):
            nw.predict(model, np.zeros((4, 4, 2), np.float32))


def test_an_output_of_an_array_is_looked_for_before_the_work(doubling, tmp_path, monkeypatch):
    image, out, drawn = np.full((4, 4, 2), 12.0, np.float32), tmp_path / "o.npy", tmp_path / "o.png"
    asked, shown, before = [], [], predict_module.predict_array

    def counted(*args):
        asked.append(args)
        return before(*args)

    def draw(predictor, pixels, predicted, path, about):
        shown.append(predicted)
        path.touch()
        remember(path, path, about_picture(predictor, about))

    monkeypatch.setattr(predict_module, "predict_array", counted)
    monkeypatch.setattr(predict_module, "draw_overlay", draw)
    assert nw.predict(doubling, image, out, overlay=drawn) == out and len(asked) == 1
    kept = out.read_bytes()
    with pytest.raises(OutputExistsError):
        nw.predict(doubling, image + 1, out)
    with pytest.raises(OutputExistsError):
        nw.predict(doubling, image + 1, tmp_path / "other.npy", overlay=drawn)
    with pytest.raises(OutputExistsError, match=r"(?s)o\.npy: was made with another image.*o\.png"):
        nw.predict(doubling, image + 1, out, overlay=drawn, resume=True)
    assert nw.predict(doubling, image, out, overlay=drawn, resume=True) == out
    assert (len(asked), len(shown)) == (1, 1) and out.read_bytes() == kept
    # A picture that is missing is drawn of what is there.
    drawn.unlink()
    nw.predict(doubling, image, out, overlay=drawn, resume=True)
    assert len(asked) == 1 and shown == [out, out] and drawn.is_file()
    # Without an output there is something to give back, and the picture stays.
    np.testing.assert_array_equal(
        nw.predict(doubling, image, overlay=drawn, resume=True), np.load(out)
    )
    nw.predict(doubling, image + 1, out, overwrite=True)
    assert (len(asked), len(shown)) == (3, 2) and out.read_bytes() != kept


def test_class_ids_without_data_are_255():
    inputs = keras.Input((None, None, 2))
    model = keras.Model(inputs, keras.layers.Activation("softmax")(inputs))
    image = np.ones((2, 2, 2), np.float32)
    image[0, 1] = np.nan
    assert nw.predict(model, image, classes=True)[0, 1, 0] == 255


def test_missing_pixels_take_the_moving_mean_of_a_norm_at_the_input():
    inputs = keras.Input((None, None, 2))
    layer = keras.layers.BatchNormalization(epsilon=1e-12, center=False, scale=False)
    model = keras.Model(inputs, layer(inputs))
    layer.set_weights([np.array([50.0, 60.0]), np.array([1.0, 1.0])])
    image = np.full((2, 2, 2), 51.0, np.float32)
    image[0, 0, 0] = np.nan
    out = nw.predict(model, image)
    np.testing.assert_allclose(out[0, 0], [0, -9], atol=1e-5)
    np.testing.assert_allclose(out[1, 1], [1, -9], atol=1e-5)


def test_models_that_take_no_image_are_refused():
    flat = keras.Input((None, None, 2))
    model = keras.Model(flat, keras.layers.GlobalAveragePooling2D()(flat))
    with pytest.raises(NetworkError, match="on both sides"):
        nw.predict(model, np.zeros((4, 4, 2), np.float32))
    other = keras.Input((None, None, 2))
    two = keras.Model([flat, other], keras.layers.Add()([flat, other]))
    with pytest.raises(NetworkError, match="2 inputs"):
        nw.predict(two, np.zeros((4, 4, 2), np.float32))


def test_an_error_names_the_file(doubling, tmp_path):
    write_raster(tmp_path / "one.npy", np.zeros((2, 2, 1), np.float32))
    with pytest.raises(NetworkError, match=r"one\.npy.*--bands"):
        nw.predict(doubling, tmp_path / "one.npy")


@pytest.fixture
def leftward(tmp_path):
    """A run folder whose model answers with the pixel to the left."""
    inputs = keras.Input((None, None, 1))
    kernel = np.zeros((1, 3, 1, 1), np.float32)
    kernel[0, 0] = 1
    conv = keras.layers.Conv2D(1, (1, 3), padding="same", use_bias=False)
    model = keras.Model(inputs, conv(inputs))
    conv.set_weights([kernel])
    model.save(tmp_path / "model.keras")
    recipe = Recipe(data={"path": "gone"}, prediction={"tta": "flips"})
    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe))
    return tmp_path


def test_a_recipe_that_lies_beside_a_model_makes_no_run_of_it(leftward):
    image = np.arange(12.0, dtype=np.float32).reshape(3, 4, 1)
    left = np.pad(image, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    np.testing.assert_allclose(nw.predict(leftward / "model.keras", image), left)
    Record().write(leftward)
    turned = nw.predict(leftward / "model.keras", image)
    np.testing.assert_allclose(turned, nw.predict(leftward, image))
    assert not np.allclose(turned, left)


def test_a_run_is_applied_to_the_views_that_its_recipe_names(leftward):
    image = np.arange(12.0, dtype=np.float32).reshape(3, 4, 1)
    left = np.pad(image, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    right = np.pad(image, ((0, 0), (0, 1), (0, 0)))[:, 1:]
    np.testing.assert_allclose(nw.predict(leftward, image), (left + right) / 2, rtol=1e-6)
    np.testing.assert_allclose(nw.predict(leftward, image, tta="none"), left, rtol=1e-6)
    np.testing.assert_allclose(nw.predict(leftward / "model.keras", image, tta="none"), left)
    with pytest.raises(nw.NormwiseError, match="allowed: none, flips"):
        nw.predict(leftward, image, tta="all")
    for name, shown in (("a", image), ("b", image + 1)):
        write_raster(leftward / "images" / f"{name}.npy", shown)
        write_raster(leftward / "targets" / f"{name}.npy", left)
    write_text(leftward / "split.csv", "name,split\na,test\nb,train\n")
    measured = [nw.evaluate(leftward, leftward, tta=tta).values["mae"] for tta in ("none", None)]
    np.testing.assert_allclose(measured, [0, np.abs((right - left) / 2).mean()], rtol=1e-6)

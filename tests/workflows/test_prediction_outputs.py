"""What is predicted and how it is written: several outputs, deviations, class maps, formats."""

import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import rasterio
import rasterio.rpc
import zarr
from PIL import Image

import normwise as nw
from normwise.data.reading import Record
from normwise.errors import NetworkError, RasterError
from normwise.inference.mixtures import mixed
from normwise.rasters import RasterInfo, raster_info, read_raster, write_raster
from normwise.rasters.geolocation import Geolocation
from normwise.training.distribution import Distribution
from normwise.training.recipe import Recipe, to_yaml
from normwise.training.target_units import unit_layers
from normwise.workflows.prediction_writing import say_unkept
from tests.surgery.randomize import randomize

RNG = np.random.default_rng(0)
IMAGE = RNG.normal(size=(45, 38, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def two_headed():
    """Classes, a depth, and a further output of half the size."""
    inputs = keras.Input((None, None, 2))
    shared = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    cover = keras.layers.Conv2D(3, 1, activation="softmax", name="cover")(shared)
    depth = keras.layers.Conv2D(1, 3, padding="same", name="depth")(shared)
    coarse = keras.layers.Conv2D(1, 1, strides=2, name="coarse")(shared)
    return randomize(keras.Model(inputs, [cover, depth, coarse]))


def conv(seed, outputs=1, norm=False):
    inputs = keras.Input((None, None, 2))
    made = keras.layers.Conv2D(outputs, 3, padding="same")(inputs)
    if norm:
        made = keras.layers.GroupNormalization(-1)(made)
    model = keras.Model(inputs, made)
    model.set_weights(
        [np.random.default_rng(seed + i).normal(size=w.shape) for i, w in enumerate(model.weights)]
    )
    return model


def test_the_outputs_of_a_model_are_bands_with_its_names(two_headed, tmp_path):
    with pytest.raises(NetworkError, match=r"coarse has 1/2 x 1/2.*--outputs cover,depth"):
        nw.predict(two_headed, IMAGE)
    cover, depth, _ = two_headed.predict(IMAGE[None], verbose=0)
    wanted = np.concatenate([depth[0], cover[0]], axis=-1)
    np.save(tmp_path / "in.npy", IMAGE)
    out = nw.predict(
        two_headed, tmp_path / "in.npy", tmp_path / "o.tif", outputs=["depth", "cover"], tile=16
    )
    np.testing.assert_allclose(read_raster(out), wanted, rtol=0, atol=1e-5)
    assert raster_info(out).band_names == ("depth", "cover 1", "cover 2", "cover 3")
    ids = nw.predict(two_headed, IMAGE, classes=True, outputs=["cover"])
    np.testing.assert_array_equal(ids[..., 0], cover[0].argmax(-1))
    with pytest.raises(nw.NormwiseError, match=r"depth does not.*--outputs cover"):
        nw.predict(two_headed, IMAGE, classes=True, outputs=["cover", "depth"])
    with pytest.raises(NetworkError, match=r"'sky'; the model has cover, depth, coarse"):
        nw.predict(two_headed, IMAGE, outputs=["sky"])


@pytest.mark.parametrize("tile", [None, 16])
@pytest.mark.parametrize("tta", ["none", "flips"])
def test_the_deviation_is_that_of_all_predictions(tile, tta):
    models = [conv(seed, 2) for seed in (1, 20)]
    image = IMAGE.copy()
    image[:20, :20] = np.nan
    filled = np.nan_to_num(image)
    flips = [(), (0,), (1,), (0, 1)] if tta == "flips" else [()]
    each = np.stack(
        [
            np.flip(model.predict(np.flip(filled, axes)[None], verbose=0)[0], axes)
            for model in models
            for axes in flips
        ]
    )
    found = nw.predict(models, image, tta=tta, std=True, tile=tile)
    assert found.shape == (45, 38, 4) and np.isnan(found[:20, :20]).all()
    known = ~np.isnan(found[..., 0])
    np.testing.assert_allclose(found[known][:, :2], each.mean(0)[known], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found[known][:, 2:], each.std(0)[known], rtol=0, atol=1e-5)


def test_a_deviation_needs_several_predictions_of_values(tmp_path):
    model = conv(1)
    with pytest.raises(nw.NormwiseError, match="--tta flips"):
        nw.predict(model, IMAGE, std=True)
    with pytest.raises(nw.NormwiseError, match="sigmoid"):
        nw.predict(model, IMAGE, std=True, classes=True)
    np.save(tmp_path / "in.npy", IMAGE)
    out = nw.predict(model, tmp_path / "in.npy", tmp_path / "o.tif", std=True, tta="flips")
    assert raster_info(out).band_names == ("output 1", "std of output 1")


def test_deviations_of_tiles_that_are_blended_leave_the_mismatch_alone(caplog):
    models = [conv(seed, norm=True) for seed in (1, 20)]
    told = []
    for std in (False, True):
        caplog.clear()
        found = nw.predict(models, IMAGE, tile=24, std=std)
        told.append(caplog.text[caplog.text.index("they differ by") :].split()[3])
    assert told[0] == told[1] and float(told[0]) > 0
    assert found.shape[-1] == 2 and (found[..., 1] > 0).any()


def test_normal_laws_have_a_deviation_between_their_means():
    rng = np.random.default_rng(3)
    # Members, views, pixels, outputs: mean and standard deviation of two targets.
    each = np.abs(rng.normal([1e4, 5, 5, 5], 1, (3, 4, 7, 4)))
    found = mixed(iter([iter(views) for views in each]), mean_and_std=True, spread=True)
    assert found.shape == (7, 6)
    flat = each.reshape(12, 7, 4)
    np.testing.assert_allclose(found[:, 4:], flat[..., 0::2].std(0), rtol=1e-5)
    variance = (flat[..., 1::2] ** 2 + flat[..., 0::2] ** 2).mean(0) - flat[..., 0::2].mean(0) ** 2
    np.testing.assert_allclose(found[:, 1:4:2], np.sqrt(variance), rtol=1e-3)
    plain = mixed(iter([iter(views) for views in each]), mean_and_std=True)
    np.testing.assert_array_equal(found[:, :4], plain)


def test_bands_of_normal_laws_name_what_deviates(tmp_path):
    inputs = keras.Input((None, None, 2))
    linear = keras.layers.Conv2D(2, 1)(inputs)
    model = keras.Model(inputs, unit_layers(linear, Distribution(gaussian=True), [0.0], [1.0]))
    np.save(tmp_path / "in.npy", IMAGE)
    out = nw.predict(model, tmp_path / "in.npy", tmp_path / "o.tif", std=True, tta="flips")
    assert raster_info(out).band_names == ("output 1", "output 2", "std of output 1")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder of three classes with colours of its own."""
    folder = tmp_path_factory.mktemp("run")
    inputs = keras.Input((None, None, 3))
    keras.Model(inputs, keras.layers.Activation("softmax")(inputs)).save(folder / "model.keras")
    (folder / "recipe.yaml").write_text(to_yaml(Recipe(data={"path": "gone"})))
    names = {"land": {}, "water": {}, "ice": {}}
    (folder / "metrics.json").write_text(json.dumps({"per_class": names}))
    Record(colours=["#102030", "#405060", "#708090"]).write(folder)
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    pixels = np.random.default_rng(5).integers(0, 255, (40, 50, 3)).astype(np.uint8)
    write_raster(folder / "a.png", pixels)
    np.savez(folder / "b.npz", image=pixels.astype(np.float32))
    write_raster(folder / "c.zarr", pixels)
    write_raster(folder / "d.tif", pixels)
    return folder, pixels.argmax(-1)


def test_class_maps_of_a_folder_keep_the_kind_and_tell_the_classes(run, images, tmp_path):
    folder, ids = images
    written = nw.predict(run, folder, tmp_path, classes=True)
    assert [path.name for path in written] == ["a.png", "b.npy", "c.zarr", "d.tif"]
    for path in written:
        found = read_raster(path)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found[..., 0], ids)
    with Image.open(tmp_path / "a.png") as picture:
        shown = np.asarray(picture.convert("RGB"))
    own = np.array([[0x10, 0x20, 0x30], [0x40, 0x50, 0x60], [0x70, 0x80, 0x90]])
    np.testing.assert_array_equal(shown, own[ids])
    with rasterio.open(tmp_path / "d.tif") as file:
        assert file.tags(1)["CLASS_1"] == "water" and file.descriptions == ("class",)
        assert file.colormap(1)[2][:3] == (0x70, 0x80, 0x90)
    told = zarr.open_array(tmp_path / "c.zarr", mode="r").attrs
    assert told["classes"] == ["land", "water", "ice"] and told["flag_values"] == [0, 1, 2]
    assert told["flag_colors"] == "#102030 #405060 #708090" and told["_FillValue"] == 255
    values = nw.predict(run, folder, tmp_path / "values")
    assert np.isnan(raster_info(tmp_path / "values" / "c.zarr").nodata)
    assert [path.name for path in values] == ["a.tif", "b.npy", "c.zarr", "d.tif"]
    assert raster_info(values[0]).band_names == ("land", "water", "ice")


@pytest.mark.parametrize("tile", [None, 16])
def test_the_place_of_a_picture_is_that_of_its_prediction(run, tmp_path, tile):
    pixels = np.random.default_rng(6).integers(0, 255, (40, 50, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.jpg")
    (tmp_path / "a.jgw").write_text("10\n0\n0\n-10\n500005\n4999995\n")
    told = "<PAMDataset><SRS>EPSG:32632</SRS></PAMDataset>"
    (tmp_path / "a.jpg.aux.xml").write_text(told)
    out = nw.predict(run, tmp_path / "a.jpg", tmp_path / "out.tif", tile=tile)
    with rasterio.open(out) as file:
        assert file.crs.to_epsg() == 32632
        assert file.transform.to_gdal() == (500000, 10, 0, 5000000, 0, -10)


@pytest.mark.parametrize("tile", [None, 16])
def test_a_place_goes_through_a_zarr(run, images, tmp_path, tile):
    crs, transform = rasterio.CRS.from_epsg(32632), rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)
    like = replace(raster_info(images[0] / "d.tif"), crs=crs, transform=transform)
    write_raster(tmp_path / "a.tif", read_raster(images[0] / "d.tif"), like)
    nw.predict(run, tmp_path / "a.tif", tmp_path / "b.zarr", tile=tile)
    nw.predict(run, tmp_path / "b.zarr", tmp_path / "c.tif", tile=tile)
    with rasterio.open(tmp_path / "c.tif") as file:
        assert (file.crs, file.transform) == (crs, transform)
        found = np.moveaxis(file.read(), 0, -1)
    np.testing.assert_allclose(
        found, nw.predict(run, nw.predict(run, tmp_path / "a.tif")), rtol=1e-5, atol=0
    )


POINTS = Geolocation(((0.0, 0.0, 8.0, 46.0, 0.0),) * 4)
BOTH = Geolocation(POINTS.points, None, rasterio.rpc.RPC)
PLACED = {"crs": rasterio.CRS.from_epsg(32632), "transform": rasterio.Affine.scale(2)}
VOXELS = {"depth": 3, "affine": ((1.0,),)}


@pytest.mark.parametrize(
    ("info", "out", "told"),
    [
        (PLACED, "a.png", "coordinate system and transform of a.tif (a .tif can)."),
        (PLACED, "a.npy", "coordinate system and transform of"),
        ({"geolocation": POINTS}, "a.zarr", "ground control points of a.tif"),
        ({"geolocation": BOTH}, "a.zarr", "ground control points and RPCs of a.tif"),
        ({**PLACED, "geolocation": replace(BOTH, points=())}, "a.zarr", "hold the RPCs of"),
        (VOXELS, "a.zarr", "affine of a.tif (a .nii can)."),
        (VOXELS, "a.tif", "affine of"),
        ({**VOXELS, **PLACED}, "a.nii", "transform of a.tif."),
        ({"ome": ()}, "a.tif", "units of axes of a.tif (a .zarr can)."),
        (PLACED, "a.tif", ""), ({**PLACED, "depth": 3}, "a.zarr", ""),
        ({"geolocation": BOTH}, "a.tiff", ""),
        (VOXELS, "a.nii.gz", ""), ({"ome": ()}, "a.zarr", ""), ({}, "a.npy", ""),
        ({"transform": rasterio.Affine.identity()}, "a.npy", ""),
    ],
)  # fmt: skip
def test_what_a_format_can_not_hold_is_told_in_a_line(caplog, info, out, told):
    plain = RasterInfo(Path("a.tif"), 4, 5, 1, np.dtype(np.uint8))
    say_unkept(replace(plain, **info), Path(out))
    assert told in caplog.text and len(caplog.records) == bool(told)


def test_a_prediction_tells_it_once(run, tmp_path, caplog):
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(folder / "a.jpg")
    (folder / "a.jgw").write_text("10\n0\n0\n-10\n500005\n4999995\n")
    nw.predict(run, folder, tmp_path / "out", classes=True, tile=16)
    assert caplog.text.count("a.png: can't hold the transform of a.jpg") == 1
    caplog.clear()
    nw.predict(run, folder, tmp_path / "values")
    assert "can't hold" not in caplog.text


def test_a_model_without_a_run_has_classes_all_the_same(run, images, tmp_path):
    out = nw.predict(
        keras.models.load_model(run / "model.keras"), images[0] / "a.png", tmp_path / "o.tif",
        classes=True,
    )  # fmt: skip
    with rasterio.open(out) as file:
        assert file.tags(1)["CLASS_1"] == "class 1"
        assert len({file.colormap(1)[index] for index in range(3)}) == 3


@pytest.mark.parametrize(
    ("name", "classes", "told"),
    [
        ("o.png", False, "a PNG can't hold probabilities.*--classes"),
        ("o.jpg", True, "can't be written as .jpg"),
        ("o.npz", False, "can't be written as .npz"),
    ],
)
def test_a_format_that_can_not_hold_it_is_refused_before_the_work(
    run, images, tmp_path, monkeypatch, name, classes, told
):
    monkeypatch.setattr("normwise.workflows.predict.predict_file", None)
    with pytest.raises(RasterError, match=told):
        nw.predict(run, images[0] / "a.png", tmp_path / name, classes=classes)
    assert list(tmp_path.iterdir()) == []


def test_members_that_order_their_outputs_differently_are_no_ensemble():
    def member(names):
        inputs = keras.Input((None, None, 2))
        return keras.Model(inputs, [keras.layers.Conv2D(1, 1, name=name)(inputs) for name in names])

    pair = [member("ab"), member("ba")]
    with pytest.raises(NetworkError, match=r"differently: a,b and b,a.*--outputs"):
        nw.predict(pair, IMAGE)
    assert nw.predict(pair, IMAGE, outputs=["b", "a"]).shape == (45, 38, 2)


def test_outputs_of_one_layer_are_told_apart():
    inner = keras.Input((None, None, 2))
    heads = [keras.layers.Conv2D(1, 1)(inner) for _ in range(2)]
    inputs = keras.Input((None, None, 2))
    model = randomize(keras.Model(inputs, keras.Model(inner, heads, name="both")(inputs)))
    first, second = model.predict(IMAGE[None], verbose=0)
    assert not np.allclose(first, second)
    for name, wanted in (("both:0", first), ("both:1", second)):
        found = nw.predict(model, IMAGE, outputs=[name])
        np.testing.assert_allclose(found, wanted[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("classes", [255, 256])
def test_a_class_map_holds_255_classes(classes):
    inputs = keras.Input((None, None, 2))
    made = keras.layers.Conv2D(classes, 1, activation="softmax", name="kinds")(inputs)
    model = randomize(keras.Model(inputs, made))
    if classes == 256:
        with pytest.raises(nw.NormwiseError, match=r"kinds has 256 classes.*255 at most"):
            nw.predict(model, IMAGE, classes=True)
        return
    probabilities = model.predict(IMAGE[None], verbose=0)[0]
    found = nw.predict(model, IMAGE, classes=True)
    np.testing.assert_array_equal(found[..., 0], probabilities.argmax(-1))


@pytest.mark.parametrize(
    ("activation", "channels", "said"), [("sigmoid", 3, 1), ("softmax", 3, 0), ("sigmoid", 1, 0)]
)
def test_class_ids_of_labels_that_may_overlap_are_explained(activation, channels, said, caplog):
    inputs = keras.Input((None, None, 2))
    made = keras.layers.Conv2D(channels, 1, activation=activation, name="kinds")(inputs)
    model = randomize(keras.Model(inputs, made))
    found = nw.predict(model, IMAGE, classes=True, progress=False)[..., 0]
    values = model.predict(IMAGE[None], verbose=0)[0]
    np.testing.assert_array_equal(
        found, values[..., 0] > 0.5 if channels == 1 else values.argmax(-1)
    )
    assert caplog.text.count("kinds has a sigmoid for each of its 3 channels") == said
    caplog.clear()
    nw.predict(model, IMAGE, progress=False)
    assert "sigmoid" not in caplog.text


def test_class_maps_of_several_outputs_of_pictures_are_geotiffs(tmp_path):
    inputs = keras.Input((None, None, 3))
    heads = [
        keras.layers.Conv2D(2, 1, activation="softmax", name=name)(inputs) for name in ("a", "b")
    ]
    (tmp_path / "in").mkdir()
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / "in" / "x.png")
    model = keras.Model(inputs, heads)
    (out,) = nw.predict(model, tmp_path / "in", tmp_path / "out", classes=True)
    assert raster_info(out).band_names == ("a class", "b class")

"""Prediction of files by tiles: the same as of the whole, and whole or not there."""

import tracemalloc

import keras
import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.transform import from_origin

import normwise as nw
from normwise.data.scaling import Percentiles
from normwise.errors import NetworkError, OutputExistsError, RasterError
from normwise.inference import sums, whole
from normwise.inference.members import member_of
from normwise.inference.tile_size import bytes_of
from normwise.rasters import Raster, RasterInfo, raster_info, read_raster, write_raster
from normwise.rasters.partial import partial_folder
from normwise.training.scaling import name_input
from normwise.workflows.forecast import forecast
from tests.commands import normwise
from tests.surgery.randomize import randomize

SIZE, TILE = (150, 117), 48


def network(outputs=1, activation=None, norm="batch@pre-activation", scaling=None, channels=2):
    model = nw.build("unet", (None, None, channels), outputs, norm=norm, filters=2, depth=1)
    randomize(model)
    name_input(model, scaling)
    if activation is None:
        return model
    return keras.Model(model.input, keras.layers.Activation(activation)(model.output))


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A scene with a place on Earth, and pixels without data along its border and inside."""
    folder = tmp_path_factory.mktemp("scene")
    pixels = np.random.default_rng(0).integers(1, 1000, (*SIZE, 2)).astype(np.int16)
    pixels[:60, :70] = -9999
    pixels[100, 50, 0] = -9999
    place = {"crs": CRS.from_epsg(32632), "transform": from_origin(5e5, 5e6, 10, 10)}
    like = RasterInfo(folder / "x", *SIZE, 2, np.dtype(np.int16), -9999.0, **place)
    write_raster(folder / "scene.tif", pixels, like, nodata=-9999)
    return folder / "scene.tif"


@pytest.fixture
def calls(monkeypatch):
    """The sizes of all tiles that a network is asked for."""
    seen, before = [], whole._predict

    def counted(model, image):
        seen.append(image.shape[:-1])
        return before(model, image)

    monkeypatch.setattr(whole, "_predict", counted)
    return seen


def assert_same(found, wanted):
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
    bound = 2e-5 * np.nanmax(np.abs(wanted))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=bound)


def test_a_file_by_tiles_is_the_file_as_a_whole(scene, tmp_path, calls):
    model = network(3)
    wanted = nw.predict(model, scene)
    assert len(calls) == 1
    out = nw.predict(model, scene, tmp_path / "out.tif", tile=TILE)
    # The corner without data is never asked for.
    assert set(calls[1:]) == {(TILE, TILE)} and len(calls) > 6
    found, info, source = read_raster(out), raster_info(out), raster_info(scene)
    assert_same(found, wanted)
    assert np.isnan(found[:60, :70]).all() and not np.isnan(found[100, 50]).any()
    assert (info.crs, info.transform) == (source.crs, source.transform)
    assert np.isnan(info.nodata)
    assert_same(nw.predict(model, scene, tile=TILE), wanted)
    assert_same(nw.predict(model, read_raster(scene), nodata=-9999, tile=TILE), wanted)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".normwise", "out.tif"]


def test_a_file_of_strips_is_unpacked_once_a_row(scene, tmp_path, monkeypatch):
    with rasterio.open(scene) as file:
        profile, pixels = file.profile, file.read()
    profile.update(tiled=False, blockysize=1)
    for name in ("blockxsize", "blockysize"):
        profile.pop(name)
    with rasterio.open(tmp_path / "strips.tif", "w", **profile) as file:
        file.write(pixels)
    asked, before = [], Raster.read

    def counted(self, *spans, **options):
        asked.append(spans)
        return before(self, *spans, **options)

    monkeypatch.setattr(Raster, "read", counted)
    model = network()
    found = nw.predict(model, tmp_path / "strips.tif", tile=TILE)
    assert {len(spans) for spans in asked} == {1} and len(asked) == len(set(map(str, asked)))
    assert_same(found, nw.predict(model, scene))


def test_class_ids_and_views_by_tiles(scene, tmp_path):
    model = network(3, "softmax")
    wanted = nw.predict(model, scene, classes=True, tta="flips-and-turns")
    for name in ("out.tif", "out.npy", "out.png", "out.zarr"):
        out = nw.predict(
            model, scene, tmp_path / name, classes=True, tta="flips-and-turns", tile=64
        )
        found = read_raster(out)
        assert found.dtype == np.uint8 and (found[:60, :70] == 255).all()
        assert np.mean(found != wanted) < 1e-3  # two classes may be as likely, but for rounding


def test_ensembles_and_percentiles_by_tiles(scene):
    scaled = network(scaling=Percentiles(2, 98))
    models = [scaled, network(channels=2)]
    assert_same(nw.predict(models, scene, tile=64), nw.predict(models, scene))


def test_the_size_of_tiles_follows_the_memory(scene, tmp_path, calls):
    model = network()
    wanted = nw.predict(model, scene)
    found = nw.predict(model, scene, tmp_path / "out.npy", memory="1.5MB")
    assert_same(read_raster(found), wanted)
    assert len(set(calls[1:])) == 1 and 20 < calls[-1][0] < 150
    with pytest.raises(NetworkError, match=r"scene\.tif.*--memory"):
        nw.predict(model, scene, memory="10kB")
    with pytest.raises(NetworkError, match="too small"):
        nw.predict(model, scene, tile=4)
    with pytest.raises(NetworkError, match="expected a number"):
        nw.predict(model, scene, tile=(4, 4, 4))
    with pytest.raises(nw.NormwiseError, match="such as 4GB"):
        nw.predict(model, scene, memory="much")


def test_a_tile_that_needs_more_than_the_memory_that_is_named_is_refused(scene, tmp_path, calls):
    model, out = network(), tmp_path / "out.npy"
    found = nw.predict(model, scene, out, tile=TILE, memory="1.5MB")  # it fits
    count = len(calls)
    told = r"scene\.tif: tiles of 48x48 pixels need about .* GB, and 1e-05 GB are allowed"
    for verb in (nw.predict, forecast):
        with pytest.raises(NetworkError, match=rf"{told}.*--memory.*--tile"):
            verb(model, scene, tmp_path / "other.npy", tile=TILE, memory="10kB")
    fixed = nw.build("unet", (64, 64, 2), filters=2, depth=1, norm="instance@pre-activation")
    told = r"64x64 .*--memory\), as the network takes no other size"
    for tile in (TILE, None):
        with pytest.raises(NetworkError, match=told):
            nw.predict(fixed, scene, tmp_path / "other.npy", tile=tile, memory="10kB")
    assert len(calls) == count and [path.name for path in tmp_path.glob("*.npy")] == [found.name]


def test_what_sees_the_whole_image_is_blended_and_said(scene, tmp_path, caplog):
    model = network(norm="instance@pre-activation")
    out = nw.predict(model, scene, tmp_path / "out.tif", tile=64)
    assert "takes the statistics of all pixels" in caplog.text and "differ by" in caplog.text
    found, wanted = read_raster(out), nw.predict(model, scene)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
    assert 0 < np.sqrt(np.nanmean((found - wanted) ** 2)) < np.nanstd(wanted)


def test_how_well_tiles_fit_is_measured_along_a_strip_too(scene, caplog):
    model = network(norm="instance@pre-activation")
    strip = read_raster(scene)[100:, :40].astype(np.float32)
    nw.predict(model, np.tile(strip, (3, 1, 1)), tile=48)
    told = caplog.text[caplog.text.index("they differ by") :].split()[3]
    assert float(told) > 0
    caplog.clear()
    nw.predict(model, np.full((120, 40, 2), np.nan, np.float32), tile=48)
    assert "How well they fit was not measured" in caplog.text


def test_blended_tiles_without_data_are_not_asked_for(scene, calls):
    model = network(norm="instance@pre-activation")
    nw.predict(model, np.ones((*SIZE, 2), np.float32), tile=32)
    count = len(calls)
    nw.predict(model, scene, tile=32)
    assert 0 < len(calls) - count < count


class StopError(Exception):
    pass


@pytest.mark.parametrize("norm", ["batch@pre-activation", "instance@pre-activation"])
def test_an_interrupted_prediction_goes_on(scene, tmp_path, monkeypatch, norm, capsys):
    model, out = network(norm=norm), tmp_path / "out.tif"
    wanted = read_raster(nw.predict(model, scene, tmp_path / "wanted.tif", tile=TILE))
    asked, before = [], whole._predict

    def stopping(model, image):
        asked.append(image.shape)
        if len(asked) == 10:
            raise StopError
        return before(model, image)

    monkeypatch.setattr(whole, "_predict", stopping)
    with pytest.raises(StopError):
        nw.predict(model, scene, out, tile=TILE)
    assert not out.exists() and partial_folder(out).exists()
    with pytest.raises(OutputExistsError, match="--resume"):
        nw.predict(model, scene, out, tile=TILE)
    with pytest.raises(RasterError, match="another model"):
        nw.predict(randomize(network(norm=norm), 5), scene, out, tile=TILE, resume=True)
    with pytest.raises(RasterError, match="another tile"):
        nw.predict(model, scene, out, tile=64, resume=True)
    count = len(asked)
    capsys.readouterr()
    nw.predict(model, scene, out, tile=TILE, resume=True)
    assert len(asked) - count > 0
    told = capsys.readouterr().err
    assert "going on after" in told and told.count("(100%)") == 1
    np.testing.assert_array_equal(read_raster(out), wanted)
    assert not partial_folder(out).exists()
    # What is done is done, and a folder is gone on with file by file.
    count = len(asked)
    assert nw.predict(model, scene, out, tile=TILE, resume=True) == out
    assert len(asked) == count


@pytest.mark.parametrize("stop", range(2, 10))
def test_blended_tiles_go_on_wherever_they_were_interrupted(tmp_path, monkeypatch, stop):
    """Also in the middle of a row of tiles, a part of which is done."""
    rng, asked, before = np.random.default_rng(0), [], whole._predict
    np.save(tmp_path / "scene.npy", rng.normal(size=(60, 56, 2)).astype(np.float32))

    def stopping(model, image):
        asked.append(image.shape)
        if len(asked) == stop:
            raise StopError
        return before(model, image)

    ask = {"model": whole_seer(), "image": tmp_path / "scene.npy", "tile": 24}
    wanted = np.load(nw.predict(**ask, out=tmp_path / "wanted.npy"))
    np.testing.assert_array_equal(nw.predict(**ask), wanted)
    monkeypatch.setattr(whole, "_predict", stopping)
    with pytest.raises(StopError):
        nw.predict(**ask, out=tmp_path / "out.npy")
    found = np.load(nw.predict(**ask, out=tmp_path / "out.npy", resume=True))
    np.testing.assert_array_equal(found, wanted)
    assert len(asked) <= stop + 9
    there = {path.name for path in tmp_path.iterdir()}
    assert there == {"scene.npy", "wanted.npy", "out.npy", ".normwise"}


def whole_seer(outputs=3):
    inputs = x = keras.Input((None, None, 2))
    x = keras.layers.GroupNormalization(groups=-1)(x)
    return randomize(keras.Model(inputs, keras.layers.Conv2D(outputs, 3, padding="same")(x)))


def test_blending_takes_no_more_memory_where_a_scene_is_wider(tmp_path):
    model, most = whole_seer(8), []
    row = 32 * 3000 * 8 * 4
    for width in (300, 300, 3000):  # the first time something is imported or compiled
        pixels = np.random.default_rng(0).normal(size=(80, width, 2)).astype(np.float32)
        np.save(tmp_path / "scene.npy", pixels)
        del pixels
        tracemalloc.start()
        nw.predict(model, tmp_path / "scene.npy", tmp_path / "out.npy", tile=32, overwrite=True)
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert most[2] - most[1] < row / 2


def test_what_blending_takes_counts_for_the_memory_that_is_named():
    model, pixels = whole_seer(), np.zeros((60, 56, 2), np.float32)
    needed = bytes_of([member_of(model)], (24, 24), blended=True)
    nw.predict(model, pixels, tile=24, memory=needed)
    with pytest.raises(NetworkError, match="tiles of 24x24 pixels need about"):
        nw.predict(model, pixels, tile=24, memory=needed - 1)


def test_a_disk_without_room_for_blending_is_said_and_gone_on_with(tmp_path, monkeypatch):
    ask = {"model": whole_seer(), "image": tmp_path / "scene.npy", "tile": 24}
    np.save(tmp_path / "scene.npy", np.random.default_rng(0).normal(size=(60, 56, 2)))
    wanted, before, left = nw.predict(**ask), sums.Sums.write, list(range(5))

    def full(self, *args):
        if not left:
            self._file.close()
            self._file = (tmp_path / "scene.npy").open("rb")
        left[:] = left[1:]
        before(self, *args)

    monkeypatch.setattr(sums.Sums, "write", full)
    with pytest.raises(RasterError, match=r"\.out\.npy\.parts: can't be written .*--resume"):
        nw.predict(**ask, out=tmp_path / "out.npy")
    monkeypatch.undo()
    found = np.load(nw.predict(**ask, out=tmp_path / "out.npy", resume=True))
    np.testing.assert_array_equal(found, wanted)


def test_a_network_that_changes_the_size_is_refused():
    inputs = keras.Input((None, None, 2))
    model = keras.Model(inputs, keras.layers.Conv2D(1, 3)(inputs))
    with pytest.raises(NetworkError, match="6x6 pixels of 8x8"):
        nw.predict(model, np.zeros((8, 8, 2), np.float32))


def test_the_command_says_how_it_goes(scene, tmp_path):
    network().save(tmp_path / "model.keras")
    done = normwise(
        "predict", "model.keras", scene, "-o", "out.tif", "--tile", "48,64", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "scene.tif: " in done.stderr and "tiles of 48x64 pixels" in done.stderr
    assert "of the work on halos" in done.stderr and "(100%)" in done.stderr
    wrong = normwise("predict", "model.keras", scene, "-o", "o.tif", "--tile", "big", cwd=tmp_path)
    assert wrong.returncode == 2 and "for example 512" in wrong.stderr

"""Images that are unlike those of the run are refused before the work, all at once."""

import re

import keras
import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.transform import from_origin

import normwise as nw
from normwise.data.reading import Record
from normwise.errors import DataError, EngineMissingError
from normwise.rasters import RasterInfo, raster_info, read_raster, write_raster
from normwise.rasters.geolocation import Geolocation
from normwise.training.recipe import Recipe, to_yaml
from normwise.workflows.forecast import forecast
from tests.commands import normwise

NAMES = ("blue", "green", "red")
PLACE = {"crs": CRS.from_epsg(32632), "transform": from_origin(5e5, 5e6, 10, 10)}


def image(path, names=NAMES, dtype=np.int16, place=PLACE):
    pixels = np.arange(20 * 24 * len(names)).reshape(20, 24, -1) % (101 + ord(path.stem[0]))
    like = RasterInfo(path, 20, 24, len(names), np.dtype(dtype), **place)
    write_raster(path, pixels.astype(dtype), like=like, band_names=names)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that was trained on three named bands of a place, and uses the last two."""
    folder = tmp_path_factory.mktemp("run")
    inputs = keras.Input((None, None, 2))
    keras.Model(inputs, keras.layers.Conv2D(1, 1)(inputs)).save(folder / "model.keras")
    recipe = Recipe(data={"path": "gone", "bands": [1, 2]})
    (folder / "recipe.yaml").write_text(to_yaml(recipe))
    Record(channels=list(NAMES), dtype="uint16", placed=True).write(folder)
    return folder


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"names": ("red", "green", "blue")}, "its bands are red, green, blue.*--bands 1,0"),
        ({"names": ("x", "blue", "green", "red")}, "--bands 2,3"),
        ({"names": ("Red", "Green", "Blue")}, "its bands are Red, Green, Blue.*--bands 1,0"),
        ({"names": ("blue", "green", "nir")}, "its bands are blue, green, nir.*takes green, red"),
        ({"dtype": np.float32}, "pixels are float32.*trained on uint16"),
        ({"dtype": np.uint8}, "pixels are uint8"),
        ({"place": {}}, "no coordinate system.*gdal_edit"),
    ],
)
def test_what_is_unlike_is_refused(run, tmp_path, options, told):
    path = image(tmp_path / "odd.tif", **options)
    with pytest.raises(DataError, match=r"odd\.tif: is unlike.*--unchecked") as caught:
        nw.predict(run, path, tmp_path / "out.tif")
    assert any(re.search(told, problem) for problem in caught.value.problems)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["odd.tif"]
    nw.predict(run, path, tmp_path / "out.tif", checked=False)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("same.tif", {}),
        ("other_names.tif", {"names": ("B2", "B3", "B4")}),  # a sensor with other names
        ("unused.tif", {"names": ("cloud", "green", "red")}),
        ("unnamed.tif", {"names": ("", "", "")}),
        ("plain.npy", {"dtype": np.int32}),  # an array has no place and no names
    ],
)
def test_what_is_like_enough_is_predicted(run, tmp_path, name, options):
    path = image(tmp_path / name, **options)
    assert nw.predict(run, path).shape == (20, 24, 1)


@pytest.mark.parametrize("tile", [None, 8])
def test_points_on_the_ground_are_a_place_and_are_kept(run, tmp_path, tile):
    corners = ((0.0, 0.0), (0.0, 24.0), (20.0, 0.0), (20.0, 24.0))
    points = tuple((row, col, 8 + col, 46 - row, 5.0) for row, col in corners)
    geolocation = Geolocation(points, CRS.from_epsg(4326))
    path = image(tmp_path / "a.tif", place={"geolocation": geolocation})
    written = nw.predict(run, path, tmp_path / "out.tif", tile=tile)
    assert raster_info(written).geolocation == geolocation


def test_bands_that_are_named_by_the_user_are_taken(run, tmp_path):
    turned = image(tmp_path / "a.tif", names=("red", "green", "blue"))
    found = nw.predict(run, turned, bands=[1, 0])
    pixels = read_raster(turned)[..., [1, 0]]
    np.testing.assert_allclose(found, nw.predict(run / "model.keras", pixels, bands=[0, 1]))


def test_the_problems_of_a_folder_are_told_first_and_the_others_done(run, tmp_path, caplog):
    folder = tmp_path / "in"
    image(folder / "a.tif", names=("red", "green", "blue"))
    image(folder / "b.tif")
    image(folder / "c.tif", names=("green",))
    image(folder / "d.tif", place={})
    (folder / "e.tif").write_bytes((folder / "b.tif").read_bytes()[:300])
    with pytest.raises(DataError, match="1 predicted, 4 failed") as caught:
        nw.predict(run, folder, tmp_path / "out")
    text = "\n".join(caught.value.problems)
    for part in ("a.tif: is unlike", "c.tif: the image has 1 channels", "d.tif", "e.tif"):
        assert part in text
        assert part in caplog.text  # before the work
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [".normwise", "b.tif"]
    caplog.clear()
    (folder / "b.tif").unlink()
    with pytest.raises(DataError, match="0 predicted, 4 failed"):
        nw.predict(run, folder, tmp_path / "none")
    assert "left out" not in caplog.text and not (tmp_path / "none").exists()


def test_a_dry_run_says_what_would_be_done(run, tmp_path):
    path = image(tmp_path / "a.tif")
    told = normwise("predict", run, path, "-o", tmp_path / "o.tif", "--dry-run", "--tile", "8")
    assert told.returncode == 0, told.stderr
    assert "a.tif: 20x24 pixels, tiles equal the whole image" in told.stdout
    chosen = next(line for line in told.stdout.splitlines() if "chosen" in line)
    assert chosen.split()[:3] == ["8x8", "9", "tiles"] and "16.7%" in chosen
    assert "20x24          whole    0.0%" in told.stdout
    image(tmp_path / "in" / "a.tif")
    image(tmp_path / "in" / "b.tif", dtype=np.float32)
    image(tmp_path / "in" / "c.tif", names=("green",))
    told = normwise("predict", run, tmp_path / "in", "-o", tmp_path / "out", "--dry-run")
    assert told.returncode == 2
    assert "2 of its images can't be predicted" in told.stderr
    assert "float32" in told.stderr and "c.tif" in told.stderr
    assert not (tmp_path / "o.tif").exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--engine", "tensorrt"), "allowed: keras, openvino"),
        (("--precision", "int8"), "allowed: float32, bfloat16"),
        (("--processes", "3"), "belongs to --on ray"),
        (("--on", "slurm"), "received 'slurm'; allowed: ray"),
    ],
)
def test_a_dry_run_refuses_what_a_prediction_would(run, tmp_path, words, told):
    path = image(tmp_path / "a.tif")
    done = normwise("predict", run, path, "-o", tmp_path / "o.tif", "--dry-run", *words)
    assert done.returncode == 2 and told in done.stderr


def test_a_dry_run_needs_the_engine(run, tmp_path, monkeypatch):
    monkeypatch.setattr("normwise.inference.formats.format.find_spec", lambda name: None)
    with pytest.raises(EngineMissingError, match="pip install"):
        forecast(run, image(tmp_path / "a.tif"), tmp_path / "o.tif", engine="openvino")


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_what_is_transparent_is_predicted_and_that_is_told(tmp_path, caplog, suffix):
    def taking(channels):
        inputs = keras.Input((None, None, channels))
        return keras.Model(inputs, keras.layers.Conv2D(1, 1)(inputs))

    path = tmp_path / f"a{suffix}"
    pixels = np.full((20, 24, 4), 9, np.uint8)
    pixels[:5] = 0
    with rasterio.open(
        path, "w", "PNG" if suffix == ".png" else "GTiff", 24, 20, 4, dtype="uint8"
    ) as file:
        file.write(np.moveaxis(pixels, -1, 0))
    assert raster_info(path).alpha == 3
    three, four, told = taking(3), taking(4), "a{}: band 4 is opacity (alpha), which is no mask"
    for out in (None, tmp_path / "o.npy"):
        caplog.clear()
        nw.predict(three, path, out, bands=(0, 1, 2))
        assert caplog.text.count(told.format(suffix)) == 1
    assert "gdal_translate -b 1 -b 2 -b 3 -mask 4" in caplog.text
    caplog.clear()
    # The controls: the band is taken, or something tells what is missing.
    nw.predict(four, path)
    nw.predict(three, path, bands=(1, 2, 3))
    assert np.isnan(nw.predict(three, path, bands=(0, 1, 2), nodata=0)[:5]).all()
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        masked = tmp_path / "masked.tif"
        with rasterio.open(masked, "w", "GTiff", 24, 20, 3, dtype="uint8") as file:
            file.write(np.moveaxis(pixels[..., :3], -1, 0))
            file.write_mask(pixels[..., 3] > 0)
    assert np.isnan(nw.predict(three, masked)[:5]).all()
    assert "opacity" not in caplog.text

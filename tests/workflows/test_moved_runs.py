"""A run reads images as its own were, wherever it is and whatever became of its data folder."""

import shutil

import numpy as np
import pytest

import normwise as nw
from normwise.data import open_dataset
from normwise.errors import DataError
from normwise.rasters import read_raster, write_raster

pytestmark = pytest.mark.usefixtures("no_pictures")

BANDS = ("B02", "B08", "B11")
OWN_ORDER = ("B11", "B02", "B08")
NODATA = 7
SMALL = [
    "training.epochs=1", "training.steps=3", "training.batch_size=2", "network.filters=4",
    "network.depth=1", "data.patch=16", "training.workers=1",
]  # fmt: skip


def pixels_of(rng, bands=BANDS):
    """Channels of very different levels, so that their order matters."""
    image = np.stack([rng.normal(1000 * (1 + BANDS.index(b)), 50, (20, 24)) for b in bands], -1)
    return image.astype(np.uint16)


def fill(root, by_name: bool, description: str):
    rng = np.random.default_rng(0)
    for name in "abcd":
        image = pixels_of(rng)
        image[:3, :3] = NODATA
        for channel, band in enumerate(BANDS):
            place = f"{name}_{band}.tif" if by_name else f"{name}/{band}.tif"
            write_raster(root / "images" / place, image[..., channel, None])
        write_raster(root / "masks" / f"{name}.png", (image[..., 0] > 1000).astype(np.uint8))
    if description:
        (root / "dataset.yaml").write_text(description)
    return root


def trained(root, data):
    run = nw.train({"data": {"path": str(data)}}, out=root / "run", settings=SMALL, progress=False)
    return run.folder


DESCRIBED = f'bands: [B11, B02, B08]\nimages: "{{name}}_{{band}}.tif"\nnodata: {NODATA}\n'


@pytest.fixture(scope="module", params=["described", "plain"])
def case(request, tmp_path_factory):
    """A run whose data folder is gone, a copy of its images, and their order for the model."""
    root = tmp_path_factory.mktemp(request.param)
    described = request.param == "described"
    data = fill(root / "data", described, DESCRIBED if described else "")
    folder = trained(root, data)
    metrics = nw.evaluate(folder, split="val")
    shutil.copytree(data, root / "copy")
    shutil.rmtree(data)
    return folder.rename(root / "moved"), root / "copy", OWN_ORDER if described else BANDS, metrics


def read(images, name: str, order):
    return np.concatenate([read_raster(file_of(images, name, band)) for band in order], axis=-1)


def file_of(images, name: str, band: str):
    single = images / f"{name}_{band}.tif"
    return single if single.exists() else images / name / f"{band}.tif"


def test_a_folder_is_predicted_in_the_order_of_the_run(case, tmp_path):
    run, copy, order, _ = case
    written = nw.predict(run, copy / "images", tmp_path / "out")
    assert [path.stem for path in written] == list("abcd")
    image = read(copy / "images", "c", order)
    nodata = NODATA if order == OWN_ORDER else None
    wanted = nw.predict(run / "model.keras", image, nodata=nodata)
    np.testing.assert_allclose(read_raster(written[2]), wanted, rtol=1e-5, atol=1e-6)
    turned = nw.predict(run, image[..., ::-1], nodata=nodata)
    assert np.nanmax(np.abs(turned - wanted)) > 1e-3
    assert np.isnan(wanted).any() == (order == OWN_ORDER)


def test_nodata_stays_with_the_run(case):
    run, copy, order, _ = case
    predicted = nw.predict(run, read(copy / "images", "a", order))
    assert np.isnan(predicted[:3, :3]).all() == (order == OWN_ORDER)
    assert not np.isnan(predicted[3:]).any()


def test_one_folder_is_one_image_with_more_bands_than_the_run_takes(case, tmp_path):
    run, copy, order, _ = case
    image = read(copy / "images", "b", BANDS)
    for channel, band in enumerate(BANDS):
        write_raster(tmp_path / "scene" / f"s_{band}.tif", image[..., channel, None])
    write_raster(tmp_path / "scene" / "s_B01.tif", image[..., :1])
    written = nw.predict(run, tmp_path / "scene", tmp_path / "out.tif")
    wanted = nw.predict(run, read(copy / "images", "b", order))
    np.testing.assert_allclose(read_raster(written), wanted, rtol=1e-5, atol=1e-6)
    (tmp_path / "scene" / "s_B08.tif").unlink()
    with pytest.raises(DataError, match="lacks the band B08"):
        nw.predict(run, tmp_path / "scene", tmp_path / "two.tif")


def test_an_image_that_lacks_a_band_is_left_out(tmp_path, case):
    run, copy, _, _ = case
    shutil.copytree(copy / "images", tmp_path / "in")
    file_of(tmp_path / "in", "b", "B02").unlink()
    with pytest.raises(DataError, match=r"3 predicted, 1 failed(?s:.)*in/b: lacks the band B02"):
        nw.predict(run, tmp_path / "in", tmp_path / "out")
    found = sorted(path.stem for path in (tmp_path / "out").iterdir())
    assert found == [".normwise", "a", "c", "d"]


def test_the_moved_data_are_measured_alike(case, tmp_path):
    """Without a word of its own, a folder is read as the run's was; with another order, too."""
    run, copy, order, _ = case
    own = nw.evaluate(run, copy, split="train").values
    shutil.copytree(copy, tmp_path / "silent")
    (tmp_path / "silent" / "dataset.yaml").unlink(missing_ok=True)
    assert nw.evaluate(run, tmp_path / "silent", split="train").values == pytest.approx(own)
    pattern = 'images: "{name}_{band}.tif"\n' if order == OWN_ORDER else ""
    nodata = f"nodata: {NODATA}\n" if order == OWN_ORDER else ""
    (tmp_path / "silent" / "dataset.yaml").write_text(f"bands: [B08, B02, B11]\n{pattern}{nodata}")
    assert nw.evaluate(run, tmp_path / "silent", split="train").values == pytest.approx(own)


def test_other_bands_are_refused(case, tmp_path):
    run, copy, order, _ = case
    shutil.copytree(copy, tmp_path / "two")
    pattern = 'images: "{name}_{band}.tif"\n' if order == OWN_ORDER else ""
    (tmp_path / "two" / "dataset.yaml").write_text(f"bands: [B02, B08]\n{pattern}")
    with pytest.raises(DataError, match=r"has the bands B02, B08; the run was trained with B"):
        nw.evaluate(run, tmp_path / "two", split="val")


def test_a_record_that_is_none(case, tmp_path):
    run, copy, _, _ = case
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "images.yaml").write_text("band: [B02]\n")
    with pytest.raises(DataError, match=r"images\.yaml: can't be used(?s:.)*band: is unknown"):
        nw.predict(tmp_path / "run", copy / "images", tmp_path / "out")


def test_a_run_without_a_record_asks_its_data_folder(case, tmp_path):
    """Runs of older versions have no images.yaml."""
    run, copy, order, _ = case
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "images.yaml").unlink()
    for band in BANDS:
        (tmp_path / "in" / "x").mkdir(parents=True, exist_ok=True)
        shutil.copy(file_of(copy / "images", "a", band), tmp_path / "in" / "x" / f"{band}.tif")
    with pytest.raises(DataError, match="doesn't know which of them holds which band"):
        nw.predict(tmp_path / "run", tmp_path / "in", tmp_path / "out")
    recipe = (tmp_path / "run" / "recipe.yaml").read_text()
    line = next(part for part in recipe.splitlines() if part.strip().startswith("path:"))
    (tmp_path / "run" / "recipe.yaml").write_text(recipe.replace(line, f"  path: {copy}"))
    nw.predict(tmp_path / "run", copy / "images", tmp_path / "out")
    found = read_raster(tmp_path / "out" / "a.tif")
    wanted = nw.predict(run, read(copy / "images", "a", order))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_a_run_on_single_files_knows_no_order(tmp_path):
    rng = np.random.default_rng(1)
    for name in "abcd":
        image = pixels_of(rng)
        write_raster(tmp_path / "data/images" / f"{name}.tif", image)
        write_raster(tmp_path / "data/masks" / f"{name}.png", (image[..., 0] > 1000).astype("u1"))
    run = trained(tmp_path, tmp_path / "data")
    image = pixels_of(rng)
    for channel, band in enumerate(BANDS):
        write_raster(tmp_path / "scenes" / "x" / f"{band}.tif", image[..., channel, None])
    for out in (tmp_path / "out", tmp_path / "out.tif"):
        where = tmp_path / "scenes" / ("x" if out.suffix else "")
        with pytest.raises(DataError, match=r"B02\.tif: is one of 3 files .* in the order of"):
            nw.predict(run, where, out)
    listed = nw.predict(run, [tmp_path / "scenes" / "x" / f"{band}.tif" for band in BANDS])
    np.testing.assert_array_equal(listed, nw.predict(run, image))
    fill(tmp_path / "several", False, "")
    with pytest.raises(DataError, match=r"the run doesn't know their order\. Write it to dataset"):
        nw.evaluate(run, tmp_path / "several", split="val")
    (tmp_path / "several" / "dataset.yaml").write_text("bands: [B02, B08, B11]\n")
    nw.evaluate(run, tmp_path / "several", split="val")


def test_splits_with_other_bands_are_a_problem(tmp_path):
    fill(tmp_path / "all", False, "")
    for split, names in (("train", "abc"), ("val", "d")):
        for name in names:
            shutil.copytree(tmp_path / "all/images" / name, tmp_path / split / "images" / name)
            (tmp_path / split / "masks").mkdir(exist_ok=True)
            shutil.copy(tmp_path / f"all/masks/{name}.png", tmp_path / split / "masks")
    (tmp_path / "val/images/d/B11.tif").rename(tmp_path / "val/images/d/B12.tif")
    shutil.rmtree(tmp_path / "all")
    with pytest.raises(DataError, match=r"val/images: has the bands B02, B08, B12, but train/im"):
        open_dataset(tmp_path)

"""Volumes from a folder to predictions, with a small network of three dimensions."""

import nibabel
import numpy as np
import pytest
import tifffile
from rasterio.crs import CRS
from rasterio.transform import from_origin

import normwise as nw
from normwise.data import open_dataset
from normwise.errors import DataError, NetworkError
from normwise.inference.whole import predict_whole
from normwise.rasters import RasterInfo, raster_info, read_raster, write_raster

AFFINE = np.array([[0, -0.5, 0, 10], [0.7, 0, 0, -20], [0, 0, 2.5, 30], [0, 0, 0, 1.0]])
SMALL = [
    "training.epochs=1", "training.steps=2", "training.batch_size=2", "network.filters=4",
    "network.depth=1", "data.patch=[8,16,16]", "training.workers=1",
]  # fmt: skip


def fill(folder, suffix: str, count: int = 4):
    rng = np.random.default_rng(0)
    for index in range(count):
        mask = (rng.random((5, 9, 10)) > 0.6).repeat(2, 0).repeat(2, 1).repeat(2, 2)
        image = (rng.normal(100, 10, mask.shape) + 60 * mask).astype(np.int16)
        for kind, array in (("images", image), ("masks", mask.astype(np.uint8))):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            path = folder / kind / f"case{index}.{suffix}"
            if suffix == "nii.gz":
                # Masks as floats, as many tools write them.
                stored = array.astype(np.float32) if kind == "masks" else array
                nibabel.save(nibabel.Nifti1Image(stored.transpose(2, 1, 0), AFFINE), path)
            elif suffix == "tif":
                tifffile.imwrite(path, array, photometric="minisblack", metadata=None)
            else:
                write_raster(path, array[..., None])
    if suffix == "tif":
        (folder / "dataset.yaml").write_text("dimensions: 3\n")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("volumes")
    data = fill(folder / "data", "nii.gz")
    return nw.train(
        {"data": {"path": str(data)}}, out=folder / "run", settings=SMALL, progress=False
    )


@pytest.mark.parametrize("suffix", ["nii.gz", "tif", "zarr", "npy"])
def test_a_folder_of_volumes_is_recognized(tmp_path, suffix):
    data = open_dataset(fill(tmp_path, suffix))
    assert (data.dimensions, data.channels, data.outputs) == (3, 1, 2)
    assert {item.shape for item in data.items} == {(10, 18, 20)}
    assert {item.name for item in data.items} == {f"case{index}" for index in range(4)}


def test_a_run_on_volumes_leaves_a_network_of_three_dimensions_and_its_pictures(run):
    assert run.model.input_shape == (None, None, None, None, 1)
    assert 0 <= run.metrics.values["iou"] <= 1
    assert (run.folder / "preview.png").stat().st_size > 5000
    again = nw.evaluate(run.folder, split="val")
    assert again.values["iou"] == pytest.approx(run.metrics.values["iou"], abs=1e-6)
    page = (run.folder / "report.html").read_text()
    assert ", slice 5: " in page
    assert page.count("data:image/png;base64") == 4


def test_predictions_of_volumes_keep_format_and_affine(run, tmp_path):
    images = run.folder.parent / "data" / "images"
    written = nw.predict(run.folder, images, tmp_path / "out", classes=True)
    assert [path.name for path in written] == [f"case{index}.nii.gz" for index in range(4)]
    result = nibabel.load(written[0])
    np.testing.assert_allclose(result.affine, AFFINE, rtol=1e-6, atol=0)
    assert (result.shape, result.get_data_dtype()) == ((20, 18, 10), np.uint8)
    pixels = read_raster(images / "case0.nii.gz")
    whole = nw.predict(run.folder, pixels)
    assert whole.shape == (10, 18, 20, 1)
    np.testing.assert_array_equal(read_raster(written[0]), whole > 0.5)
    for name in ("one.zarr", "one.tif", "one.npy"):
        nw.predict(run.folder, images / "case0.nii.gz", tmp_path / name)
        np.testing.assert_allclose(read_raster(tmp_path / name), whole, rtol=1e-5, atol=1e-6)
    with pytest.raises(NetworkError, match="slices, rows, columns, 1"):
        nw.predict(run.folder, pixels[0])


def test_predictions_of_stacks_keep_their_place(tmp_path):
    place = {"crs": CRS.from_epsg(32632), "transform": from_origin(5e5, 5e6, 10, 10)}
    like = RasterInfo(tmp_path / "x", 16, 8, 1, np.dtype(np.float32), depth=4, **place)
    write_raster(tmp_path / "scene.tif", np.ones((4, 16, 8, 1), np.float32), like)
    for tile in (None, (2, 8, 8)):
        out = nw.predict(anisotropic(), tmp_path / "scene.tif", tmp_path / f"{tile}.tif", tile=tile)
        found = raster_info(out)
        assert found.shape == (4, 16, 8)
        assert (found.crs, found.transform) == (like.crs, like.transform)


def anisotropic(size=(None, None, None)):
    """Averages over 1 x 4 x 2 voxels and back: a stride of its own for each axis."""
    from keras import Input, Model, layers

    inputs = Input((*size, 1))
    x = layers.AveragePooling3D((1, 4, 2))(inputs)
    return Model(inputs, layers.UpSampling3D((1, 4, 2))(x))


@pytest.mark.parametrize("size", [(None, None, None), (2, 4, 4)])
def test_a_stride_for_each_axis(size):
    volume = np.random.default_rng(1).normal(size=(3, 6, 5, 1)).astype(np.float32)
    edged = np.pad(volume, ((0, 0), (0, 2), (0, 1), (0, 0)), mode="edge")
    means = edged.reshape(3, 2, 4, 3, 2, 1).mean((2, 4))
    expected = means.repeat(4, 1).repeat(2, 2)[:, :6, :5]
    found = predict_whole(anisotropic(size), volume)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert np.abs(found - volume).max() > 0.1


def test_a_label_that_lies_elsewhere_than_its_volume(tmp_path):
    fill(tmp_path, "nii.gz")
    path = tmp_path / "masks" / "case1.nii.gz"
    image = nibabel.load(path)
    flipped = AFFINE.copy()
    flipped[:, 0] *= -1
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), flipped), path)
    fractions = nibabel.Nifti1Image(np.asarray(image.dataobj) / 2, AFFINE)
    nibabel.save(fractions, tmp_path / "masks" / "case2.nii.gz")
    with pytest.raises(DataError) as caught:
        open_dataset(tmp_path)
    assert len(caught.value.problems) == 2
    assert "case1.nii.gz: has another affine" in str(caught.value)
    assert "case2.nii.gz: a mask holds whole numbers" in str(caught.value)


def test_slices_are_channels_where_labels_are_plain_images(tmp_path):
    rng = np.random.default_rng(0)
    for name in "ab":
        for kind in ("images", "masks"):
            (tmp_path / kind).mkdir(exist_ok=True)
        planes = rng.integers(0, 9, (5, 12, 12)).astype(np.uint16)
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", planes, imagej=True,
                         metadata={"axes": "ZYX"})  # fmt: skip
        write_raster(tmp_path / "masks" / f"{name}.png", (planes[0] > 4).astype(np.uint8))
    data = open_dataset(tmp_path)
    assert (data.dimensions, data.channels) == (2, 5)
    assert raster_info(data.items[0].image).depth == 5


def test_images_of_several_files_are_predicted_as_one(tmp_path):
    from keras import Input, Model, ops

    inputs = Input((None, None, 2))
    model = Model(inputs, ops.sum(inputs * np.array([1.0, 10.0], np.float32), -1, keepdims=True))
    for name in "ab":
        for value, band in ((1, "B1"), (2, "B2")):
            write_raster(tmp_path / "in" / name / f"{band}.tif", np.full((3, 4), value, np.uint8))
    written = nw.predict(model, tmp_path / "in", tmp_path / "out")
    assert [path.name for path in written] == ["a.tif", "b.tif"]
    assert (read_raster(written[0]) == 21).all()
    one = nw.predict(model, tmp_path / "in" / "b", tmp_path / "one.tif")
    assert (read_raster(one) == 21).all()
    turned = [tmp_path / "in" / "a" / f"{band}.tif" for band in ("B2", "B1")]
    assert (nw.predict(model, turned) == 12).all()


def test_a_zarr_is_one_image_and_no_folder_of_images(run, tmp_path):
    pixels = read_raster(run.folder.parent / "data" / "images" / "case0.nii.gz")
    write_raster(tmp_path / "case.zarr", pixels)
    found = nw.predict(run.folder, tmp_path / "case.zarr")
    np.testing.assert_array_equal(found, nw.predict(run.folder, pixels))

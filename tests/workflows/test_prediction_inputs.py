"""Nothing that a prediction reads is ever replaced by what it writes, by whatever name."""

import os
from pathlib import Path

import numpy as np
import pytest

import normwise as nw
from normwise.errors import RasterError
from normwise.rasters import write_raster
from normwise.workflows import forecast, predict
from normwise.workflows.ensembles import write_ensemble
from normwise.workflows.prediction_inputs import refuse_inputs
from tests.commands import normwise


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("model.keras", "recipe.yaml", "images.yaml"):
        (folder / name).write_text("{}")
    return folder


@pytest.fixture
def image(tmp_path):
    write_raster(tmp_path / "scene.png", np.full((8, 8, 3), 9, np.uint8))
    return tmp_path / "scene.png"


@pytest.fixture
def idle(monkeypatch):
    """No model is loaded: what is refused is refused before."""
    monkeypatch.setattr(predict, "Predictor", None)
    monkeypatch.setattr(forecast, "Predictor", None)


def _itself(path):
    return path


def _by_another_path(path):
    return path.parent / "run" / ".." / path.name


def _by_a_link(path):
    (path.parent / "link.png").symlink_to(path.name)
    return path.parent / "link.png"


def _by_a_link_to_its_folder(path):
    (path.parent / "elsewhere").symlink_to(path.parent)
    return path.parent / "elsewhere" / path.name


def _by_a_hard_link(path):
    os.link(path, path.parent / "hard.png")
    return path.parent / "hard.png"


WAYS = (_itself, _by_another_path, _by_a_link, _by_a_link_to_its_folder, _by_a_hard_link)


@pytest.mark.parametrize("way", WAYS)
def test_an_image_is_never_its_own_picture_or_prediction(run, image, idle, way):
    path, before = way(image), image.read_bytes()
    told = r"is the image itself(, under another name \(.*scene\.png\))?; name another output"
    for out, overlay in ((None, path), (image.with_name("out.tif"), path), (path, None)):
        with pytest.raises(RasterError, match=told):
            nw.predict(run, image, out, overlay=overlay, overwrite=True)
    with pytest.raises(RasterError, match=told):
        forecast.forecast(run, image, image.with_name("out.tif"), overlay=path, overwrite=True)
    words = "predict", run, image, "-o", image.with_name("out.tif"), "--overlay", path
    for more in ((), ("--dry-run",)):
        done = normwise(*words, "--overwrite", *more)
        assert done.returncode == 2 and "is the image itself" in done.stderr
    assert image.read_bytes() == before
    assert not image.with_name("out.tif").exists()


def test_every_file_of_an_image_counts(run, image, tmp_path):
    write_raster(tmp_path / "b.png", np.zeros((8, 8, 1), np.uint8))
    vrt, mask, world = tmp_path / "a.vrt", tmp_path / "scene.png.msk", tmp_path / "scene.pgw"
    mask.write_bytes(b"")
    world.write_text("1\n0\n0\n-1\n0\n0\n")
    vrt.write_text('<SourceFilename relativeToVRT="1">b.png</SourceFilename>')
    (tmp_path / "mask.tif").symlink_to(mask)
    bands = (image, tmp_path / "b.png")
    mosaic = tmp_path / "of-others.vrt"
    mosaic.write_text(f"<SourceFilename>{vrt}</SourceFilename><SourceFilename>{mosaic}<")
    for images, output, told in (
        ([bands], bands[1], "is the image itself"),
        ([vrt], bands[1], r"is read with the image a\.vrt"),
        ([mosaic], bands[1], r"is read with the image of-others\.vrt"),
        ([bands], tmp_path / "mask.tif", r"is read with the image scene\.png, under another name"),
        ([image], world, r"is read with the image scene\.png"),
    ):
        with pytest.raises(RasterError, match=told):
            refuse_inputs(run, images, [output])
    refuse_inputs(run, [vrt], [image])  # not read for it
    vrt.write_bytes(b"\xff\xfe\x00")
    refuse_inputs(run, [vrt], [tmp_path / "out.tif"])  # who opens it says what is wrong
    with pytest.raises(RasterError, match="is the image itself"):
        refuse_inputs(run, [vrt], [vrt])


def test_an_output_in_a_zarr_that_is_read_would_change_it(run, tmp_path):
    scene = tmp_path / "scene.zarr"
    write_raster(scene, np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "link").symlink_to(scene)
    for output in (scene / "labels" / "out.zarr", tmp_path / "link" / "out.tif"):
        with pytest.raises(RasterError, match=r"out\.\w+: lies in .*scene\.zarr, which is read"):
            refuse_inputs(run, [scene], [output])
    refuse_inputs(run, [scene], [tmp_path / "scene.zarr.tif", tmp_path / "other.zarr" / "a.tif"])


def test_a_model_with_its_run_and_ensemble_counts(run, tmp_path):
    model, both = run / "model.keras", tmp_path / "both.zarr"
    both.mkdir()
    write_ensemble(both, ["one"])
    (both / "one").mkdir()
    (both / "one" / "model.keras").write_text("{}")
    for name, target in (("model.png", model), ("recipe.png", run / "recipe.yaml")):
        (run / name).symlink_to(target)
    for named, output, told in (
        (model, model, "is the model itself"),
        (str(run), run / "model.png", "is the model itself, under another name"),
        ([run, "gone"], run, "is the model itself"),
        (model, run / "recipe.png", "is read with the model, under another name"),
        (both, both / "ensemble.json", "is read with the model"),
        ([both], both / "one" / "model.keras", "is the model itself"),
        (both, both, "is the model itself"),
    ):
        with pytest.raises(RasterError, match=told):
            refuse_inputs(named, (), [output])
    with pytest.raises(RasterError, match="is the model itself"):
        nw.predict(str(run), np.zeros((8, 8, 3)), run / "model.png", overwrite=True)


def test_other_outputs_are_free_but_no_file_is_two_of_them(run, image, tmp_path):
    (tmp_path / "old.zarr").mkdir()
    others = [run / "a.tif", tmp_path / "old.zarr", tmp_path / "look.png", None]
    refuse_inputs(run, [image], others)
    refuse_inputs(lambda: None, [image, Path("gone.tif"), Path("gone.vrt")], others)
    for twice in (tmp_path / "look.png", str(run / ".." / "look.png")):
        with pytest.raises(RasterError, match=r"look\.png: is the prediction, too"):
            refuse_inputs(run, [image], [*others, twice])
    image.rename(tmp_path / "old.zarr" / image.name)
    with pytest.raises(RasterError, match="holds what is read for it"):
        refuse_inputs(run, [tmp_path / "old.zarr" / image.name], others)

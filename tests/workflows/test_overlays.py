"""Pictures of predictions: what they show, and that scenes of any size are read by windows."""

import keras
import numpy as np
import pytest
from PIL import Image

import normwise as nw
from normwise.errors import OutputExistsError, RasterError
from normwise.rasters import write_raster
from normwise.rasters.reduced import factor_for, reduced
from normwise.report import quick_look
from normwise.report.class_colours import class_colours
from normwise.workflows import overlays
from tests.commands import normwise


@pytest.fixture
def drawn(monkeypatch):
    """What the picture is made of."""
    seen, before = [], quick_look.draw_quick_look

    def kept(path, image, panels, title, shown):
        seen.append((image, panels, title, shown))
        before(path, image, panels, title, shown)

    monkeypatch.setattr(quick_look, "draw_quick_look", kept)
    return seen


def thirds(activation="softmax", channels=3):
    inputs = keras.Input((None, None, channels))
    return keras.Model(inputs, keras.layers.Activation(activation)(inputs))


def scene(path, size=(90, 60)):
    pixels = np.zeros((*size, 3), np.float32)
    for channel, third in enumerate(np.array_split(np.arange(size[0]), 3)):
        pixels[third, :, channel] = 5
    pixels[:10, :10] = np.nan
    write_raster(path, pixels, band_names=("blue", "green", "red"))
    return path


@pytest.mark.parametrize("classes", [True, False])
def test_classes_are_laid_over_the_image(tmp_path, drawn, classes):
    path = scene(tmp_path / "a.tif")
    nw.predict(thirds(), path, tmp_path / "o.tif", classes=classes, overlay=tmp_path / "o.png")
    image, (panel,), title, shown = drawn[0]
    assert image.shape == (90, 60, 3) and title == "a.tif" and shown == "red, green, blue"
    assert (panel.ids[:10, :10] == 255).all()
    np.testing.assert_array_equal(panel.ids[[12, 40, 80], 30], [0, 1, 2])
    assert panel.colours == class_colours(3) and panel.names == ("class 0", "class 1", "class 2")
    with Image.open(tmp_path / "o.png") as picture:
        assert picture.width > picture.height and len(np.unique(np.asarray(picture))) > 10


def test_values_and_deviations_stand_beside_the_image(tmp_path, drawn):
    path = scene(tmp_path / "a.tif")
    model = thirds("linear")
    nw.predict(model, path, overlay=tmp_path / "o.png", std=True, tta="flips")
    _, panels, title, _ = drawn[0]
    assert title == "a.tif, the first 5 of 6 outputs"
    assert [panel.name for panel in panels] == [
        *(f"output {i}" for i in (1, 2, 3)), *(f"std of output {i}" for i in (1, 2)),
    ]  # fmt: skip
    np.testing.assert_array_equal(panels[0].values[[12, 40], 30], [5, 0])
    assert np.isnan(panels[0].values[:10, :10]).all()


def test_an_existing_picture_is_kept_and_the_work_not_begun(tmp_path, monkeypatch):
    path = scene(tmp_path / "a.tif")
    (tmp_path / "o.png").write_text("mine")
    monkeypatch.setattr("normwise.workflows.predict.predict_file", None)
    with pytest.raises(OutputExistsError):
        nw.predict(thirds(), path, tmp_path / "o.tif", overlay=tmp_path / "o.png")
    assert (tmp_path / "o.png").read_text() == "mine"
    with pytest.raises(RasterError, match=r"\.png file"):
        nw.predict(thirds(), path, overlay=tmp_path / "o.jpg")


def test_a_picture_that_can_not_be_written_is_said(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(quick_look, "draw_quick_look", full)
    with pytest.raises(RasterError, match=r"look\.png: can't be written .*No space left"):
        nw.predict(
            thirds(), scene(tmp_path / "scene.tif"), tmp_path / "o.tif",
            overlay=tmp_path / "look.png",
        )  # fmt: skip


def test_a_class_map_of_any_size_is_laid_over_the_image(tmp_path, drawn, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow refuses twice as many
    path, out = scene(tmp_path / "a.tif"), tmp_path / "o.png"
    monkeypatch.setattr(overlays, "_LONGEST", 50)
    nw.predict(thirds(), path, out, classes=True, overlay=tmp_path / "look.png")
    nw.predict(thirds(), path, tmp_path / "o.tif", classes=True, overlay=tmp_path / "same.png")
    assert (drawn[0][1][0].ids[:5, :5] == 255).all()
    np.testing.assert_array_equal(drawn[0][1][0].ids[[6, 20, 40], 15], [0, 1, 2])
    np.testing.assert_array_equal(drawn[0][1][0].ids, drawn[1][1][0].ids)


def test_a_folder_has_a_folder_of_pictures(tmp_path, drawn):
    for name in "ab":
        scene(tmp_path / "in" / f"{name}.tif")
    thirds().save(tmp_path / "model.keras")
    done = normwise(
        "predict", "model.keras", "in", "-o", "out", "--classes", "--overlay", "looks", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    looks = sorted(p.name for p in (tmp_path / "looks").iterdir())
    assert looks == [".normwise", "a.png", "b.png"]
    (tmp_path / "looks" / "a.png").unlink()
    nw.predict(
        tmp_path / "model.keras", tmp_path / "in", tmp_path / "out", classes=True, resume=True,
        overlay=tmp_path / "looks",
    )  # fmt: skip
    assert len(drawn) == 3 and (tmp_path / "looks" / "a.png").exists()


def test_a_large_scene_is_shown_smaller_and_a_volume_by_its_middle(tmp_path, drawn, monkeypatch):
    monkeypatch.setattr(overlays, "_LONGEST", 50)
    nw.predict(thirds(), scene(tmp_path / "a.tif"), overlay=tmp_path / "a.png")
    image, (panel,), title, _ = drawn[0]
    assert image.shape == (45, 30, 3) and panel.ids.shape == (45, 30)
    assert title == "a.tif, 1 pixel of 2 x 2"
    inputs = keras.Input((None, None, None, 1))
    volume = np.arange(5.0, dtype=np.float32)[:, None, None, None] * np.ones((1, 8, 9, 1))
    model = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
    nw.predict(model, volume.astype(np.float32), overlay=tmp_path / "v.png")
    assert (drawn[1][1][0].values == 2).all()


@pytest.mark.parametrize("block", [(1, 1), (13, 64), (512, 512)])
@pytest.mark.parametrize("factor", [1, 2, 8])
def test_a_smaller_image_is_the_mean_of_what_is_known(factor, block):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 50, (101, 1037, 2)).astype(np.int16)
    found = reduced(lambda r, c: pixels[r, c], (101, 1037), 2, factor, (7,), False, block)
    known = np.where(pixels == 7, np.nan, pixels)
    assert found.shape == (-(-101 // factor), -(-1037 // factor), 2)
    for row, column in ((0, 0), (3, 77), (found.shape[0] - 1, found.shape[1] - 1)):
        part = known[row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
        np.testing.assert_allclose(found[row, column], np.nanmean(part, axis=(0, 1)), rtol=1e-6)
    ids = reduced(lambda r, c: pixels[r, c], (101, 1037), 2, factor, (7,), True, block)
    assert ids.dtype == np.int16 and ids.shape == found.shape
    np.testing.assert_array_equal(
        ids[3, 77], pixels[3 * factor + factor // 2, 77 * factor + factor // 2]
    )


def test_a_smaller_image_leaves_infinite_pixels_out():
    pixels = np.ones((4, 4, 1), np.float32)
    pixels[0, 0], pixels[2:, 2:] = -np.inf, np.inf
    found = reduced(lambda r, c: pixels[r, c], (4, 4), 1, 2)
    np.testing.assert_array_equal(found[..., 0], [[1, 1], [1, np.nan]])


def test_windows_are_bounded():
    asked = []

    def read(rows, columns):
        asked.append((rows.stop - rows.start) * (columns.stop - columns.start))
        return np.broadcast_to(
            np.uint8(1), (rows.stop - rows.start, columns.stop - columns.start, 3)
        )

    size = (40_000, 40_000)
    factor = factor_for(size, 1024)
    assert factor == 64 and factor_for((10, 1024), 1024) == 1
    found = reduced(read, (3_000, 40_000), 3, factor, (), True, (512, 512))
    assert found.shape == (47, 625, 3) and max(asked) * 3 <= 2**25
    assert sum(asked) == 3_000 * 40_000

"""Images are read by windows, each as the models take it."""

from types import SimpleNamespace

import numpy as np
import pytest
import rasterio

from normwise.data.scaling import Percentiles
from normwise.errors import NetworkError, RasterError
from normwise.rasters import open_raster
from normwise.workflows.prediction_images import Image, Infinite, Intake, reader

PIXELS = np.random.default_rng(0).normal(50, 9, (40, 30, 3)).astype(np.float32)
PART = slice(5, 25), slice(10, 30)


def live(name="image"):
    return SimpleNamespace(inputs=[SimpleNamespace(name=name)])


@pytest.fixture
def asked(monkeypatch):
    """The channels that windows are read of."""
    seen, before = [], Image.read

    def read(image, region, bands):
        seen.append(bands)
        return before(image, region, bands)

    monkeypatch.setattr(Image, "read", read)
    return seen


def test_each_model_gets_its_bands_filled_as_it_was_trained(asked):
    pixels = PIXELS.copy()
    pixels[5, 10, 2], pixels[6, 10, [0, 2]], pixels[7, 10, 1] = 7, 7, np.nan
    intakes = [Intake(live(), [2, 0], [20.0, 1.0]), Intake(live(), [0], [1.0])]
    (one, other), empty = reader(intakes, Image(pixels, (7.0,)))(PART)
    assert asked == [[0, 2]]
    wanted = pixels[PART][..., [2, 0]]
    wanted[0, 0, 0], wanted[1, 0] = 20, (20, 1)
    np.testing.assert_array_equal(one, wanted)
    np.testing.assert_array_equal(other, wanted[..., 1:])
    assert np.argwhere(empty).tolist() == [[1, 0, 0]]
    # The control: without a mark, 7 is a measurement, and another fill is another image.
    (plain, _), nowhere = reader(intakes, Image(pixels, ()))(PART)
    assert plain[0, 0, 0] == 7 and not nowhere.any()


def test_infinite_values_are_missing_and_counted():
    pixels = PIXELS.astype(np.float64)
    pixels[5, 10, 2], pixels[6, 10], pixels[7, 10, 1] = np.inf, -np.inf, 1e39
    image = Image(pixels, None)
    read = reader([Intake(live(), [2, 0], [20.0, 1.0])], image)
    (found,), empty = read(PART)
    wanted = pixels[PART][..., [2, 0]]
    wanted[0, 0, 0], wanted[1, 0] = 20, (20, 1)
    np.testing.assert_array_equal(found, wanted)
    assert np.argwhere(empty).tolist() == [[1, 0, 0]]
    assert (image.infinite.values, image.infinite.read) == (3, 800)
    read((slice(20, 40), slice(0, 10)))
    assert (image.infinite.values, image.infinite.read) == (3, 1200)
    # What is marked as missing anyway is nothing to tell.
    marked = Image(pixels, (np.inf, -np.inf))
    reader([Intake(live(), [2, 0], [20.0, 1.0])], marked)(PART)
    assert marked.infinite.values == 0


def test_the_share_of_infinite_values_in_words():
    assert str(Infinite(25, 1000)) == "2.5%"
    assert str(Infinite(1, 10**6)) == "less than 0.1%"
    assert str(Infinite()) == "less than 0.1%"


def test_all_channels_are_read_if_a_model_takes_all(asked):
    intakes = [Intake(live()), Intake(live(), [1])]
    (one, other), empty = reader(intakes, Image(PIXELS, None))(PART)
    assert asked == [None] and not empty.any()
    np.testing.assert_array_equal(one, PIXELS[PART])
    np.testing.assert_array_equal(other, PIXELS[PART][..., 1:2])


def test_what_a_model_does_not_take_is_refused():
    with pytest.raises(RasterError, match=r"has 3 channels, but bands \[0, 3\] are wanted"):
        reader([Intake(live(), [0, 3])], Image(PIXELS, None))
    assert Intake(live()).of(2) == [0, 1] and Intake(live(), [1]).of(2) == [1]
    narrow = SimpleNamespace(input_shape=(None, None, None, 2), layers=[])
    with pytest.raises(NetworkError, match="takes 2 channels, not 3"):
        Intake(narrow).filled(PIXELS, np.ones(PIXELS.shape, bool))


def test_percentiles_are_those_of_the_whole_image():
    scaling = Percentiles(0, 100)
    intakes = [Intake(live(scaling.input_name), [1]), Intake(live(), [1])]
    (scaled, plain), _ = reader(intakes, Image(PIXELS, None))(PART)
    np.testing.assert_array_equal(scaled, scaling.scaled(PIXELS)[PART][..., 1:2])
    np.testing.assert_array_equal(plain, PIXELS[PART][..., 1:2])
    assert not np.allclose(scaled, scaling.scaled(PIXELS[PART])[..., 1:2], rtol=0, atol=1e-3)


def test_rows_of_a_file_of_strips_are_unpacked_once(tmp_path, monkeypatch):
    size = {"height": 40, "width": 30, "count": 3, "dtype": "float32"}
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", compress="deflate", **size) as file:
        file.write(np.moveaxis(PIXELS, -1, 0))
    with open_raster(tmp_path / "a.tif") as raster:
        image, read = Image(raster, None), []
        before = raster.read
        monkeypatch.setattr(
            raster, "read", lambda *spans, **told: (read.append(spans), before(*spans, **told))[1]
        )
        rows = slice(0, 16)
        for region in ((rows, slice(0, 10)), (rows, slice(10, 30)), (slice(16, 32), slice(0, 10))):
            window = image.read(region, [2, 0])
            np.testing.assert_array_equal(window, PIXELS[region][..., [2, 0]])
            window[:] = 0  # what becomes of a window does not reach the next one
        assert read == [(rows,), (slice(16, 32),)]
        assert image.files == tmp_path / "a.tif" and (image.size, image.channels) == ((40, 30), 3)

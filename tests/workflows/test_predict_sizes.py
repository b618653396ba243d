"""Prediction by networks that were built for one size: as by those of any size, or as is said."""

import json

import keras
import numpy as np
import pytest

import normwise as nw
from normwise.errors import NetworkError
from normwise.inference import free_size, whole
from normwise.rasters import read_raster, write_raster
from normwise.workflows.forecast import forecast
from tests.commands import normwise
from tests.surgery.randomize import randomize

SIZE, TILE = (150, 117), 48


def network(side, seed=0, outputs=1, **options):
    given = {"filters": 2, "depth": 1, **options}
    sides = side if isinstance(side, tuple) else (side, side)
    return randomize(nw.build("unet", (*sides, 2), outputs, **given), seed)


def both(side, **options):
    """A network for one size, and the same for any."""
    model, free = network(side, **options), network(None, **options)
    free.set_weights(model.get_weights())
    return model, free


@pytest.fixture
def scene(tmp_path):
    pixels = np.random.default_rng(0).normal(size=(*SIZE, 2)).astype(np.float32)
    pixels[:60, :70] = np.nan
    write_raster(tmp_path / "scene.npy", pixels)
    return tmp_path / "scene.npy"


@pytest.fixture
def calls(monkeypatch):
    """The sizes of all tiles that a network is asked for."""
    seen, before = [], whole._predict

    def counted(model, image):
        seen.append(image.shape[:-1])
        return before(model, image)

    monkeypatch.setattr(whole, "_predict", counted)
    return seen


def globally(side):
    """A network that is for one size, since it looks at all of it."""
    inputs = keras.Input((*side, 2))
    x = keras.layers.Conv2D(2, 3, padding="same")(inputs)
    squeezed = keras.layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    return randomize(keras.Model(inputs, keras.layers.Conv2D(1, 1)(x * squeezed)))


WHY = "(squeeze: looks at all pixels of an image): tiles are of that size"


@pytest.mark.parametrize("side", [64, 16])
def test_a_network_for_one_size_predicts_as_one_for_any(scene, tmp_path, calls, caplog, side):
    """Of 16 pixels none would be left beside the halo."""
    model, free = both(side)
    wanted = nw.predict(free, scene)
    assert calls == [(150, 118)]
    np.testing.assert_array_equal(nw.predict(model, scene, progress=False), wanted)
    assert calls[1:] == [(150, 118)]
    out = nw.predict(model, scene, tmp_path / "out.tif", tile=TILE, progress=False)
    by_tiles = nw.predict(free, scene, tmp_path / "free.tif", tile=TILE)
    np.testing.assert_array_equal(read_raster(out), read_raster(by_tiles))
    assert set(calls[2:]) == {(TILE, TILE)}
    count = len(calls)
    nw.predict(model, scene, memory="1.5MB", progress=False)
    assert len(set(calls[count:])) == 1 and calls[-1] not in {(side, side), (150, 118)}
    assert "no other size" not in caplog.text


def test_an_image_smaller_than_the_network_s_size_is_predicted_in_its_own(calls):
    model, free = both(64)
    image = np.random.default_rng(1).normal(size=(31, 20, 2)).astype(np.float32)
    np.testing.assert_array_equal(nw.predict(model, image), nw.predict(free, image))
    assert calls == [(32, 20), (32, 20)]


def test_what_keeps_a_network_at_its_size_is_said_once(scene, tmp_path, calls, caplog):
    model = globally((64, 48))
    nw.predict(model, scene, progress=False)
    assert set(calls) == {(64, 48)}
    assert caplog.text.count(f"The model takes 64x48 pixels and no other size {WHY}.") == 1
    assert "used" not in caplog.text
    for options, said in (
        ({"tile": 100}, "--tile isn't used."),
        ({"memory": "1GB"}, "--memory isn't used."),
        ({"tile": 100, "memory": "1GB"}, "--tile and --memory aren't used."),
    ):
        caplog.clear()
        nw.predict(model, scene, progress=False, **options)
        assert f"{WHY}. {said}" in caplog.text
    caplog.clear()
    image = np.zeros((64, 48, 2), np.float32)
    nw.predict(model, image, progress=False)
    assert "no other size" not in caplog.text  # nor does it need one
    nw.predict(model, image, progress=False, tile=48)
    assert f"{WHY}. --tile isn't used." in caplog.text
    caplog.clear()
    write_raster(tmp_path / "in" / "a.npy", np.zeros((70, 50, 2), np.float32))
    write_raster(tmp_path / "in" / "b.npy", np.zeros((70, 50, 2), np.float32))
    nw.predict(model, tmp_path / "in", tmp_path / "out", progress=False)
    assert caplog.text.count(WHY) == 1


def test_an_axis_of_free_size_follows_what_is_asked_for(scene, calls, caplog):
    nw.predict(globally((None, 48)), scene, tile=(64, 30), progress=False)
    assert set(calls) == {(64, 48)}
    assert "--tile holds along the other axes alone." in caplog.text


def test_interpolation_takes_any_size(calls):
    """On TensorFlow no U-Net with it can be built for any."""
    model, whole = (network(side, upsampling="bilinear") for side in (64, (150, 118)))
    image = np.random.default_rng(2).normal(size=(150, 118, 2)).astype(np.float32)
    wanted = keras.ops.convert_to_numpy(whole(image[None]))[0]
    bound = 2e-5 * np.abs(wanted).max()
    for options in ({}, {"tile": TILE}):
        found = nw.predict(model, image, **options)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=bound)
    assert set(calls) == {(150, 118), (TILE, TILE)}
    options = {"tta": "flips-and-turns", "std": True}
    views = nw.predict(model, image, **options)
    by_tiles = nw.predict(model, image, tile=(52, 60), **options)
    np.testing.assert_allclose(by_tiles, views, rtol=0, atol=bound)


def test_members_of_different_sizes_go_together(scene):
    pairs = [both(side, seed=side) for side in (16, 64, (32, 48))]
    models, free = ([pair[i] for pair in pairs] for i in range(2))
    for options in ({}, {"tile": TILE}, {"tile": TILE, "std": True}):
        wanted = nw.predict(free, scene, **options)
        np.testing.assert_array_equal(nw.predict(models, scene, **options), wanted)
    with pytest.raises(NetworkError, match=r"different sizes \(16x16, 64x48\)"):
        nw.predict([globally((16, 16)), globally((64, 48)), models[0]], scene)
    found = nw.predict([globally((64, 48)), models[0]], scene)
    assert np.isfinite(found[100:]).all()


def test_views_of_it_are_turned_whatever_its_sides(scene):
    model, free = both((32, 48))
    for tile in (None, 52):
        options = {"tta": "flips-and-turns", "tile": tile}
        wanted = nw.predict(free, scene, **options)
        np.testing.assert_array_equal(nw.predict(model, scene, **options), wanted)


def several(side):
    inputs = keras.Input((side, side, 2))
    x = keras.layers.Conv2D(3, 3, padding="same", activation="tanh")(inputs)
    flat = keras.layers.Flatten(name="kind")(keras.layers.GlobalAveragePooling2D()(x))
    depth, cover = (keras.layers.Conv2D(1, 1, name=name)(x) for name in ("depth", "cover"))
    return randomize(keras.Model(inputs, [depth, flat, cover]))


def test_only_the_outputs_that_are_wanted_keep_it_at_its_size(scene, calls):
    model = several(32)
    with pytest.raises(NetworkError, match="kind has the shape"):
        nw.predict(model, scene)
    wanted = nw.predict(several(None), scene, outputs=["cover", "depth"])
    found = nw.predict(model, scene, outputs=["cover", "depth"])
    np.testing.assert_array_equal(found, wanted)
    assert calls == [SIZE, SIZE]


@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_engines_get_the_copy_of_free_size(scene, calls, engine):
    pytest.importorskip({"onnx": "onnxruntime"}.get(engine, engine))
    model, free = both(64)
    wanted = nw.predict(free, scene)
    found = nw.predict(model, scene, engine=engine, tile=TILE)
    assert set(calls[1:]) == {(TILE, TILE)}
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * np.nanmax(np.abs(wanted)))


def test_half_precision(scene, calls):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model, free = both(64)
    finally:
        keras.config.set_dtype_policy(before)
    wanted = nw.predict(free, scene, tile=TILE)
    np.testing.assert_array_equal(nw.predict(model, scene, tile=TILE), wanted)
    assert set(calls) == {(TILE, TILE)}
    options = {"tile": TILE, "precision": "bfloat16", "progress": False}
    assert np.isfinite(nw.predict(network(64), scene, **options)[100:]).all()


def test_an_interrupted_prediction_goes_on(scene, tmp_path, monkeypatch):
    network(64).save(tmp_path / "model.keras")
    paths = tmp_path / "model.keras", scene
    wanted = read_raster(nw.predict(*paths, tmp_path / "wanted.npy", tile=TILE))
    before = whole._predict

    def stopping(model, image):
        stopping.left -= 1
        if stopping.left < 0:
            raise KeyboardInterrupt
        return before(model, image)

    stopping.left = 7
    monkeypatch.setattr(whole, "_predict", stopping)
    with pytest.raises(KeyboardInterrupt):
        nw.predict(*paths, tmp_path / "out.npy", tile=TILE)
    stopping.left = 100
    nw.predict(*paths, tmp_path / "out.npy", resume=True)
    assert 80 < stopping.left < 100
    np.testing.assert_array_equal(read_raster(tmp_path / "out.npy"), wanted)


def test_a_copy_is_tried_once_for_many_images(monkeypatch):
    tried, before = [], free_size._difference
    monkeypatch.setattr(
        free_size, "_difference", lambda *given: tried.append(given) or before(*given)
    )
    model, image = network(32), np.zeros((40, 44, 2), np.float32)
    first = nw.predict(model, image)
    np.testing.assert_array_equal(nw.predict(model, image), first)
    randomize(model, 3)
    assert np.abs(nw.predict(model, image) - first).max() > 1e-3
    assert len(tried) == 1


def test_dry_runs_tell_the_tiles_that_are_used(scene, tmp_path, caplog):
    (plan,) = forecast(network(16), scene, tmp_path / "out.npy", tile=TILE)
    assert plan.exact and plan.chosen.tile == (TILE, TILE)
    assert {row.tile for row in plan.rows} > {(TILE, TILE)} and "no other" not in caplog.text
    (plan,) = forecast(globally((64, 48)), scene, tmp_path / "out.npy", tile=TILE)
    assert not plan.exact and [row.tile for row in plan.rows] == [(64, 48)]
    assert f"{WHY}. --tile isn't used." in caplog.text


def test_the_command_says_it_and_show_tells_the_same(scene, tmp_path):
    globally((64, 48)).save(tmp_path / "model.keras")
    words = ("predict", "model.keras", scene.name, "-o", "out.npy", "--tile", "100")
    done = normwise(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f"{WHY}. --tile isn't used.") == 1
    shown = normwise("show", "model.keras", "--tiles", "--format", "json", cwd=tmp_path)
    told = json.loads(shown.stdout)["tiling"]
    assert told["built_for"] == [64, 48] and [row["tile"] for row in told["table"]] == [[64, 48]]
    assert told["held"] == [{"layer": "squeeze", "reason": "looks at all pixels of an image"}]

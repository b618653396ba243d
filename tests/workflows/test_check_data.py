"""`check` on data: no warning for a healthy trained network, and each fault is found."""

import json

import keras
import numpy as np
import pytest
from keras import layers

import normwise as nw
from normwise.errors import CheckError, DataError
from normwise.keras_format.reading import read_graph
from normwise.rasters import write_raster
from normwise.workflows import tile_memory
from normwise.workflows.class_shares import class_shares
from normwise.workflows.image_batches import ImageBatches, image_files
from normwise.workflows.tile_memory import refuse_too_large
from tests.commands import normwise
from tests.surgery.models import weights_of

PLAN = "batch(momentum=0.8)@pre-activation"


def images(count=32, seed=0, size=32):
    """Smooth images of two channels with unlike units, every one with a brightness of its own."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(count, size // 4, size // 4, 2)).repeat(4, 1).repeat(4, 2)
    own = rng.normal(0, 0.5, (count, 1, 1, 2))
    fine = rng.normal(0, 0.3, (count, size, size, 2))
    return ((coarse + own + fine) * [10, 200] + [50, 1000]).astype(np.float32)


def network(plan=PLAN):
    data = images()
    statistics = (data.mean((0, 1, 2)).tolist(), data.var((0, 1, 2)).tolist())
    return nw.build("unet", (None, None, 2), norm=f"standardize@input,{plan}", filters=4, depth=2,
                    input_statistics=statistics)  # fmt: skip


def trained(plan=PLAN, epochs=12):
    keras.utils.set_random_seed(0)
    model, x = network(plan), images()
    y = (x[..., :1] - 50) / 10 * np.abs(x[..., 1:] - 1000) / 200
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.fit(x, y, batch_size=8, epochs=epochs, verbose=0)
    return model


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """The path of a trained network."""
    path = tmp_path_factory.mktemp("healthy") / "model.keras"
    trained().save(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data folder whose classes stand in the order of the names."""
    root = tmp_path_factory.mktemp("data")
    for number, image in enumerate(images(24, size=64)):
        write_raster(root / "images" / f"{number:02}.npy", image)
        mask = np.full((64, 64), number // 12, np.uint8)
        mask[:4] = 1 - mask[:4]
        write_raster(root / "masks" / f"{number:02}.png", mask)
    return root


def findings(model, data, **options):
    report = nw.check(model, data=data, progress=False, **options)
    return {finding.name: finding for finding in report.findings}


def warned(found):
    return {name for name, finding in found.items() if finding.severity != "info"}


def changed(path, change):
    model = keras.saving.load_model(path)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            change(layer)
    return model


def test_a_healthy_network_gets_no_warning(healthy, folder):
    assert warned(findings(healthy, images())) == set()
    assert warned(findings(healthy, images(seed=7), batch_size=8)) == set()
    found = findings(healthy, folder)
    assert warned(found) == set() and "domain-shift" not in found


@pytest.mark.parametrize("plan", ["group(groups=2)@pre-activation", "none"])
def test_other_networks_get_none_either(plan):
    model = (
        network(plan)
        if plan != "none"
        else nw.build("unet", (None, None, 2), norm="none", filters=4, depth=2)
    )
    assert warned(findings(model, images())) <= {"tile-mismatch"}


def test_statistics_of_other_data_are_found_and_recalibration_mends_them(healthy):
    def forget(layer):
        layer.moving_variance.assign(10 * layer.moving_variance)

    model = changed(healthy, forget)
    before = weights_of(model)
    found = findings(model, images())
    for old, new in zip(before, weights_of(model), strict=True):
        np.testing.assert_array_equal(old, new)
    gap = found["train-eval-gap"]
    norms = [x.name for x in model.layers if isinstance(x, layers.BatchNormalization)]
    assert gap.severity == "warning" and set(gap.layers) == set(norms)
    assert gap.layers[0] in gap.message and "0.3" in gap.message
    mended = nw.recalibrate(model, [images()[:16], images()[16:]], progress=False).model
    assert warned(findings(mended, images())) == set()


def test_data_of_another_kind_are_a_domain_shift(healthy):
    other = 3 * images() + 500
    found = findings(healthy, other)
    assert warned(found) == set()
    assert found["domain-shift"].layers
    assert "train-eval-gap" in findings(healthy, other, new_data=False)
    assert "domain-shift" not in findings(healthy, images(), new_data=True)


def test_sorted_batches(healthy):
    x = images()
    order = np.argsort(x.mean((1, 2))[:, 0])
    x[order] += np.linspace(-40, 40, 32)[:, None, None, None].astype(np.float32)
    batches = [x[order[i : i + 8]] for i in range(0, 32, 8)]
    assert "sorted-batches" in warned(findings(healthy, batches, new_data=True))
    assert findings(healthy, x[order], new_data=True)["sorted-batches"].severity == "info"
    rows = np.random.default_rng(0).permutation(32).reshape(4, 8)
    shuffled = findings(healthy, [x[row] for row in rows], new_data=True)
    assert "sorted-batches" not in shuffled


def test_an_outlier(healthy):
    x = images()
    x[5] *= 60
    found = findings(healthy, x, new_data=True)["outlier-sample"]
    assert found.severity == "warning" and "sample 5 varies up to" in found.message
    x[5] /= 15
    assert "outlier-sample" not in findings(healthy, x, new_data=True)


def test_a_skip_of_raw_values():
    inputs = keras.Input((32, 32, 2))
    x = layers.Conv2D(4, 3, padding="same", strides=2, name="deep")(layers.Rescaling(1e-3)(inputs))
    x = layers.UpSampling2D()(layers.ReLU()(layers.BatchNormalization()(x)))
    x = layers.Concatenate(name="join")([x, layers.Conv2D(4, 1, name="raw")(inputs)])
    model = keras.Model(inputs, layers.Conv2D(1, 1)(x))
    found = findings(model, images())
    assert found["merge-scale"].layers[0] == "join" and "raw" in found["merge-scale"].message


def test_instance_norm_and_tiles(healthy):
    model = trained("instance@pre-activation", epochs=2)
    data = images(16, size=64)
    data[:, :, 32:] += np.float32([20, 400])
    found = findings(model, data, new_data=True)["tile-mismatch"]
    assert found.code == "NW304" and len(found.layers) > 1
    assert "tile-mismatch" not in findings(healthy, data, new_data=True)


def test_a_frozen_backbone_is_tried_without_data():
    base_in = keras.Input((None, None, 3))
    x = layers.BatchNormalization(momentum=1.0, name="still")(layers.Conv2D(4, 3)(base_in))
    x = layers.BatchNormalization(name="moving")(layers.Conv2D(4, 3)(x))
    base = keras.Model(base_in, x, name="base")
    inputs = keras.Input((16, 16, 3))
    model = keras.Model(inputs, layers.Conv2D(1, 1)(layers.ReLU()(base(inputs, training=False))))
    (found,) = [f for f in nw.check(model).findings if f.name == "frozen-batch-norm"]
    assert found.layers == ("base/moving",) and "one call in training mode moved" in found.message
    base.get_layer("moving").momentum = 1.0
    assert "frozen-batch-norm" not in {f.name for f in nw.check(model).findings}


def test_a_folder_is_sampled_and_its_classes_are_known(healthy, folder):
    found = findings(healthy, folder, limit=24)
    order = found["sorted-batches"]
    assert order.severity == "info" and "classes" in order.message


def test_a_run_knows_its_own_data(healthy, folder, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "model.keras").write_bytes(healthy.read_bytes())
    other = tmp_path / "other"
    for number, image in enumerate(images(16, size=64)):
        write_raster(other / f"{number:02}.npy", np.sqrt(image - image.min()) * 40)
    for path, new in ((other, False), (folder, True)):
        (run / "recipe.yaml").write_text(f"data:\n  path: {path}\n  patch: 32\n")
        found = findings(run, other)
        assert ("domain-shift" in found, "train-eval-gap" in found) == (new, not new)


def test_the_command_line(healthy, folder, tmp_path):
    done = normwise("check", healthy, "--data", folder, "--limit", 24, "--format", "json")
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)
    assert "sorted-batches" in {finding["name"] for finding in told["findings"]}
    assert "both modes: " in done.stderr
    gone = normwise("check", healthy, "--data", tmp_path / "gone")
    assert gone.returncode == 2 and "no such folder of images" in gone.stderr
    done = normwise("check", healthy, "--data", folder, "--ignore", "NW216", "-v")
    assert "allowed NW216" in " ".join(done.stdout.split())
    for name in ("train-eval-gap", "NW304"):
        assert "needs data" in normwise("explain", name).stdout


def test_what_can_not_be_checked_on_data(healthy, tmp_path):
    with pytest.raises(CheckError, match="limit is 0"):
        nw.check(healthy, data=images(), limit=0)
    with pytest.raises(DataError, match="takes"):
        findings(healthy, images()[..., :1])
    path = tmp_path / "model.json"
    path.write_text(network().to_json())
    found = normwise("check", path, healthy, "--data", tmp_path)
    assert found.returncode == 2 and "without weights" in found.stderr
    assert found.stderr.count("Error") == 2


def test_some_tiles_of_many_images(folder):
    batches = ImageBatches(image_files(folder), (16, 16))
    found = list(batches.some(30))
    numbers = [number for number, _ in found]
    assert len(found) == 30 and numbers == sorted(numbers) and set(numbers) == set(range(24))
    image = np.load(folder / "images" / "00.npy")
    first = [tile for number, tile in found if number == 0]
    corners = [image[i : i + 16, j : j + 16] for i in range(0, 64, 16) for j in range(0, 64, 16)]
    assert all(any(np.array_equal(tile, corner) for corner in corners) for tile in first)
    assert len({tile.tobytes() for tile in first}) == len(first) == 2
    assert [number for number, _ in batches.some(3)] == [4, 12, 20]


def test_the_classes_of_images(folder, tmp_path):
    files = image_files(folder)
    shares = class_shares(folder, [files[0], files[23]])
    np.testing.assert_allclose(shares, [[60 / 64, 4 / 64], [4 / 64, 60 / 64]])
    assert class_shares(tmp_path, [tmp_path / "a.npy"]) is None
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    write_raster(tmp_path / "images" / "a.npy", images(1)[0])
    (tmp_path / "masks" / "a.png").write_bytes(b"broken")
    assert class_shares(tmp_path, image_files(tmp_path)) is None


@pytest.mark.parametrize("verb", ["check", "recalibrate"])
def test_a_tile_that_no_memory_holds_is_refused(healthy, folder, verb, tmp_path):
    options = () if verb == "check" else ("-o", tmp_path / "out.keras")
    done = normwise(verb, healthy, "--data", folder, *options, "--tile", 1_000_000)
    assert done.returncode == 2
    assert "tiles of 1000000 x 1000000 pixels need about" in done.stderr
    assert "are free. Name a smaller one, such as" in done.stderr


def test_the_memory_of_tiles_counts_what_the_network_holds(monkeypatch):
    graph = read_graph(network())
    monkeypatch.setattr(tile_memory, "available_memory", lambda: 2**20)
    refuse_too_large(graph, (32, 32), 2, 1, True)
    with pytest.raises(DataError, match=r"are free\. Name a smaller one, such as 64"):
        refuse_too_large(graph, (256, 256), 2, 1, True)
    with pytest.raises(DataError, match="The model takes no other size"):
        refuse_too_large(graph, (32, 32), 2, 1000, False)
    with pytest.raises(DataError, match="more memory than any machine has"):
        refuse_too_large(graph, (10**200, 10**200), 2, 1, True)

"""Images that don't fit into memory: measured in parts, as they would be in one piece."""

from math import prod

import keras
import numpy as np
import pytest

import normwise as nw
from normwise.data.dataset import Dataset, Item
from normwise.data.sources import Source
from normwise.errors import RasterError
from normwise.inference.in_memory import predict_member
from normwise.inference.members import member_of
from normwise.inference.tile_size import bytes_of
from normwise.training import predicted_parts as module
from normwise.training.evaluate import evaluate
from normwise.training.floors import constants_of
from normwise.training.output import finished_model, regression_output, segmentation_output
from normwise.training.predicted_parts import Applied, predicted_parts
from normwise.training.seen import SeenImages
from tests.surgery.randomize import randomize

LARGE, SMALL = (150, 131), (20, 24)
VOLUME = (6, 66, 150)
FILL = [0.1, 0.2]
REGRESSION = regression_output(("a", "b"), (3.0, -1.0), (4.0, 0.25))


def case(root, output, sizes=(LARGE, SMALL), norm="batch@pre-activation", members=1):
    """Finished models, and a data set of images with holes in pixels and labels."""
    rng, items = np.random.default_rng(0), []
    for number, size in enumerate(sizes):
        image = rng.normal(size=(*size, 2)).astype(np.float32)
        image[..., :5, 3:9, :] = np.nan
        if output.task == "segmentation":
            label = (rng.random(size) > 0.6).astype(np.uint8)
            label[..., 10:13, :] = 255
        else:
            label = rng.normal(size=(*size, 2)).astype(np.float32) * [2, 0.5] + [3, -1]
            label[..., 10:13, :, :] = np.nan
        paths = [root / f"{kind}{number}.npy" for kind in ("image", "label")]
        for path, array in zip(paths, (image, label), strict=True):
            np.save(path, array)
        depth = size[0] if len(size) == 3 else None
        items.append(Item(f"i{number}", *paths, "test", *size[-2:], depth=depth))
    axes, classes = len(sizes[0]), ("land", "water") if output.task == "segmentation" else ()
    dataset = Dataset(
        root, output.task, tuple(items), channels=2, outputs=2, classes=classes,
        class_ids={0: 0, 1: 1, 255: 255} if classes else {}, dimensions=axes,
        target_names=() if classes else output.names,
    )  # fmt: skip
    return [made(output, axes, norm, seed) for seed in range(members)], dataset


def made(output, axes, norm, seed, side=None):
    network = nw.build("unet", (*[side] * axes, 2), output.channels, norm, filters=2, depth=1)
    randomize(network, seed)
    noise = np.random.default_rng(seed).normal(size=(1, side or 16, side or 16, 2))
    head = network.get_layer("head")
    if output.task == "segmentation":  # so that it finds both classes
        kernel, bias = head.get_weights()
        middle = np.median(keras.ops.convert_to_numpy(network(noise.astype(np.float32))))
        head.set_weights([kernel, bias - middle])
    return finished_model(network, output)


def allow(pixels, models, monkeypatch):
    """As if there were memory for the prediction of so many pixels."""
    memory = 2 * bytes_of([member_of(model) for model in models], (pixels, 1))
    monkeypatch.setattr(module, "available_memory", lambda: memory)


@pytest.fixture
def reads(monkeypatch):
    """The number of pixels of each window that is read."""
    seen, image = [], Source.image
    monkeypatch.setattr(
        Source, "image",
        lambda self, item, *spans: (
            seen.append(prod(s.stop - s.start for s in spans)) or image(self, item, *spans)
        ),
    )  # fmt: skip
    return seen


@pytest.mark.parametrize(
    ("output", "sizes", "pixels"),
    [
        (segmentation_output(("land", "water")), (LARGE, SMALL), 70**2),
        (REGRESSION, (LARGE, SMALL), 70**2),
        (REGRESSION, (VOLUME,), 6 * 66 * 100),
    ],
    ids=["segmentation", "regression", "volume"],
)
def test_parts_say_what_the_whole_says(output, sizes, pixels, tmp_path, monkeypatch, reads):
    (model,), dataset = case(tmp_path, output, sizes)

    def measured():
        reads.clear()
        seen = SeenImages(output, constants_of(output), side=100)
        return evaluate(model, dataset, "test", [FILL], seen=seen), seen, max(reads)

    whole, at_once, most = measured()
    assert most == prod(sizes[0])
    allow(pixels, [model], monkeypatch)
    parts, in_parts, most = measured()
    assert most <= pixels < 0.7 * prod(sizes[0])
    assert parts.pixels == whole.pixels < sum(map(prod, sizes)) * len(output.names)
    assert parts.values == pytest.approx(dict(whole.values), rel=1e-3, abs=1e-5)
    floors = [seen.floors.best("").metrics.values for seen in (at_once, in_parts)]
    assert dict(floors[0]) == pytest.approx(dict(floors[1]), rel=1e-6, abs=1e-6, nan_ok=True)
    assert [panel.name for panel in in_parts.panels] == [panel.name for panel in at_once.panels]
    for one, two in zip(at_once.panels, in_parts.panels, strict=True):
        for key in ("image", "truth", "valid"):
            np.testing.assert_array_equal(getattr(one, key), getattr(two, key))
        assert np.mean(np.abs(one.predicted - two.predicted) > 1e-4) < 1e-3
        assert one.predicted.std() > 0


def test_an_ensemble_with_views_is_predicted_in_parts(tmp_path, monkeypatch):
    models, dataset = case(tmp_path, REGRESSION, (LARGE,), members=2)
    applied = [Applied(member_of(model, "flips"), dataset, FILL) for model in models]
    (whole,) = predicted_parts(applied, "test")
    alone = [predict_member(member_of(model, "flips"), whole.image) for model in models]
    mean = np.mean(np.asarray(alone, np.float64), 0).astype(np.float32)
    np.testing.assert_array_equal(whole.predicted, mean)
    allow(80**2, models, monkeypatch)
    found, times = np.zeros_like(whole.predicted), np.zeros(LARGE, int)
    for part in predicted_parts(applied, "test"):
        found[part.region], times[part.region] = part.predicted, times[part.region] + 1
    assert (times == 1).all()
    np.testing.assert_allclose(found, whole.predicted, rtol=0, atol=1e-4)
    assert np.abs(alone[0] - whole.predicted).max() > 1e-2


def test_a_network_for_one_size_is_measured_as_one_for_any(tmp_path):
    (free,), dataset = case(tmp_path, REGRESSION)
    model = made(REGRESSION, 2, "batch@pre-activation", 0, side=32)
    model.set_weights(free.get_weights())
    found = evaluate(model, dataset, "test", [FILL])
    assert found.values == evaluate(free, dataset, "test", [FILL]).values


def test_what_sees_the_whole_image_is_blended_and_said(tmp_path, monkeypatch, caplog, reads):
    (model,), dataset = case(tmp_path, REGRESSION, norm="instance@pre-activation")
    whole = evaluate(model, dataset, "test", [FILL])
    assert "would need more memory" not in caplog.text
    allow(70**2, [model], monkeypatch)
    reads.clear()
    parts = evaluate(model, dataset, "test", [FILL])
    assert max(reads) <= 70**2
    assert parts.pixels == whole.pixels
    assert parts.values != whole.values
    (said,) = (record for record in caplog.records if record.name == "normwise.training")
    assert "i0 (150x131 pixels) would need more memory and is measured in tiles" in said.message
    assert "not quite what the whole image would give (" in said.message


def test_what_is_blended_lies_on_the_disk(tmp_path, monkeypatch):
    (model,), dataset = case(tmp_path, REGRESSION, (LARGE,), "instance@pre-activation")
    allow(70**2, [model], monkeypatch)
    parts = predicted_parts([Applied(member_of(model), dataset, FILL)], "test")
    assert max(prod(part.predicted.shape) for part in parts) <= 70**2 * 2
    monkeypatch.setattr(module, "gettempdir", lambda: str(tmp_path / "gone"))
    with pytest.raises(RasterError, match="gone: can't be written"):
        evaluate(model, dataset, "test", [FILL])


def test_a_tile_that_is_mostly_halo_is_better_than_none(tmp_path, monkeypatch):
    (model,), dataset = case(tmp_path, REGRESSION)
    whole = evaluate(model, dataset, "test", [FILL])
    allow(1000, [model], monkeypatch)  # the smallest tile has 64 x 64
    parts = evaluate(model, dataset, "test", [FILL])
    assert parts.values == pytest.approx(dict(whole.values), rel=1e-3, abs=1e-5)

"""A fingerprint's numbers are those of the pixels, with nodata left out."""

import json
from functools import partial

import numpy as np
import pytest

from normwise.data import open_dataset
from normwise.data.fingerprint import SHARES, fingerprint
from normwise.data.sampling import sample_pixels
from normwise.errors import DataError

CLASSES = "classes: [ground, disc, speck]\nnodata: -9999\n"


def write_masks(folder, rng, gains=(1, 2, 8, 16, 1, 1), splits="tttttv"):
    """Images of three channels: a level that differs between images, its copy, and noise."""
    pixels, masks = [], []
    for name, gain, split in zip("abcdef", gains, splits, strict=True):
        mask = np.zeros((60, 50), np.uint8)
        mask[5:15, 5:25] = 1
        mask[30:34, 30:34] = 2
        mask[40, 40] = 2
        mask[:, 49] = 255
        level = gain * (100 + 50 * (mask == 1) + rng.normal(0, 5, mask.shape))
        image = np.stack([level, 3 * level + 7, rng.normal(0, 30, mask.shape)], -1)
        image = np.rint(image).astype(np.int16)
        image[:3, :, 2] = -9999
        folder.image(f"images/{name}.tif", image)
        folder.mask(f"masks/{name}.png", mask)
        if split == "t":
            pixels.append(image)
            masks.append(mask)
    rows = [f"{n},{'train' if s == 't' else 'val'}" for n, s in zip("abcdef", splits, strict=True)]
    folder.text("split.csv", "\n".join(["name,split", *rows]))
    folder.text("dataset.yaml", CLASSES)
    return np.stack(pixels).astype(float), np.stack(masks)


def test_channels_exposure_and_correlation(folder):
    pixels, _ = write_masks(folder, folder.rng)
    pixels[pixels == -9999] = np.nan
    found = fingerprint(open_dataset(folder.root))
    assert (found.task, found.dtype, found.nodata) == ("segmentation", "int16", -9999)
    assert found.images == {"train": 5, "val": 1, "test": 0}
    assert found.smallest == found.median == found.largest == (60, 50)
    flat = pixels.reshape(-1, 3)
    for index, channel in enumerate(found.channels):
        column = flat[:, index][~np.isnan(flat[:, index])]
        assert channel.mean == pytest.approx(column.mean(), rel=1e-9)
        assert channel.std == pytest.approx(column.std(), rel=1e-9)
        assert (channel.minimum, channel.maximum) == (column.min(), column.max())
        assert channel.percentiles == pytest.approx(np.percentile(column, SHARES), rel=1e-9)
        assert channel.missing == pytest.approx(1 - len(column) / len(flat), abs=1e-12)
    assert found.channels[2].missing == pytest.approx(3 / 60)
    assert found.channels[2].tails == pytest.approx(3.1, abs=0.6)  # it is normal
    assert found.exposure[0].contrast == pytest.approx(12.8 / 1, rel=0.15)  # 90th by 10th of gains
    assert found.exposure[2].contrast == pytest.approx(1, rel=0.1)
    means, within = np.nanmean(pixels, (1, 2)), np.nanvar(pixels, (0, 1, 2))
    for channel in range(3):
        between = means[:, channel].var() / within[channel]
        assert found.exposure[channel].between == pytest.approx(between, abs=2e-3)
    assert found.exposure[0].between > 0.9
    assert found.exposure[2].between < 0.01
    known = flat[~np.isnan(flat).any(-1)]
    # Of pixels without a label too, and in full: four digits make alike channels indefinite.
    np.testing.assert_allclose(found.correlation, np.corrcoef(known.T), rtol=0, atol=1e-9)


def test_classes_and_objects(folder):
    _, masks = write_masks(folder, folder.rng)
    ground, disc, speck = fingerprint(open_dataset(folder.root)).classes
    labelled = (masks != 255).sum()
    assert disc.share == pytest.approx((masks == 1).sum() / labelled)
    assert ground.share + disc.share + speck.share == pytest.approx(1)
    assert (disc.objects.count, disc.objects.median) == (5, 200)
    assert (speck.objects.count, speck.objects.median) == (10, 8.5)  # 16 pixels and 1
    assert (ground.objects.images, disc.objects.images) == (1, 1)


def test_in_how_many_images_a_class_stands(folder):
    for index in range(4):
        mask = np.zeros((20, 20), np.uint8)
        mask[:, 9] = 255
        mask[2:5, 2:5] = index != 1
        folder.image(f"images/{index}.npy", folder.rng.normal(0, 1, (20, 20, 1)))
        folder.mask(f"masks/{index}.png", mask)
    folder.text("split.csv", "name,split\n0,train\n1,train\n2,train\n3,val\n")
    ground, disc = fingerprint(open_dataset(folder.root)).classes
    assert (ground.objects.images, disc.objects.images) == (1, pytest.approx(2 / 3))


def test_targets_and_what_goes_with_them(folder):
    rng, rows = folder.rng, ["name,split"]
    for name, split in (("a", "train"), ("b", "train"), ("c", "train"), ("d", "val")):
        image = rng.normal(0, 1, (40, 40, 2))
        target = np.stack([2 * image[..., 1] + 5, rng.normal(0, 1, (40, 40))], -1)
        target[:10, :, 1] = np.nan
        folder.image(f"images/{name}.npy", image)
        folder.target(f"targets/{name}.npy", target)
        rows.append(f"{name},{split}")
    folder.text("split.csv", "\n".join(rows))
    found = fingerprint(open_dataset(folder.root))
    assert found.relations[0].channel == "band 2"
    assert found.relations[0].correlation == pytest.approx(1, abs=1e-9)
    assert found.relations[0].linear == pytest.approx(1, abs=1e-9)
    assert found.relations[1].linear < 0.01
    assert found.targets[0].missing == 0
    assert found.targets[1].missing == pytest.approx(0.25)
    assert found.classes == ()


def few_pixels(monkeypatch, most):
    """The sample of all pixels has no more than about so many."""
    few = partial(sample_pixels, most=most)
    monkeypatch.setattr("normwise.data.fingerprint.sample_pixels", few)


def test_few_labels_among_many_pixels_are_found_and_are_not_taken_for_more(folder, monkeypatch):
    few_pixels(monkeypatch, 50)
    rng, image = folder.rng, folder.rng.normal(0, 1, (60, 70, 3))
    target = np.full((60, 70, 3), np.nan)
    many = rng.permutation(60 * 70)[:400]
    target.reshape(-1, 3)[many, 1] = rng.normal(8, 2, 400)
    target.reshape(-1, 3)[many, 2] = 3 * image.reshape(-1, 3)[many, 2] + rng.normal(0, 3, 400)
    target.reshape(-1, 3)[many[:20], 0] = rng.normal(5, 1, 20)
    folder.image("images/a.npy", image)
    folder.target("targets/a.npy", target)
    dataset = open_dataset(folder.root)
    found = fingerprint(dataset)
    (item,) = dataset.split("train")
    seen = target[: item.height, : item.width].reshape(-1, 3)
    for index, own in enumerate(found.targets):
        labels = seen[~np.isnan(seen[:, index]), index]
        assert own.percentiles == pytest.approx(np.percentile(labels, SHARES), rel=1e-9)
    assert found.relations[0].linear == 0
    assert found.relations[1].linear < 0.05
    assert found.relations[2].linear == pytest.approx(0.5, abs=0.1)
    few = [note for note in found.notes if "too few to tell" in note]
    assert len(few) == 1 and few[0].startswith("band 1: ") and "3 channels" in few[0]


def test_a_channel_of_which_the_sample_has_nothing_has_its_range(folder, monkeypatch):
    few_pixels(monkeypatch, 5)
    for name in "abcd":
        image = folder.rng.normal(0, 1, (60, 70, 2))
        image[..., 1] = np.nan
        image[7, 9, 1], image[30, 50, 1] = 3, 5
        folder.image(f"images/{name}.npy", image)
        folder.mask(f"masks/{name}.png", folder.rng.integers(0, 2, (60, 70)).astype(np.uint8))
    folder.text("dataset.yaml", "nodata: .nan\n")
    sparse = fingerprint(open_dataset(folder.root)).channels[1]
    assert (sparse.minimum, sparse.maximum, sparse.tails) == (3, 5, None)
    assert sparse.percentiles == pytest.approx(np.percentile([3, 5], SHARES))


def test_constant_channels_are_marked(folder):
    for name in "abcd":
        image = folder.rng.normal(0, 1, (40, 50, 3)).astype(np.float32)
        image[..., 1] = 0.1
        folder.image(f"images/{name}.npy", image)
        folder.mask(f"masks/{name}.png")
    found = fingerprint(open_dataset(folder.root))
    assert [channel.constant for channel in found.channels] == [False, True, False]
    np.testing.assert_array_equal(np.isnan(found.correlation), [[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    assert found.to_dict()["correlation"][1] == [None] * 3
    assert any(n.startswith("constant in all training images: band 2") for n in found.notes)


def test_it_is_json_and_does_not_depend_on_the_windows(folder, monkeypatch):
    write_masks(folder, folder.rng)
    dataset = open_dataset(folder.root)
    whole = fingerprint(dataset).to_dict()
    assert json.loads(json.dumps(whole, allow_nan=False)) == whole
    monkeypatch.setattr("normwise.data.statistics.WINDOW_VALUES", 1000)
    cut = fingerprint(dataset).to_dict()
    for key in ("mean", "std", "minimum", "maximum", "missing"):
        assert cut["channels"][0][key] == pytest.approx(whole["channels"][0][key], rel=1e-9)
    assert cut["classes"][1]["objects"] == whole["classes"][1]["objects"]


def test_volumes(folder):
    for name in "abc":
        image = folder.rng.normal(0, 1, (6, 20, 30, 2)).astype(np.float32)
        for kind in ("images", "masks"):
            (folder.root / kind).mkdir(parents=True, exist_ok=True)
        np.save(folder.root / f"images/{name}.npy", image)
        mask = np.zeros((6, 20, 30), np.uint8)
        mask[1:4, 5:9, 5:9] = 1
        np.save(folder.root / f"masks/{name}.npy", mask)
    found = fingerprint(open_dataset(folder.root))
    assert found.median == (6, 20, 30)
    assert found.classes[1].objects.median == 3 * 4 * 4


def test_no_training_image_is_an_error(folder):
    dataset = open_dataset(folder.fill(3).root)
    empty = type(dataset)(dataset.root, dataset.task, (), 3, 3)
    with pytest.raises(DataError, match="the split train is empty"):
        fingerprint(empty)

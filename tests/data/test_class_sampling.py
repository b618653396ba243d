"""Patches centred on rarer classes: which pixels are remembered, and how often each is drawn."""

import numpy as np
import pytest

from normwise.data.class_sampling import Sampling, class_positions
from normwise.data.folder import open_dataset
from normwise.data.loading import PatchBatches
from normwise.data.patches import patch_positions
from normwise.data.statistics import class_counts
from normwise.errors import DataError

PATCH = (9, 9)


@pytest.fixture
def rare(folder):
    """Class 1 in one corner of one image, class 2 on a line of another, 0 elsewhere."""
    for name in "abcd":
        folder.image(f"images/{name}.tif")
        mask = np.zeros((40, 50), np.uint8)
        if name == "a":
            mask[:2, :3] = 1
        if name == "b":
            mask[20, 10:40] = 2
        mask[-1] = 255
        folder.mask(f"masks/{name}.png", mask)
    folder.text("split.csv", "name,split\na,train\nb,train\nc,train\nd,val\n")
    folder.text("dataset.yaml", "classes: [field, house, road, lake]\n")
    return open_dataset(folder.root)


def centres(sampling, dataset, epoch, count=60):
    items = dataset.split("train")
    uniform = patch_positions(items, PATCH, 0, epoch, count)
    moved = sampling.placed(uniform, items, PATCH, 0, epoch)
    return uniform, moved


def test_the_index_counts_all_pixels_and_remembers_some(rare):
    index = class_positions(rare, kept=20)
    np.testing.assert_array_equal(index.counts, class_counts(rare))
    assert index.counts.tolist() == [3 * 39 * 50 - 36, 6, 30, 0]
    assert [len(places) for places in index.places] == [20, 6, 20, 0]
    assert index.present == (0, 1, 2)
    assert {tuple(place) for place in index.places[1].tolist()} == {
        (0, row, column) for row in range(2) for column in range(3)
    }
    assert all(item == 1 and row == 20 for item, row, _ in index.places[2].tolist())
    assert len({tuple(place) for place in index.places[0].tolist()}) == 20


def test_every_pixel_of_a_class_is_as_likely_to_be_remembered(rare):
    seen = np.zeros(50)
    for seed in range(300):
        np.add.at(seen, class_positions(rare, seed=seed, kept=10).places[2][:, 2], 1)
    np.testing.assert_array_equal(seen[:10], 0)
    # 100 of 300 each; 5 standard deviations of a binomial are 41.
    assert np.abs(seen[10:40] - 100).max() < 41


def test_the_seed_decides(rare):
    one, same, other = (class_positions(rare, seed=seed, kept=5) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.places[0], same.places[0])
    assert not np.array_equal(one.places[0], other.places[0])


def test_balanced_patches_hold_every_class_equally_often(rare):
    sampling = Sampling.balanced(class_positions(rare))
    _, moved = centres(sampling, rare, epoch=0)
    corners = [position.corner for position in moved if position.item == 0]
    assert corners.count((0, 0)) >= 20  # the house is in that corner
    lines = [position for position in moved if position.item == 1 and position.corner[0] == 16]
    assert len(lines) >= 20
    assert all(6 <= position.corner[1] <= 36 for position in lines)
    for position in moved:
        assert all(0 <= at <= size - 9 for at, size in zip(position.corner, (40, 50), strict=True))


def test_a_share_of_the_patches_is_moved_to_the_rarer_classes(rare):
    sampling = Sampling.rare(class_positions(rare), 0.5)
    assert sampling.classes == (1, 2)
    uniform, moved = centres(sampling, rare, epoch=3)
    changed = [two for one, two in zip(uniform, moved, strict=True) if one != two]
    assert 28 <= len(changed) <= 30
    assert {position.item for position in changed} == {0, 1}
    whole, _ = centres(Sampling.rare(class_positions(rare), 1.0), rare, epoch=3)
    assert whole == uniform


def test_patches_depend_on_seed_and_epoch_alone(rare):
    sampling = Sampling.balanced(class_positions(rare))
    assert centres(sampling, rare, 2) == centres(sampling, rare, 2)
    assert centres(sampling, rare, 2)[1] != centres(sampling, rare, 3)[1]
    fill = np.zeros(3)
    batches = PatchBatches(rare, "train", PATCH, 4, fill=fill, sampling=sampling)
    plain = PatchBatches(rare, "train", PATCH, 4, fill=fill)
    _, late, _ = batches.batch(5, 2)
    again = PatchBatches(rare, "train", PATCH, 4, fill=fill, sampling=sampling)
    np.testing.assert_array_equal(late, again.batch(5, 2)[1])
    share = [
        np.mean([(made.batch(0, step)[1] > 0).any((1, 2)).mean() for step in range(len(made))])
        for made in (batches, plain)
    ]
    assert share[0] > 0.6
    assert share[1] < 0.4


def test_a_patch_beyond_its_image_begins_at_its_corner(rare):
    sampling = Sampling.balanced(class_positions(rare))
    items = rare.split("train")
    uniform = patch_positions(items, (64, 8), 0, 0, 9)
    moved = sampling.placed(uniform, items, (64, 8), 0, 0)
    assert all(position.corner[0] == 0 for position in moved)


def test_without_classes_there_is_nothing_to_sample(rare):
    index = class_positions(rare, "val")
    with pytest.raises(DataError, match="one class alone"):
        Sampling.rare(index, 0.3)


def test_targets_have_no_classes(folder):
    dataset = open_dataset(folder.fill(4, "targets").root)
    with pytest.raises(DataError, match="targets, not masks"):
        class_positions(dataset)

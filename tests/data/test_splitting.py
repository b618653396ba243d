"""Splits from a table, from folders and from a seed."""

from collections import Counter

import numpy as np
import pytest

from normwise.data import channel_statistics, class_counts, open_dataset
from normwise.data.sources import Source
from normwise.errors import DataError
from normwise.rasters import read_raster

PLACES = (("images", "tif"), ("masks", "png"))


def splits(dataset) -> dict[str, str]:
    return {item.name: item.split for item in dataset.items}


def test_a_table_decides_with_or_without_suffix(folder) -> None:
    folder.fill(4)
    folder.text(
        "split.csv", "\ufeffname,split,place\na,train,x\nb.tif,val,y\nc.png,test,z\nd,Training,x\n"
    )
    dataset = open_dataset(folder.root)
    assert splits(dataset) == {"a": "train", "b": "val", "c": "test", "d": "train"}
    assert dataset.notes == ()


def test_some_training_images_validate_if_the_table_names_none(folder) -> None:
    folder.fill(12)
    rows = [f"{name},{'test' if name in 'ab' else 'train'}" for name in "abcdefghijkl"]
    folder.text("split.csv", "\n".join(["name,split", *rows]))
    first, again, other = (open_dataset(folder.root, seed=seed) for seed in (0, 0, 1))
    assert Counter(splits(first).values()) == {"train": 8, "val": 2, "test": 2}
    assert splits(first) == splits(again)
    assert splits(first) != splits(other)
    assert [item.name for item in first.split("test")] == ["a", "b"]
    assert "2 of 10 training images validate" in first.notes[0]


@pytest.mark.parametrize(("count", "share", "expected"), [(5, 0.2, 1), (3, 0.01, 1), (3, 0.99, 2)])
def test_an_automatic_split_has_at_least_one_image_on_each_side(folder, count, share, expected):
    dataset = open_dataset(folder.fill(count).root, validation=share)
    assert len(dataset.split("val")) == expected
    assert len(dataset.split("train")) == count - expected
    assert dataset.split("test") == ()


@pytest.mark.parametrize(("count", "words"), [(1, "the only"), (2, "each of the 2")])
def test_a_part_of_each_validates_where_too_few_images_train(folder, count, words) -> None:
    dataset = open_dataset(folder.fill(count).root)  # 40 x 50 pixels each
    train, val = dataset.split("train"), dataset.split("val")
    assert [item.image for item in train] == [item.image for item in val]
    assert {(item.height, item.width, item.origin) for item in train} == {(40, 40, ())}
    assert {(item.height, item.width, item.origin) for item in val} == {(40, 10, (0, 40))}
    assert f"the last 20% of {words} training image" in dataset.notes[0]


def test_the_parts_of_an_image_are_read_from_their_places(folder) -> None:
    folder.fill(1)
    dataset = open_dataset(folder.root, validation=0.3)
    image, mask = (read_raster(folder.root / f"{k}/a.{s}") for k, s in PLACES)
    (train,), (val,) = dataset.split("train"), dataset.split("val")
    with Source(dataset, dataset.items) as source:
        whole = (slice(0, 40), slice(0, 15))
        np.testing.assert_array_equal(source.image(val, *whole)[0], image[:, 35:])
        np.testing.assert_array_equal(source.classes(val, *whole), mask[:, 35:, 0])
        np.testing.assert_array_equal(source.image(train, *whole)[0], image[:, :15])
    for item, part in ((train, image[:, :35]), (val, image[:, 35:])):
        found = channel_statistics(dataset, item.split)
        np.testing.assert_allclose(found.mean, part.mean((0, 1)), rtol=1e-12)
        assert found.count[0] == part[..., 0].size
        assert class_counts(dataset, item.split).sum() == part[..., 0].size


def test_windows_of_a_file_are_cut_to_the_part(folder, monkeypatch) -> None:
    monkeypatch.setattr("normwise.data.statistics.WINDOW_VALUES", 300)
    folder.image("images/a.tif", folder.rng.integers(0, 99, (90, 30, 2)).astype(np.uint8))
    folder.target("targets/a.npy", folder.rng.normal(size=(90, 30)))
    dataset = open_dataset(folder.root, validation=0.25)
    pixels = read_raster(folder.root / "images/a.tif")
    for split, part in (("train", pixels[:68]), ("val", pixels[68:])):
        np.testing.assert_allclose(
            channel_statistics(dataset, split).mean, part.mean((0, 1)), rtol=1e-12
        )


@pytest.mark.parametrize("axis", [0, 1])
def test_an_image_is_cut_where_its_labels_allow_it(folder, axis) -> None:
    """The part beyond the usual cut has no label; along one axis all labels are in one line."""
    mask = np.full((40, 50), 255, np.uint8)
    if axis:
        mask[:, 10:20] = np.arange(10) % 2
    else:
        mask[10:20, 7] = np.arange(10) % 2
    folder.image("images/a.tif")
    folder.mask("masks/a.png", mask)
    dataset = open_dataset(folder.root)
    (train,), (val,) = dataset.split("train"), dataset.split("val")
    origin = [0, 0]
    origin[axis] = 18
    assert val.origin == tuple(origin)
    assert train.shape[axis] == 18 and val.shape[axis] == mask.shape[axis] - 18
    assert class_counts(dataset, "val").sum() == 0.2 * (mask < 255).sum()
    assert class_counts(dataset, "train").sum() == 0.8 * (mask < 255).sum()
    assert dataset.notes[1].startswith("a: its labels are uneven; it is cut where the last 20% of")
    assert open_dataset(folder.root, read_pixels=False).items == dataset.items


def test_every_target_has_labels_on_both_sides_if_it_can(folder) -> None:
    target = np.full((40, 50, 2), np.nan, np.float32)
    target[:, :, 0], target[20:22, 5:40, 1] = 1, 2
    folder.image("images/a.tif")
    folder.target("targets/a.npy", target)
    dataset = open_dataset(folder.root)
    for split in ("train", "val"):
        assert (channel_statistics(dataset, split, of="labels").count > 0).all()


def test_images_with_even_labels_are_cut_as_usual(folder) -> None:
    folder.fill(2)
    mask = np.full((40, 50), 255, np.uint8)
    mask[::7, ::5] = 1
    mask[::7, 1::5] = 0
    (folder.root / "masks" / "a.png").unlink()
    folder.mask("masks/a.png", mask)
    dataset = open_dataset(folder.root)
    assert {item.origin for item in dataset.split("val")} == {(0, 40)}
    assert len(dataset.notes) == 1


def test_labels_in_a_single_pixel_cannot_train_and_validate(folder) -> None:
    target = np.full((40, 50, 1), np.nan, np.float32)
    target[3, 4] = 1
    folder.image("images/a.tif")
    folder.target("targets/a.npy", target)
    with pytest.raises(DataError, match="Label more pixels, or name images that validate in split"):
        open_dataset(folder.root)


def test_no_validation_if_not_wanted(folder) -> None:
    assert open_dataset(folder.fill(3).root, validation=0).split("val") == ()


@pytest.mark.parametrize(
    ("table", "problems"),
    [
        ("a,train\nb,train\nc,train\na,test", ["a: stands in two splits, train and test"]),
        ("a,train\nb,train", ["c: has no split; add it to the split table"]),
        (
            "a,train\nb,train\nc,train\nzz,train",
            ["zz: stands in the split table, but is no image with a label"],
        ),
        (
            "a,train\nb,holdout\nc,train",
            ["b: 'holdout' is no split; expected train, val, test"],
        ),
        ("a,test\nb,test\nc,val", ["the split train is empty"]),
        ("a,\nb,\nc,", [f"{name}: '' is no split; expected train, val, test" for name in "abc"]),
    ],
)
def test_problems_of_a_table(folder, table: str, problems: list[str]) -> None:
    folder.fill(3)
    folder.text("split.csv", f"name,split\n{table}\n")
    with pytest.raises(DataError) as caught:
        open_dataset(folder.root)
    assert len(caught.value.problems) == len(problems)
    for found, expected in zip(caught.value.problems, problems, strict=True):
        assert found.startswith(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name;split\na;train\n", "`name` and `split`, `group` or both, found name;split"),
        ("group,place\na,b\n", "`group` or both, found group, place"),
        ("name,place\na,b\n", "`group` or both, found name, place"),
        ("name,split\n", "is empty"),
        ("", "is empty"),
    ],
)
def test_unreadable_tables(folder, text: str, message: str) -> None:
    folder.fill(1)
    folder.text("split.csv", text)
    with pytest.raises(DataError, match=message):
        open_dataset(folder.root)


def test_a_share_of_one_is_refused(folder) -> None:
    with pytest.raises(DataError, match="expected a share from 0 to below 1"):
        open_dataset(folder.fill(2).root, validation=1)


def test_files_are_examined_whatever_the_table_says(folder) -> None:
    folder.fill(4)
    path = folder.root / "images" / "b.tif"
    path.write_bytes(path.read_bytes()[:-300])
    (folder.root / "masks" / "c.png").write_bytes(b"no image")
    folder.text("split.csv", "name,split\na,train\nb,trian\nd,val\n")
    with pytest.raises(DataError) as caught:
        open_dataset(folder.root)
    starts = [problem.split(":")[0] for problem in caught.value.problems]
    assert starts == ["b", "c", "images/b.tif", "masks/c.png"]


def test_an_image_without_mask_is_one_problem_though_the_table_has_it(folder) -> None:
    folder.fill(3)
    folder.image("images/lonely.tif")
    folder.text("split.csv", "name,split\na,train\nb,val\nc,val\nlonely.tif,train\nnone,val\n")
    with pytest.raises(DataError) as caught:
        open_dataset(folder.root)
    lonely, none = caught.value.problems
    assert lonely.startswith("images/lonely.tif: has no mask")
    assert none.startswith("none: stands in the split table, but is no image")


def test_a_group_is_never_divided_by_an_automatic_split(folder) -> None:
    folder.fill(12)
    rows = [f"{name},train,{'big' if name in 'abcdef' else name}" for name in "abcdefghijkl"]
    folder.text("split.csv", "\n".join(["name,split,group", *rows]))
    for seed in range(8):
        found = splits(open_dataset(folder.root, seed=seed))
        assert len({found[name] for name in "abcdef"}) == 1
        assert set(found.values()) == {"train", "val"}
    # The control: without groups some seed divides these images.
    folder.text("split.csv", "\n".join(["name,split", *(row.rpartition(",")[0] for row in rows)]))
    divided = [splits(open_dataset(folder.root, seed=seed)) for seed in range(8)]
    assert any(len({found[name] for name in "abcdef"}) == 2 for found in divided)


def test_a_large_group_is_passed_over_where_smaller_ones_fit(folder) -> None:
    folder.fill(12)
    rows = [f"{name},{'big' if name in 'abcdefgh' else name}" for name in "abcdefghijkl"]
    folder.text("split.csv", "\n".join(["name,group", *rows]))
    for seed in range(6):
        dataset = open_dataset(folder.root, validation=0.25, seed=seed)
        assert len(dataset.split("val")) == 3
        assert set("abcdefgh") <= {item.name for item in dataset.split("train")}
        assert dataset.notes == (f"3 of 12 training images validate, chosen by seed {seed}",)


@pytest.mark.parametrize(
    ("groups", "share", "expected"),
    [
        ("aaaabbbbcccc", 0.2, {4}),  # where all groups are too large one comes all the same
        ("aaaaaabbbbcc", 0.5, {6}),
        ("aaaaabbbbbcc", 0.35, {2}),  # 4 are wanted, and 7 are farther away
        ("aaaaabbbccdd", 0.5, {5, 7}),  # by the order in which the seed draws them
    ],
)
def test_groups_come_as_near_to_the_share_as_they_can(folder, groups, share, expected) -> None:
    folder.fill(12)
    rows = [f"{name},{group}" for name, group in zip("abcdefghijkl", groups, strict=True)]
    folder.text("split.csv", "\n".join(["name,group", *rows]))
    wanted = round(12 * share)
    for seed in range(4):
        found = open_dataset(folder.root, validation=share, seed=seed, read_pixels=False)
        count = len(found.split("val"))
        assert count in expected
        told = f"; {wanted} were wanted, but images of one group stay together" in found.notes[0]
        assert told == (abs(count - wanted) > wanted / 2)


def test_a_group_in_two_splits_is_a_problem(folder) -> None:
    folder.fill(4)
    folder.text("split.csv", "name,split,group\na,train,g\nb,test,g\nc,train,h\nd,val,\n")
    with pytest.raises(DataError, match=r"group g: stands in 2 splits, train \(a\) and test \(b\)"):
        open_dataset(folder.root)


def test_in_folds_every_image_validates_once_and_none_that_tests(folder) -> None:
    folder.fill(9)
    told = {"a": "test", "b": "val"}
    rows = [
        f"{name},{told.get(name, 'train')},{'g' if name in 'cd' else ''}" for name in "abcdefghi"
    ]
    folder.text("split.csv", "\n".join(["name,split,group", *rows]))
    validating = []
    for fold in (1, 2, 3):
        dataset = open_dataset(folder.root, fold=(fold, 3))
        assert [item.name for item in dataset.split("test")] == ["a"]
        own = [item.name for item in dataset.split("val")]
        assert ("c" in own) == ("d" in own)
        assert len(own) + len(dataset.split("train")) == 8
        assert f"fold {fold} of 3: {len(own)} of 8 images validate" in dataset.notes[0]
        validating += own
    assert sorted(validating) == list("bcdefghi")
    with pytest.raises(DataError, match="expected from 2 to 7, the number of groups of images"):
        open_dataset(folder.root, fold=(1, 8))
    with pytest.raises(DataError, match="fold 4 of 3"):
        open_dataset(folder.root, fold=(4, 3))


@pytest.mark.parametrize("head", ["name,group", "group,name,split"])
def test_groups_alone_are_split_automatically(folder, head) -> None:
    """Images that the table doesn't name are groups of their own; an empty column says nothing."""
    folder.fill(12)
    words = {"name": "{name}", "group": "big", "split": ""}
    row = ",".join(words[column] for column in head.split(","))
    folder.text("split.csv", "\n".join([head, *(row.format(name=name) for name in "abcdef")]))
    sides = set()
    for seed in range(8):
        dataset = open_dataset(folder.root, seed=seed)
        assert set(splits(dataset)) == set("abcdefghijkl")
        assert "training images validate, chosen by seed" in dataset.notes[0]
        assert len({splits(dataset)[name] for name in "abcdef"}) == 1
        assert {item.group for item in dataset.items} == {"big", None}
        sides.add(splits(dataset)["a"])
    assert sides == {"train"}  # 6 of 12 would be too many
    validating = [
        {item.name for item in open_dataset(folder.root, fold=(fold, 3)).split("val")}
        for fold in (1, 2, 3)
    ]
    assert sum(set("abcdef") <= own for own in validating) == 1
    assert set.union(*validating) == set("abcdefghijkl")


def test_groups_alone_beside_folders_of_splits(folder) -> None:
    for name, split in (("a", "train"), ("b", "train"), ("c", "val")):
        folder.image(f"{split}/images/{name}.tif")
        folder.mask(f"{split}/masks/{name}.png")
    folder.text("split.csv", "name,group\na,x\nb.tif,x\nc,y\n")
    dataset = open_dataset(folder.root)
    assert splits(dataset) == {"a": "train", "b": "train", "c": "val"}
    assert [item.group for item in dataset.items] == ["x", "x", "y"]
    folder.text("split.csv", "name,group\na,x\nc,x\n")
    with pytest.raises(DataError, match=r"group x: stands in 2 splits, train \(a\) and val \(c\)"):
        open_dataset(folder.root)


@pytest.mark.parametrize("head", ["name,group", "name,group,split"])
def test_problems_of_groups(folder, head) -> None:
    folder.fill(3)
    end = ",train" if "split" in head else ""
    names = [("a", "x"), ("a", "y"), ("b", ""), ("c", ""), ("zz", "x")]
    folder.text("split.csv", "\n".join([head, *(f"{n},{g}{end}" for n, g in names)]))
    with pytest.raises(DataError) as caught:
        open_dataset(folder.root)
    assert caught.value.problems == (
        "a: stands in two groups, x and y",
        "zz: stands in the split table, but is no image with a label",
    )

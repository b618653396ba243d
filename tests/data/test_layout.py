"""Images and labels are matched by stem, in each layout."""

import pytest

from normwise.data.layout import find_layout
from normwise.errors import DataError


def test_pairs_by_stem_whatever_the_suffix(folder) -> None:
    folder.image("images/a.b.tif")
    folder.mask("masks/a.b.png")
    folder.image("images/c.npy")
    folder.mask("masks/c.tif")
    for extra in ("images/c.npy.aux.xml", "images/.hidden.png", "README.md", "scenes/s.tif"):
        folder.text(extra, "")
    layout = find_layout(folder.root)
    assert [pair.name for pair in layout.pairs] == ["a.b", "c"]
    assert layout.labels == "masks"
    assert not layout.problems


def test_split_folders(folder) -> None:
    for split in ("train", "test"):
        folder.image(f"{split}/images/{split}.tif")
        folder.target(f"{split}/targets/{split}.tif")
    layout = find_layout(folder.root)
    assert [(pair.name, pair.split) for pair in layout.pairs] == [
        ("train", "train"),
        ("test", "test"),
    ]
    assert layout.labels == "targets"


def test_an_empty_split_folder_is_a_problem(folder) -> None:
    folder.image("train/images/a.tif")
    folder.mask("train/masks/a.png")
    (folder.root / "val" / "images").mkdir(parents=True)
    assert find_layout(folder.root).problems == ("val: holds no images",)


def test_both_kinds_of_labels_need_a_choice(folder) -> None:
    folder.fill(1)
    folder.target("targets/a.tif")
    with pytest.raises(DataError, match=r"holds both `masks/` .* `targets/` .* Choose one"):
        find_layout(folder.root)
    assert find_layout(folder.root, "masks").pairs[0].label.suffix == ".png"
    assert find_layout(folder.root, "targets").pairs[0].label.suffix == ".tif"


def test_files_without_partner_and_twins_are_problems(folder) -> None:
    folder.fill(2)
    folder.image("images/x.tif")
    folder.mask("masks/y.png")
    folder.image("images/a.npy")
    problems = find_layout(folder.root).problems
    assert len(problems) == 3
    assert "images/a.tif: a.npy has the same stem; keep one" in problems
    assert any(
        problem.startswith("images/x.tif: has no mask; expected masks/x.*") for problem in problems
    )
    assert any(
        problem.startswith("masks/y.png: has no image; expected images/y.*") for problem in problems
    )


@pytest.mark.parametrize(
    ("files", "labels", "message"),
    [
        ([], None, "no such folder"),
        (["photos/a.tif"], None, "is no data folder. Expected `images/`"),
        (["images/a.tif"], None, "neither `masks/` nor `targets/`"),
        (["images/a.tif", "masks/a.png"], "targets", "holds no `targets/`"),
        (["images/a.tif", "masks/a.png"], "classes", "expected `masks` or `targets`"),
        (["images/a.tif", "train/images/a.tif"], None, "both `images/` and `train/images/`"),
        (["images/a.xyz", "masks/a.xyz"], None, "holds no images"),
        (
            ["images/a.tif", "masks/a.png", "targets/a.tif"],
            None,
            "`--set data.labels=masks` for train, `--labels masks` for evaluate",
        ),
    ],
)
def test_other_layouts_are_explained(folder, files, labels, message) -> None:
    for name in files:
        folder.text(name, "")
    with pytest.raises(DataError, match=message):
        find_layout(folder.root, labels)

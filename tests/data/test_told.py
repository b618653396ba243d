"""What a data folder says of its images, beside their pixels."""

import pytest

from normwise.data.told import told_by
from normwise.errors import DataError


def make(root, *names, section=""):
    """Files without content: no pixel is read."""
    for part in ("images", "masks"):
        folder = root / section / part
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            (folder / f"{name}.png").touch()
    return root


def test_a_split_that_is_told_otherwise_is_another(tmp_path):
    root = make(tmp_path, "a", "b", "c")
    table = root / "split.csv"
    plain = told_by(root)
    table.write_text("name,split\na,train\nb,val\nc,test\n")
    told = told_by(root)
    assert told != plain
    table.write_text("name,split,group\nc.png,testing,\nb,validation,\na,train,\n")
    assert told_by(root) == told, "written in another way"
    table.write_text("name,split\na,test\nb,val\nc,train\n")
    assert told_by(root) != told
    table.write_text("name,split,group\na,train,g\nb,val,\nc,test,\n")
    assert told_by(root) != told


def test_an_image_in_another_folder_stands_in_another_split(tmp_path):
    root = make(make(tmp_path, "a", "b", section="train"), "c", section="test")
    told = told_by(root, "masks")
    for part in ("images", "masks"):
        (root / "train" / part / "b.png").rename(root / "test" / part / "b.png")
    assert told_by(root, "masks") != told


def test_a_table_of_paths_tells_splits(tmp_path):
    make(tmp_path, "a", "b")
    table = tmp_path / "mine.csv"
    rows = "image,mask,split\nimages/a.png,masks/a.png,{}\nimages/b.png,masks/b.png,{}\n"
    found = []
    for splits in (("train", "test"), ("test", "train"), ("train", "test")):
        table.write_text(rows.format(*splits))
        found.append(told_by(table))
    assert found[0] == found[2] != found[1]


def test_what_values_mean_is_told(tmp_path):
    root = make(tmp_path, "a", "b")
    assert told_by(root).description == {}
    found = []
    for text in (
        "nodata: 0",
        "nodata: .nan",
        "classes: [land, river]\nmask_values: {0: 0, 255: 1}",
    ):
        (root / "dataset.yaml").write_text(text)
        found.append(told_by(root))
    assert [dict(told.description) for told in found] == [
        {"nodata": 0.0},
        {"nodata": None},
        {"classes": ["land", "river"], "mask_values": {"0": 0, "255": 1}},
    ]
    (root / "dataset.yaml").write_text(f"{text}\ncolours: ['#000000', '#ffffff']\n")
    assert told_by(root) == found[-1], "colours change pictures alone"
    with pytest.raises(DataError, match="no such folder"):
        told_by(root / "gone")

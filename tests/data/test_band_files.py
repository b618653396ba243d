"""Images of several files, and manifests: what belongs together, and every problem at once."""

import os
from pathlib import Path

import numpy as np
import pytest

from normwise.data import PatchBatches, open_dataset
from normwise.data.band_files import by_pattern
from normwise.errors import DataError, RasterError
from normwise.rasters import RasterInfo, open_raster, raster_info, read_raster, write_raster

BANDS = ("B02", "B08", "B11")


def band(folder, place: str, value: int, shape=(20, 24), **options):
    pixels = folder.rng.integers(0, 9, shape).astype(np.uint16) + 100 * value
    return folder.image(place, pixels[..., None], **options)


def in_folders(folder, names="abc"):
    for name in names:
        for value, word in enumerate(BANDS):
            band(folder, f"images/{name}/{name}_{word}.tif", value)
        folder.mask(f"masks/{name}.png", folder.rng.integers(0, 2, (20, 24)).astype(np.uint8))
    return folder


def by_names(folder, names="abc"):
    for name in names:
        for value, word in enumerate(BANDS):
            band(folder, f"images/{name}_1_{word}.tif", value)
        folder.mask(f"masks/{name}_1.png", folder.rng.integers(0, 2, (20, 24)).astype(np.uint8))
    folder.text("dataset.yaml", 'images: "{name}_{band}.tif"\n')
    return folder


def hundreds(item) -> list[int]:
    return (read_raster(item.image)[0, 0] // 100).tolist()


@pytest.mark.parametrize("make", [in_folders, by_names])
def test_the_bands_of_an_image_are_read_as_one(folder, make) -> None:
    data = open_dataset(make(folder).root)
    assert (data.channels, data.bands) == (3, BANDS)
    assert all(hundreds(item) == [0, 1, 2] for item in data.items)
    with PatchBatches(data, "train", (8, 8), 2, fill=np.zeros(3)) as batches:
        x, _, _ = batches[0]
        item, (row, column) = batches.positions(0)[0]
        expected = read_raster(batches.items[item].image)[row : row + 8, column : column + 8]
        np.testing.assert_array_equal(x[0], expected)


def test_what_lies_in_a_folder_that_is_left_out_belongs_to_no_image(tmp_path) -> None:
    for place in ("a_B02.tif", "a_B08.tif", "out/deep.zarr/c_0.tif", "out/a_B11.tif"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    left_out = {Path(os.path.realpath(tmp_path / "out"))}
    found, problems = by_pattern(tmp_path, "{name}_{band}.tif", (), left_out)
    assert {name: list(own) for name, own in found.items()} == {"a": ["B02", "B08"]}
    assert problems == []
    # The control.
    assert len(by_pattern(tmp_path, "{name}_{band}.tif", ())[1]) == 2


@pytest.mark.parametrize("make", [in_folders, by_names])
def test_the_description_chooses_and_orders_the_bands(folder, make) -> None:
    text = "bands: [B11, B02]\n"
    make(folder)
    pattern = folder.root / "dataset.yaml"
    folder.text("dataset.yaml", text + (pattern.read_text() if pattern.exists() else ""))
    data = open_dataset(folder.root)
    assert data.bands == ("B11", "B02")
    assert all(hundreds(item) == [2, 0] for item in data.items)


@pytest.mark.parametrize("make", [in_folders, by_names])
def test_missing_bands_and_other_grids_are_told_together(folder, make) -> None:
    make(folder)
    sep, one = ("/", "") if make is in_folders else ("_1_", "_1")
    own = {"a": "a_", "b": "b_"} if make is in_folders else {"a": "", "b": ""}
    (folder.root / f"images/a{sep}{own['a']}B08.tif").unlink()
    place = f"images/b{sep}{own['b']}B11.tif"
    (folder.root / place).unlink()
    band(folder, place, 2, shape=(10, 12))
    with pytest.raises(DataError) as caught:
        open_dataset(folder.root)
    told = "\n".join(caught.value.problems)
    assert f"images/a{one}: lacks the band B08" in told
    assert f"{place}: differs from" in told and "size (10x12 beside 20x24 pixels)" in told


def test_bands_of_another_place(folder) -> None:
    from affine import Affine

    def like(east: float) -> RasterInfo:
        transform = Affine(10, 0, east, 0, -10, 5)
        return RasterInfo(folder.root, 20, 24, 1, np.dtype("u2"), transform=transform)

    one = band(folder, "one.tif", 1, like=like(100.0))
    near = band(folder, "near.tif", 2, like=like(100.001))
    far = band(folder, "far.tif", 2, like=like(110.0))
    with open_raster((one, near)) as image:
        assert image.info.channels == 2
        assert image.info.transform == Affine(10, 0, 100, 0, -10, 5)
    with pytest.raises(RasterError, match=r"far\.tif: differs from one\.tif in transform \("):
        open_raster((one, far))


@pytest.mark.parametrize(
    ("other", "fits"),
    [
        ((10, 0, 5e5, 0, -10, 5e6), True),
        # Rounded when it was written: a pixel is not as small as the smallest number.
        ((10, 2e-10, 5e5, -3e-11, -10, 5e6 + 1e-3), True),
        ((10.000001, 0, 5e5, 0, -10, 5e6), True),
        ((10, 0, 5e5 + 1.5, 0, -10, 5e6), False),
        # At 24 columns a fifth of a pixel.
        ((10.09, 0, 5e5, 0, -10, 5e6), False),
        ((10, 0.09, 5e5, 0, -10, 5e6), False),
    ],
)
def test_a_grid_is_the_same_where_its_corners_are(folder, other, fits) -> None:
    from affine import Affine

    def like(*numbers) -> RasterInfo:
        return RasterInfo(folder.root, 20, 24, 1, np.dtype("u2"), transform=Affine(*numbers))

    one = band(folder, "one.tif", 1, like=like(10, 0, 5e5, 0, -10, 5e6))
    two = band(folder, "two.tif", 2, like=like(*other))
    for pair in ((one, two), (two, one)):
        if fits:
            assert raster_info(pair).channels == 2
            continue
        with pytest.raises(RasterError, match=r"differs from .* in transform"):
            raster_info(pair)


def test_volumes_of_millimetres_are_at_one_place(folder) -> None:
    import nibabel

    folder.root.mkdir()

    def volume(name: str, **entries: float) -> Path:
        affine = np.eye(4)
        affine[0, 1], affine[1, 0] = entries.get("turned", 0), -entries.get("turned", 0)
        affine[2, 3] = entries.get("up", 0)
        nibabel.save(nibabel.Nifti1Image(np.zeros((6, 5, 4), np.uint8), affine), folder.root / name)
        return folder.root / name

    one, two = volume("one.nii", turned=2e-10), volume("two.nii")
    assert raster_info((one, two)).channels == raster_info((two, one)).channels == 2
    for name, entries in {"up": {"up": 0.2}, "turned": {"turned": 0.05}}.items():
        with pytest.raises(RasterError, match="in transform"):
            raster_info((one, volume(f"{name}.nii", **entries)))


def test_a_file_that_fits_no_pattern(folder) -> None:
    by_names(folder)
    band(folder, "images/odd.tif", 1)
    with pytest.raises(DataError, match=r"images/odd\.tif: doesn't fit the pattern"):
        open_dataset(folder.root)
    folder.text("dataset.yaml", 'images: "{name}.tif"\n')
    with pytest.raises(DataError, match="once each"):
        open_dataset(folder.root)


def manifest(folder, lines: str, name: str = "manifest.csv"):
    for item in "abcd":
        for value, word in enumerate(BANDS):
            band(folder, f"raw/{item}_{word}.tif", value)
        labels = folder.rng.integers(0, 2, (20, 24)).astype(np.uint8)
        write_raster(folder.root / f"labels/{item}.png", labels)
    return folder.text(name, lines)


def line(item: str, more: str) -> str:
    return ";".join(f"raw/{item}_{word}.tif" for word in BANDS) + f",labels/{item}.png,{more}\n"


def test_a_manifest_says_everything(folder) -> None:
    rows = [line("a", "train,x"), line("b", "train,x"), line("c", "val,y"), line("d", "test,")]
    path = manifest(folder, "image,mask,split,group\n" + "".join(rows))
    for data in (open_dataset(folder.root), open_dataset(path)):
        assert [(item.name, item.split) for item in data.items] == [
            ("a_B02", "train"), ("b_B02", "train"), ("c_B02", "val"), ("d_B02", "test"),
        ]  # fmt: skip
        assert [item.group for item in data.items] == ["x", "x", "y", None]
        assert hundreds(data.items[0]) == [0, 1, 2]


def test_columns_for_bands_and_groups_that_stay_together(folder) -> None:
    rows = "".join(
        f"{item},raw/{item}_B02.tif,raw/{item}_B08.tif,labels/{item}.png,{group}\n"
        for item, group in zip("abcd", ("one", "one", "c", "d"), strict=True)
    )
    path = manifest(folder, "name,image:B02,image:B08,mask,group\n" + rows, "list.csv")
    folder.text("dataset.yaml", "bands: [B08, B02]\n")
    sides = set()
    for seed in range(8):
        data = open_dataset(path, seed=seed, validation=0.4)
        assert data.bands == ("B08", "B02") and hundreds(data.items[0]) == [1, 0]
        split = {item.name: item.split for item in data.items}
        assert split["a"] == split["b"]
        sides.add(split["a"])
    assert sides == {"train", "val"}


def test_all_problems_of_a_manifest_name_their_lines(folder) -> None:
    rows = [line("a", "train,x"), line("b", "val,x"), line("a", "train,"), line("c", "trainn,")]
    rows += ["raw/gone.tif,labels/d.png,train,\n", line("d", ",")]
    manifest(folder, "image,mask,split,group\n" + "".join(rows))
    with pytest.raises(DataError) as caught:
        open_dataset(folder.root)
    told = "\n".join(caught.value.problems)
    assert "manifest.csv:4: the name a_B02 stands in line 2 as well" in told
    assert "manifest.csv:5: 'trainn' is no split" in told
    assert "manifest.csv:6: raw/gone.tif does not exist" in told
    assert "manifest.csv:7: has no split" in told
    assert "group x: stands in 2 splits" in told


def test_a_manifest_without_its_columns(folder) -> None:
    path = manifest(folder, "picture,mask\nx,y\n")
    with pytest.raises(DataError, match="lacks columns"):
        open_dataset(path)
    path.write_text("")
    with pytest.raises(DataError, match="is empty"):
        open_dataset(path)
    with pytest.raises(DataError, match="can't be read"):
        open_dataset(path.with_name("gone.csv"))

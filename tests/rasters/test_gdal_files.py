"""VRTs, and GeoTIFFs with a mask of their own, read like any image."""

from dataclasses import replace

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.transform import from_origin

from normwise.data import open_dataset
from normwise.data.pixels import marks_of, missing_in
from normwise.data.scaling import Percentiles
from normwise.data.sources import Source
from normwise.errors import DataError, RasterError
from normwise.rasters import open_raster, raster_info, read_raster, write_raster
from normwise.rasters.beside import all_files
from normwise.rasters.vrt import sources_of

SIZE = (60, 80)
PLACE = {"crs": CRS.from_epsg(32632), "transform": from_origin(5e5, 5e6, 10, 10)}


def write_tiff(path, pixels, mask=None, **options):
    rows, columns, channels = pixels.shape
    profile = {"height": rows, "width": columns, "count": channels, "dtype": pixels.dtype.name}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", driver="GTiff", **PLACE, **profile, **options) as file,
    ):
        file.write(np.moveaxis(pixels, -1, 0))
        if mask is not None:
            file.write_mask(mask)


def vrt_of(path, *sources, nodata=None, relative=1):
    """As `gdalbuildvrt -separate` writes it: a band of each file; `nodata` by band, from 1."""
    told = nodata or {}
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{band}">'
        + (f"<NoDataValue>{told[band]}</NoDataValue>" if band in told else "")
        + f'<SimpleSource><SourceFilename relativeToVRT="{relative}">{name}</SourceFilename>'
        f"<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
        for band, (name, kind) in enumerate(sources, start=1)
    )
    place = "<SRS>EPSG:32632</SRS><GeoTransform>5e5, 10, 0, 5e6, 0, -10</GeoTransform>"
    size = f'rasterXSize="{SIZE[1]}" rasterYSize="{SIZE[0]}"'
    path.write_text(f"<VRTDataset {size}>{place}{bands}</VRTDataset>")
    return path


@pytest.fixture
def bands(tmp_path):
    rng = np.random.default_rng(0)
    red = rng.integers(0, 60000, (*SIZE, 1)).astype(np.uint16)
    cloud = rng.integers(0, 9, (*SIZE, 1)).astype(np.uint8)
    write_tiff(tmp_path / "red & near.tif", red)
    write_tiff(tmp_path / "cloud.tif", cloud)
    return red, cloud


def test_the_bands_of_a_vrt_come_from_its_files(tmp_path, bands):
    named = ("red &amp; near.tif", "UInt16"), ("cloud.tif", "Byte")
    path = vrt_of(tmp_path / "stack.vrt", *named)
    wanted = np.concatenate([bands[0], bands[1].astype(np.uint16)], axis=-1)
    with open_raster(path) as raster:
        info = raster.info
        assert raster.windowed and info.dtype == np.uint16 and info.nodata is None
        assert (info.crs, info.transform) == (PLACE["crs"], PLACE["transform"])
        np.testing.assert_array_equal(raster.read(), wanted)
        part = raster.read(slice(3, 50), slice(70, 80), channels=[1, 0])
        np.testing.assert_array_equal(part, wanted[3:50, 70:, ::-1])
        assert raster.read(channels=[1]).dtype == np.uint16
    assert sources_of(path) == [tmp_path / "red & near.tif", tmp_path / "cloud.tif"]


def test_a_vrt_without_its_files_or_of_nothing_is_refused(tmp_path, bands):
    path = vrt_of(tmp_path / "stack.vrt", ("gone.tif", "Byte"), ("cloud.tif", "Byte"))
    with pytest.raises(RasterError, match=r"stack\.vrt: is made of files.*gone\.tif"):
        open_raster(path)
    (tmp_path / "text.vrt").write_text("hello")
    (tmp_path / "bytes.vrt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RasterError, match=r"text\.vrt: can't be opened"):
        open_raster(tmp_path / "text.vrt")
    with pytest.raises(RasterError, match=r"bytes\.vrt: is no VRT"):
        open_raster(tmp_path / "bytes.vrt")
    with pytest.raises(RasterError, match="volume of slices"):
        raster_info(vrt_of(tmp_path / "one.vrt", ("cloud.tif", "Byte")), 3)
    assert sources_of(vrt_of(tmp_path / "far.vrt", ("/vsicurl/http://a/b.tif", "Byte"))) == []


def test_a_vrt_that_warps_and_names_with_a_colon_tell_their_files(tmp_path):
    write_tiff(tmp_path / "10:30.tif", np.full((*SIZE, 1), 3, np.uint8))
    path = vrt_of(tmp_path / "stack.vrt", ("10:30.tif", "Byte"))
    assert read_raster(path).max() == 3 and sources_of(path) == [tmp_path / "10:30.tif"]
    assert list(all_files(path)) == [path, tmp_path / "10:30.tif"]
    warped = tmp_path / "warped.vrt"
    options = "<SourceDataset relativeToVRT='1'>{}</SourceDataset>"
    for source, found in (
        ("10:30.tif", [tmp_path / "10:30.tif"]),
        ("gone.tif", [tmp_path / "gone.tif"]),
        ("&lt;VRTDataset&gt;" + "x" * 300, []),
        ("NETCDF:10:30.tif:band", []),
        ("x:" * 300, []),
    ):
        warped.write_text(
            "<VRTDataset rasterXSize='4' rasterYSize='4' subClass='VRTWarpedDataset'>"
            f"<GDALWarpOptions>{options.format(source)}</GDALWarpOptions></VRTDataset>"
        )
        assert sources_of(warped) == found
    with pytest.raises(RasterError, match=r"warped\.vrt: can't be opened"):
        open_raster(warped)


def write_with_nodata(path, nodata):
    """Three equal bands that have 5 in row 0 and 7 in row 1; `nodata` by band, from 1."""
    pixels = np.full((*SIZE, 3), 9, np.uint8)
    pixels[0], pixels[1] = 5, 7
    if path.suffix == ".vrt":
        write_tiff(path.with_name("one.tif"), pixels[..., :1])
        vrt_of(path, *[("one.tif", "Byte")] * 3, nodata=nodata)
        return pixels
    write_tiff(path, pixels)
    told = "".join(
        f'<PAMRasterBand band="{band}"><NoDataValue>{value}</NoDataValue></PAMRasterBand>'
        for band, value in nodata.items()
    )
    path.with_name(f"{path.name}.aux.xml").write_text(f"<PAMDataset>{told}</PAMDataset>")
    return pixels


@pytest.mark.parametrize("name", ["own.vrt", "own.tif"])
def test_each_band_of_a_file_may_have_a_nodata_value_of_its_own(tmp_path, name):
    pixels = write_with_nodata(tmp_path / name, {1: 5, 2: 7})
    with open_raster(tmp_path / name) as raster:
        info, found = raster.info, raster.read()
        part = raster.read(slice(1, 9), channels=[2, 1])
    assert info.masked and np.isnan(info.nodata) and info.dtype == np.float32
    wanted = pixels.astype(np.float32)
    wanted[0, :, 0] = wanted[1, :, 1] = np.nan
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(part, wanted[1:9, :, [2, 1]])
    # As of several files with these values.
    files = tuple(tmp_path / f"{band}.tif" for band in range(3))
    for path, nodata in zip(files, (5, 7, None), strict=True):
        write_tiff(path, pixels[..., :1], nodata=nodata)
    np.testing.assert_array_equal(read_raster(files), wanted)


@pytest.mark.parametrize("name", ["own.vrt", "own.tif"])
def test_a_nodata_value_that_all_bands_name_is_that_of_the_image(tmp_path, name):
    pixels = write_with_nodata(tmp_path / name, {1: 5, 2: 5, 3: 5})
    info = raster_info(tmp_path / name)
    assert info.nodata == 5 and not info.masked and info.dtype == np.uint8
    np.testing.assert_array_equal(read_raster(tmp_path / name), pixels)


def test_a_mask_of_one_band_holds_for_that_band_alone(tmp_path):
    pixels, mask = np.full((*SIZE, 1), 9, np.uint8), np.full((*SIZE, 1), 255, np.uint8)
    pixels[0], mask[2] = 5, 0
    write_tiff(tmp_path / "one.tif", pixels)
    write_tiff(tmp_path / "mask.tif", mask)
    path = vrt_of(tmp_path / "a.vrt", *[("one.tif", "Byte")] * 3, nodata={1: 5})
    own = (
        '<MaskBand><VRTRasterBand dataType="Byte"><SimpleSource><SourceFilename '
        'relativeToVRT="1">mask.tif</SourceFilename><SourceBand>1</SourceBand></SimpleSource>'
        "</VRTRasterBand></MaskBand>"
    )
    path.write_text(path.read_text().replace('band="2">', f'band="2">{own}'))
    wanted = np.tile(pixels.astype(np.float32), 3)
    wanted[0, :, 0] = wanted[2, :, 1] = np.nan
    np.testing.assert_array_equal(read_raster(path), wanted)


@pytest.mark.parametrize(("dtype", "read"), [("uint8", "float32"), ("int32", "float64")])
def test_pixels_that_a_mask_leaves_out_are_missing(tmp_path, dtype, read):
    pixels = np.random.default_rng(1).integers(0, 200, (*SIZE, 3)).astype(dtype)
    mask = np.full(SIZE, 255, np.uint8)
    mask[:20, 30:] = 0
    write_tiff(tmp_path / "a.tif", pixels, mask, tiled=True, blockxsize=16, blockysize=16)
    write_tiff(tmp_path / "b.tif", pixels)
    info = raster_info(tmp_path / "a.tif")
    assert info.masked and info.dtype == read and np.isnan(info.nodata)
    found = read_raster(tmp_path / "a.tif")
    np.testing.assert_array_equal(np.isnan(found[..., 1]), mask == 0)
    np.testing.assert_array_equal(found[mask > 0], pixels[mask > 0])
    plain = raster_info(tmp_path / "b.tif")
    assert not plain.masked and plain.dtype == dtype and plain.nodata is None


def test_a_mask_holds_beside_a_nodata_value(tmp_path):
    pixels = np.random.default_rng(1).integers(10, 200, (*SIZE, 2)).astype(np.uint8)
    pixels[0, 0] = 7
    mask = np.full(SIZE, 255, np.uint8)
    mask[:20, 30:] = 0
    write_tiff(tmp_path / "a.tif", pixels, mask, nodata=7)
    info, found = raster_info(tmp_path / "a.tif"), read_raster(tmp_path / "a.tif")
    assert info.masked and info.nodata == 7 and info.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(found[..., 1]), mask == 0)
    np.testing.assert_array_equal(found[mask > 0], pixels[mask > 0])
    write_tiff(tmp_path / "b.tif", pixels + 1)
    with open_raster([tmp_path / "b.tif", tmp_path / "a.tif"]) as both:
        assert both.info.masked and np.isnan(both.info.nodata)
        np.testing.assert_array_equal(np.isnan(both.read()[..., [1, 3]]).any((0, 1)), [False, True])


def test_nodata_and_masks_hold_for_the_bands_of_their_own_file(tmp_path):
    pixels, mask = np.full((*SIZE, 1), 9, np.uint8), np.full(SIZE, 255, np.uint8)
    pixels[0], pixels[1], mask[2] = 5, 7, 0
    told = {"a": (None, 5, {0}), "b": (mask, None, {2}), "c": (mask, 7, {1, 2}), "d": (None,) * 3}
    for name, (own, nodata, _) in told.items():
        write_tiff(tmp_path / f"{name}.tif", pixels, own, nodata=nodata)
    files = tuple(tmp_path / f"{name}.tif" for name in told)
    with open_raster(files) as image:
        info, found = image.info, image.read()
        np.testing.assert_array_equal(
            image.read(slice(1, 9), channels=[2, 0]), found[1:9, :, [2, 0]]
        )
    assert info.masked and np.isnan(info.nodata) and info.dtype == np.float32
    for band, (_, _, rows) in enumerate(told.values()):
        lacks = np.isin(np.arange(SIZE[0]), list(rows or ()))
        np.testing.assert_array_equal(np.isnan(found[..., band]), np.tile(lacks[:, None], SIZE[1]))
        np.testing.assert_array_equal(found[~lacks, :, band], pixels[~lacks, :, 0])
    np.testing.assert_array_equal(missing_in(found, marks_of(info.nodata)), np.isnan(found))
    # A value that all of them name is the image's, whose pixels stay what they are.
    with open_raster((files[0], files[0])) as image:
        assert image.info.nodata == 5 and not image.info.masked
        np.testing.assert_array_equal(image.read(), np.concatenate([pixels, pixels], axis=-1))


def test_a_nodata_value_is_rounded_as_the_floats_of_its_own_file(tmp_path):
    files = tmp_path / "single.tif", tmp_path / "double.tif"
    for path, dtype in zip(files, (np.float32, np.float64), strict=True):
        pixels = np.ones((*SIZE, 1), dtype)
        pixels[4] = 0.1
        write_tiff(path, pixels, nodata=0.1)
    found = read_raster(files)
    missing = missing_in(found, marks_of(raster_info(files).nodata))
    assert missing is not None and missing[4].all() and missing.sum() == missing[4].size
    named = ("single.tif", "Float32"), ("double.tif", "Float64")
    both = vrt_of(tmp_path / "both.vrt", *named, nodata={1: 0.1, 2: 0.1})
    found = read_raster(both)
    np.testing.assert_array_equal(missing_in(found, marks_of(raster_info(both).nodata)), missing)


def test_each_band_may_have_a_mask_of_its_own(tmp_path):
    pixels = np.full((*SIZE, 2), 9, np.uint8)
    write_tiff(tmp_path / "a.tif", pixels)
    masks = np.full((2, *SIZE), 255, np.uint8)
    masks[0, 3], masks[1, 5] = 0, 0
    size = {"height": SIZE[0], "width": SIZE[1], "count": 2, "dtype": "uint8"}
    with rasterio.open(tmp_path / "a.tif.msk", "w", driver="GTiff", **size) as file:
        file.update_tags(INTERNAL_MASK_FLAGS_1=0, INTERNAL_MASK_FLAGS_2=0)
        file.write(masks)
    found = read_raster(tmp_path / "a.tif")
    np.testing.assert_array_equal(np.isnan(found), np.moveaxis(masks == 0, 0, -1))
    with open_raster(tmp_path / "a.tif") as raster:
        part = raster.read(slice(2, 9), channels=[1])
    np.testing.assert_array_equal(np.isnan(part[..., 0]), masks[1, 2:9] == 0)


def test_all_that_calls_pixels_missing_holds_in_training(tmp_path):
    rng, mask = np.random.default_rng(3), np.full(SIZE, 255, np.uint8)
    mask[2, 2] = 0
    for name in "abc":
        pixels = rng.integers(10, 200, (*SIZE, 2)).astype(np.uint8)
        pixels[0, 0], pixels[1, 1] = 5, 7
        for kind, content in (("images", pixels), ("masks", np.zeros((*SIZE, 1), np.uint8))):
            (tmp_path / kind).mkdir(exist_ok=True)
            write_tiff(
                tmp_path / kind / f"{name}.tif", content, mask, nodata=7 * (kind == "images")
            )
    (tmp_path / "split.csv").write_text("name,split\na,train\nb,train\nc,val\n")
    (tmp_path / "dataset.yaml").write_text("nodata: 5\nclasses: [land, water]\n")
    dataset = open_dataset(tmp_path)
    item = dataset.split("val")[0]
    whole = slice(0, SIZE[0]), slice(0, SIZE[1])
    with Source(dataset, dataset.items) as source:
        _, missing = source.image(item, *whole)
        labels = source.classes(item, *whole)
    assert set(zip(*np.nonzero(missing.any(-1)), strict=True)) == {(0, 0), (1, 1), (2, 2)}
    # A label that its mask leaves out isn't class 0, which is the file's nodata value here.
    assert labels[2, 2] == 255 and np.count_nonzero(labels) == 1
    scaled = replace(dataset, scaling=Percentiles(0, 100))
    with Source(scaled, scaled.items) as source:
        values, _ = source.image(item, *whole)
    assert np.nanmin(np.where(missing, np.nan, values)) == 0  # 5 and 7 are no measurements


def test_a_data_set_may_have_masked_images_and_labels_beside_others(tmp_path):
    rng = np.random.default_rng(2)
    for name in "abc":
        pixels = rng.integers(0, 200, (*SIZE, 2)).astype(np.uint8)
        mask = None if name == "a" else np.where(np.arange(SIZE[1]) < 9, 0, 255).astype(np.uint8)
        mask = None if mask is None else np.ascontiguousarray(np.broadcast_to(mask, SIZE))
        for kind, content in (("images", pixels), ("masks", pixels[..., :1] // 100)):
            (tmp_path / kind).mkdir(exist_ok=True)
            write_tiff(tmp_path / kind / f"{name}.tif", content, mask)
    (tmp_path / "split.csv").write_text("name,split\na,train\nb,train\nc,val\n")
    dataset = open_dataset(tmp_path)
    assert dataset.class_ids.keys() == {0, 1, 255}
    items = dataset.split("val")
    with Source(dataset, items) as source:
        item = items[0]
        labels = source.classes(item, slice(0, 60), slice(0, 80))
        assert labels.dtype == np.uint8
        assert (labels[:, :9] == 255).all() and (labels[:, 9:] < 2).all()
    write_raster(tmp_path / "masks" / "b.tif", rng.normal(size=(*SIZE, 1)), overwrite=True)
    with pytest.raises(DataError, match="problem"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("name", ["a.tif", "a.vrt"])
def test_percentiles_are_found_anew_when_a_mask_comes_beside_an_image(tmp_path, name):
    pixels = np.full((*SIZE, 1), 9, np.uint8)
    pixels[:3] = 200
    write_tiff(tmp_path / "a.tif", pixels)
    vrt_of(tmp_path / "a.vrt", ("a.tif", "Byte"))
    scaling, path = Percentiles(0, 100), tmp_path / name
    assert scaling.bounds_of_file(path, None, None).ravel().tolist() == [9, 200]
    mask = np.full((1, *SIZE), 255, np.uint8)
    mask[:, :3] = 0
    size = {"height": SIZE[0], "width": SIZE[1], "count": 1, "dtype": "uint8"}
    with rasterio.open(tmp_path / f"{name}.msk", "w", driver="GTiff", **size) as file:
        file.update_tags(INTERNAL_MASK_FLAGS_1=2)
        file.write(mask)
    assert scaling.bounds_of_file(path, None, None).ravel().tolist() == [9, 9]

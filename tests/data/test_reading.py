"""What a run keeps of how its images were, for those that it predicts."""

from types import SimpleNamespace

import numpy as np
from rasterio.crs import CRS
from rasterio.transform import from_origin

from normwise.data import open_dataset
from normwise.rasters import write_raster

PLACE = SimpleNamespace(
    crs=CRS.from_epsg(32632), transform=from_origin(5e5, 5e6, 10, 10), geolocation=None
)


def test_names_type_place_and_colours_are_kept(tmp_path):
    rng = np.random.default_rng(0)
    for name in "abc":
        pixels = rng.integers(0, 99, (20, 24, 2)).astype(np.int16)
        path = tmp_path / "images" / f"{name}.tif"
        write_raster(path, pixels, like=PLACE, band_names=("blue", "red"))
        write_raster(tmp_path / "masks" / f"{name}.png", np.eye(20, 24, dtype=np.uint8))
    (tmp_path / "dataset.yaml").write_text('classes: [a, b]\ncolours: ["#000000", "#ffffff"]\n')
    record = open_dataset(tmp_path).record
    assert record.channels == ["blue", "red"] and record.dtype == "int16" and record.placed
    assert record.colours == ["#000000", "#ffffff"]
    write_raster(path, pixels, overwrite=True)  # one without a place is enough
    assert open_dataset(tmp_path).record.placed is False

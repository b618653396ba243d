"""Cuts the demo's sample from the `isl_fluor` data set (16 tiles of one 512x512 field).

    python tools/make_sample.py PATH_OF_ISL_FLUOR src/normwise/samples/isl_fluor

Nine of the thirteen focal planes, the DAPI target, and two separate crops of the field: columns 0
to 383 for training (rows 0 to 383) and validation (rows 384 to 511), columns 384 to 511 for the
test.
"""

import sys
from pathlib import Path

import numpy as np
import rasterio

PLANES = (0, 1, 3, 4, 6, 7, 9, 10, 12)
CROPS = {
    "train": (slice(0, 384), slice(0, 384)),
    "val": (slice(384, 512), slice(0, 384)),
    "test": (slice(0, 512), slice(384, 512)),
}


def main(source: Path, out: Path) -> None:
    """Writes the sample as a data folder with train, val and test."""
    planes, target = _field(source / "images")[list(PLANES)], _field(source / "targets")[:1]
    for split, (rows, columns) in CROPS.items():
        _write(out / split / "images" / f"{split}.tif", planes[:, rows, columns], _names())
        _write(out / split / "targets" / f"{split}.tif", target[:, rows, columns], ["DAPI"])


def _field(folder: Path) -> np.ndarray:
    rows = []
    for row in range(4):
        tiles = []
        for column in range(4):
            with rasterio.open(folder / f"r{row}c{column}.tif") as tile:
                tiles.append(tile.read())
        rows.append(np.concatenate(tiles, axis=2))
    return np.concatenate(rows, axis=1)


def _names() -> list[str]:
    return [f"phase_z{plane:02d}" for plane in PLANES]


def _write(path: Path, bands: np.ndarray, names: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = bands.shape
    profile = {
        "driver": "GTiff", "count": count, "height": height, "width": width,
        "dtype": bands.dtype, "compress": "deflate", "predictor": 2, "zlevel": 9,
        "tiled": True, "blockxsize": 128, "blockysize": 128, "interleave": "band",
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(bands)
        for index, name in enumerate(names, start=1):
            file.set_band_description(index, name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""Synthetic data folders of a given size: `python synthetic.py FOLDER MEGABYTES`."""

import sys
from pathlib import Path

import numpy as np

from normwise.rasters import write_raster

SIZE, BANDS = 2048, 9
IMAGE_MB = SIZE * SIZE * BANDS * 2 / 1e6


def make(folder: Path, megabytes: float) -> Path:
    """Writes as many uint16 GeoTIFFs of 2048x2048x9 as it takes, with float targets."""
    count = max(2, round(megabytes / IMAGE_MB))
    rng = np.random.default_rng(0)
    base = rng.integers(0, 10_000, (SIZE, SIZE, BANDS), dtype=np.uint16)
    lines = ["name,split"]
    for index in range(count):
        image = np.roll(base, 37 * index, axis=0)
        name = f"scene_{index:04d}"
        _write(folder / "images" / f"{name}.npy", image)
        _write(folder / "targets" / f"{name}.npy", image[..., :1].astype(np.float32))
        lines.append(f"{name},{'val' if index == 0 else 'train'}")
    (folder / "split.csv").write_text("\n".join(lines) + "\n")
    return folder


def _write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_raster(path, array, overwrite=True)


if __name__ == "__main__":
    make(Path(sys.argv[1]), float(sys.argv[2]))

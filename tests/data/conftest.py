"""Data folders made for a test."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from normwise.rasters import write_raster

Array = np.ndarray[Any, Any]


BESIDE = Path(__file__).parents[3] / "shared" / "data"


class Folder:
    """A data folder that a test fills."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rng = np.random.default_rng(0)

    def image(self, name: str, array: Array | None = None, **options: Any) -> Path:
        if array is None:
            array = self.rng.integers(0, 4000, (40, 50, 3)).astype(np.uint16)
        path = self.root / name
        write_raster(path, array, **options)
        return path

    def mask(self, name: str, array: Array | None = None) -> Path:
        if array is None:
            array = self.rng.integers(0, 3, (40, 50)).astype(np.uint8)
        path = self.root / name
        write_raster(path, array)
        return path

    def target(self, name: str, array: Array | None = None, **options: Any) -> Path:
        if array is None:
            array = self.rng.normal(5, 2, (40, 50, 2)).astype(np.float32)
        path = self.root / name
        write_raster(path, array, **options)
        return path

    def text(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def fill(self, count: int = 5, labels: str = "masks") -> "Folder":
        """Images a, b, c, ... with labels."""
        for name in "abcdefghijklmnop"[:count]:
            self.image(f"images/{name}.tif")
            if labels == "masks":
                self.mask(f"masks/{name}.png")
            else:
                self.target(f"targets/{name}.tif")
        return self


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "data")


@pytest.fixture(scope="session")
def real() -> Callable[[str], Path]:
    """Real data sets, where they are: beside the checkout, or in NORMWISE_TEST_DATA."""

    def find(name: str) -> Path:
        root = Path(os.environ.get("NORMWISE_TEST_DATA", BESIDE)) / name
        if not root.is_dir():
            pytest.skip(f"{name} is not here; set NORMWISE_TEST_DATA")
        return root

    return find

"""A volume whose slices and channels are the channels of an image."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normwise.rasters.raster import Pixels, Raster, Window


class Stack(Raster):
    """A volume over an image that reads the planes of its slices.

    Args:
        planes: The image, which is closed with the volume.
        places: Which channel of it stands for each slice and channel of the volume; shape
            `(slices, channels)`.
    """

    def __init__(self, planes: Raster, places: NDArray[np.int64]) -> None:
        depth, channels = places.shape
        info: Any = replace(planes.info, depth=depth, channels=channels, band_names=(), alpha=None)
        super().__init__(info, (1, *planes.block))
        self.windowed = planes.windowed
        self._planes = planes
        self._places = places

    def close(self) -> None:
        """Closes the image."""
        self._planes.close()

    def _read(self, window: Window, channels: Sequence[int]) -> Pixels:
        places = self._places[window[0]][:, list(channels)]
        planes = self._planes.read(*window[1:], channels=places.ravel().tolist())
        volume = planes.reshape(*planes.shape[:2], *places.shape)
        return np.ascontiguousarray(np.moveaxis(volume, 2, 0))

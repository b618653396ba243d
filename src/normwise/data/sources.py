"""Reading windows of a data set's files from several threads, in bounded memory."""

from collections.abc import Sequence
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from normwise.data.blocks import in_file
from normwise.data.caches import Decoded, DecodedImages, OpenFiles
from normwise.data.class_ids import class_ids_of
from normwise.data.dataset import Dataset, Item
from normwise.data.description import IGNORE
from normwise.data.pixels import Bools, Pixels, marks_of, missing_in
from normwise.data.scaling import Percentiles, scaled_between
from normwise.errors import DataError
from normwise.rasters import Dimensions, ImageFiles, Window, raster_info

CACHE_BYTES = 256 * 2**20
"""How much decoded data is kept."""


class Source:
    """Windows of the images and labels of a data set. Safe to use from several threads.

    Formats without windows are decoded once and kept within `cache_bytes`; the others are read
    by windows, unless all of `items` fits into the cache.

    Args:
        dataset: The data set.
        items: The items that will be read.
        cache_bytes: How much decoded data is kept.
    """

    def __init__(
        self, dataset: Dataset, items: Sequence[Item], cache_bytes: int = CACHE_BYTES
    ) -> None:
        self.dataset = dataset
        self._decoded = DecodedImages(cache_bytes)
        self._files = OpenFiles(dataset.dimensions)
        self._bounds = dict[ImageFiles, NDArray[np.float64]]()
        self._keeps_all = decoded_bytes(items, dataset.dimensions) <= cache_bytes

    def image(self, item: Item, *spans: slice) -> tuple[Pixels, Bools | None]:
        """A window of an image.

        Args:
            item: The item.
            *spans: Rows and columns inside the image; of a volume slices, rows and columns.

        Returns:
            Pixels of shape `(*spans, channels)` in the file's dtype, or scaled as the data
            set says (float32), and where they hold no measurement (booleans of the same shape, or
            None if nothing is missing).

        Raises:
            RasterError: If the file can't be read.
        """
        dataset, bands = self.dataset, self.dataset.band_index
        spans = in_file(item, spans)
        pixels, own = self._window(item.image, spans, bands)
        missing = missing_in(pixels, marks_of(dataset.nodata, own))
        if dataset.scaling is not None:
            pixels = scaled_between(pixels, self._bounds_of(dataset.scaling, item.image))
        return pixels, missing

    def classes(self, item: Item, *spans: slice) -> NDArray[np.uint8]:
        """A window of a mask.

        Args:
            item: The item.
            *spans: Rows and columns inside the image; of a volume slices, rows and columns.

        Returns:
            Class ids of the shape of `spans`; 255 where there is no label, or its weight is 0.

        Raises:
            RasterError: If the file can't be read.
            DataError: If it holds unknown classes.
        """
        path = _label(item)
        mask, _ = self._window(path, in_file(item, spans), None)
        ids = class_ids_of(mask, self.dataset, path)
        weights = self.weights(item, *spans)
        return ids if weights is None else np.where(weights > 0, ids, IGNORE).astype(np.uint8)

    def targets(self, item: Item, *spans: slice) -> tuple[Pixels, Bools | None]:
        """A window of the targets.

        Args:
            item: The item.
            *spans: Rows and columns inside the image; of a volume slices, rows and columns.

        Returns:
            Values of shape `(*spans, outputs)` in the file's dtype, and where there is no
            label, or its weight is 0 (booleans of the same shape, or None if everything is
            labelled).

        Raises:
            RasterError: If the file can't be read.
        """
        values, nodata = self._window(_label(item), in_file(item, spans), self.dataset.target_index)
        missing, weights = missing_in(values, nodata), self.weights(item, *spans)
        if weights is None:
            return values, missing
        without = np.broadcast_to((weights <= 0)[..., None], values.shape)
        return values, without if missing is None else missing | without

    def weights(self, item: Item, *spans: slice) -> NDArray[np.float32] | None:
        """A window of the pixels' weights.

        Args:
            item: The item.
            *spans: Rows and columns inside the image; of a volume slices, rows and columns.

        Returns:
            float32 of the shape of `spans`, 0 where NaN or nodata stands; None if the item has
            no weights.

        Raises:
            RasterError: If the file can't be read.
        """
        if item.weight is None:
            return None
        stored, nodata = self._window(item.weight, in_file(item, spans), None)
        weights = stored[..., 0].astype(np.float32)
        missing = missing_in(stored, nodata)
        if missing is not None:
            weights[missing[..., 0]] = 0
        return weights

    def close(self) -> None:
        """Closes all files and forgets all decoded images; reading again opens them anew."""
        self._files.close()
        self._decoded.clear()
        self._bounds.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _window(
        self, path: ImageFiles, spans: Window, channels: Sequence[int] | None
    ) -> tuple[Pixels, float | None]:
        decoded = self._decoded.get(path)
        if decoded is None:
            with self._files.lend(path) as raster:
                if raster.windowed and not self._keeps_all:
                    return raster.read(*spans, channels=channels), raster.info.nodata
                decoded = Decoded(raster.read(), raster.info.nodata)
            self._decoded.put(path, decoded)
        return decoded.window(spans, channels)

    def _bounds_of(self, scaling: Percentiles, path: ImageFiles) -> NDArray[np.float64]:
        """The percentiles of a whole file, whatever the window is: prediction has the same.

        Asked for once: whether a file has changed is seen by a look at each chunk of a Zarr.
        """
        if path not in self._bounds:
            dataset = self.dataset
            self._bounds[path] = scaling.bounds_of_file(
                path, dataset.band_index, dataset.nodata, dataset.dimensions
            )
        return self._bounds[path]


def decoded_bytes(items: Sequence[Item], dimensions: Dimensions | None = None) -> int:
    """About how much memory all images and labels would need, judged by the first item.

    Args:
        items: The items; their sizes are known, their number of channels is looked up once.
        dimensions: 3 if the files are volumes, 2 if they are images.

    Returns:
        Bytes.
    """
    if not items:
        return 0
    files = (items[0].image, items[0].label, items[0].weight)
    infos = [raster_info(path, dimensions) for path in files if path is not None]
    pixel = sum(info.channels * info.dtype.itemsize for info in infos)
    return pixel * sum(prod(item.shape) for item in items)


def _label(item: Item) -> Path:
    if item.label is None:
        raise DataError(f"{item.image}: has no label.")
    return item.label

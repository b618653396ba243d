"""Scaling each image by percentiles of its own, over the whole image, before anything is cut."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from normwise.data.pixels import WINDOW_VALUES, Bools, Marks, Pixels, marks_of, missing_in
from normwise.errors import DataError
from normwise.rasters import Dimensions, ImageFiles, open_raster
from normwise.rasters.beside import all_files, stamp_of

Windows = Callable[[], Iterable[tuple[Pixels, Bools | None]]]
_Doubles = NDArray[np.float64]
_Keys = NDArray[np.uint32]

_HALF: Final = np.uint32(16)
_LOW: Final = np.uint32(0xFFFF)
_SIGN: Final = np.uint32(0x80000000)
_NAME: Final = re.compile(r"input_percentiles_(\d+(?:p\d+)?)_(\d+(?:p\d+)?)")


@dataclass(frozen=True)
class Percentiles:
    """Each channel of each image from its low to its high percentile in 0 to 1, without clipping.

    For images whose exposure differs: the brightness of one says nothing about that of another.
    It can't live inside a model that is applied by tiles, since it needs the whole image; so the
    model's input is named after it, and every user of the model scales in the same way.

    Args:
        low: The percentile that becomes 0.
        high: The percentile that becomes 1.

    Raises:
        DataError: If they are not 0 <= low < high <= 100.

    Example:
        ```python
        Percentiles(1, 99.8).scaled(pixels)
        ```
    """

    low: float = 1.0
    high: float = 99.8

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 100:
            raise DataError(
                f"percentiles {self.low:g} and {self.high:g}: expected two numbers from 0 to 100, "
                "the lower one first, for example 1 and 99.8."
            )

    @property
    def input_name(self) -> str:
        """The name of a model's input that takes images scaled like this."""
        low, high = (f"{value:.10g}".replace(".", "p") for value in (self.low, self.high))
        return f"input_percentiles_{low}_{high}"

    @classmethod
    def of_input(cls, name: str) -> Self | None:
        """The scaling that the name of a model's input asks for, None if it asks for none."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        low, high = (float(text.replace("p", ".")) for text in found.groups())
        return cls(low, high)

    def scaled(self, pixels: Pixels, nodata: float | Marks | None = None) -> NDArray[np.float32]:
        """A whole image, scaled.

        Args:
            pixels: The whole image, shape `(..., channels)`, any numeric type.
            nodata: The value that holds no measurement, or several; NaN never does. Such pixels
                don't count.

        Returns:
            float32 of the same shape; NaN stays, pixels of nodata hold a number without meaning.
        """
        missing = missing_in(pixels, nodata)
        return scaled_between(pixels, self.bounds(lambda: [(pixels, missing)]))

    def bounds(self, windows: Windows) -> _Doubles:
        """The low and the high percentile of each channel of an image.

        The smallest value that at least such a share of the pixels doesn't exceed, exact to
        float32 and the same however the image is cut. Missing and infinite pixels are left out.

        Args:
            windows: Gives the windows of the image anew on each call: pixels of shape
                `(..., channels)`, and where they are missing.

        Returns:
            float64 of shape `(2, channels)`; 0 and 1 for a channel without a measurement.
        """
        return streamed_percentiles(windows, (self.low, self.high))

    def bounds_of_file(
        self,
        path: ImageFiles,
        bands: tuple[int, ...] | None,
        nodata: float | None,
        dimensions: Dimensions | None = None,
    ) -> _Doubles:
        """The same for an image file, which is read once and then remembered until it changes.

        Args:
            path: The file, or the files of its bands.
            bands: Its channels that count, None for all.
            nodata: The value that holds no measurement, beside the one that the file names.
            dimensions: 3 if the file is a volume, 2 if it is an image; None: what it says.
        """
        # What lies beside it may say which pixels count.
        stamp = tuple(stamp_of(file) for file in all_files(path))
        return _remembered(self, path, stamp, bands, nodata, dimensions)


@lru_cache(maxsize=2**16)
def _remembered(
    scaling: Percentiles,
    path: ImageFiles,
    stamp: tuple[tuple[str, int, int | str], ...],
    bands: tuple[int, ...] | None,
    nodata: float | None,
    dimensions: Dimensions | None,
) -> _Doubles:
    with open_raster(path, dimensions) as raster:
        marks = marks_of(nodata, raster.info.nodata)

        def windows() -> Iterable[tuple[Pixels, Bools | None]]:
            for window in raster.windows(WINDOW_VALUES // raster.info.channels):
                pixels = raster.read(*window, channels=bands)
                yield pixels, missing_in(pixels, marks)

        bounds = scaling.bounds(windows)
    bounds.flags.writeable = False
    return bounds


def scaled_between(pixels: Pixels, bounds: _Doubles) -> NDArray[np.float32]:
    """Pixels with the first bound at 0 and the second at 1; a constant channel becomes 0."""
    low, high = bounds
    span = np.where(high > low, high - low, 1.0)
    # In doubles first: large numbers that differ little keep their differences.
    scaled: NDArray[np.float32] = ((pixels - low) / span).astype(np.float32)
    return scaled


def streamed_percentiles(windows: Windows, shares: tuple[float, ...]) -> _Doubles:
    """Percentiles of each channel of an image that is read by windows; see `Percentiles.bounds`.

    A radix selection on the ordered bit patterns of float32: one pass counts their upper 16 bits,
    a second one the lower 16 bits of those pixels whose upper half is the percentile's.

    Args:
        windows: Gives the windows anew on each call.
        shares: The percentiles, 0 to 100.

    Returns:
        float64 of shape `(shares, channels)`; evenly from 0 to 1 for a channel without pixels.
    """
    upper = _counted(windows, lambda keys, _: [keys >> _HALF])[:, 0]
    totals = upper.sum(-1)
    ranks = np.maximum(np.ceil(np.outer(totals, shares) / 100 - 1e-9), 1).astype(np.int64)
    heads, left = _found(upper[:, None], ranks)

    def lower_halves(keys: _Keys, channel: int) -> list[_Keys]:
        return [keys[keys >> _HALF == head] & _LOW for head in heads[channel]]

    tails, _ = _found(_counted(windows, lower_halves), left)
    values = _values((heads.astype(np.uint32) << _HALF) | tails.astype(np.uint32)).T
    without = np.linspace(0, 1, len(shares))[:, None]
    return np.where(totals > 0, values, without)


def _counted(windows: Windows, halves: Callable[[_Keys, int], list[_Keys]]) -> NDArray[np.int64]:
    """How often each half of a key stands in each channel: `(channels, lists, 65536)`."""
    counts: NDArray[np.int64] | None = None
    for pixels, missing in windows():
        flat = pixels.reshape(-1, pixels.shape[-1]).astype(np.float32)
        kept = np.isfinite(flat)
        if missing is not None:
            kept &= ~missing.reshape(kept.shape)
        found = np.stack(
            [
                [
                    np.bincount(half, minlength=2**16)
                    for half in halves(_keys(flat[kept[:, channel], channel]), channel)
                ]
                for channel in range(flat.shape[-1])
            ]
        )
        counts = found if counts is None else counts + found
    assert counts is not None, "an image has windows"
    return counts


def _found(
    counts: NDArray[np.int64], ranks: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where counts reach ranks of shape `(channels, shares)`, and the ranks that are left there."""
    sums = np.broadcast_to(np.cumsum(counts, -1), (*ranks.shape, counts.shape[-1]))
    places = np.minimum((sums < ranks[..., None]).sum(-1), counts.shape[-1] - 1)
    below = np.where(places > 0, np.take_along_axis(sums, places[..., None] - 1, -1)[..., 0], 0)
    return places, ranks - below


def _keys(values: NDArray[np.float32]) -> _Keys:
    """Unsigned integers in the order of the numbers: IEEE 754 with the sign turned around."""
    # Adding 0 makes the two zeros one.
    bits = (values + np.float32(0)).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | _SIGN).astype(np.uint32)


def _values(keys: _Keys) -> _Doubles:
    bits = np.where(keys >> 31, keys & ~_SIGN, ~keys).astype(np.uint32)
    return bits.view(np.float32).astype(np.float64)

"""What the numbers in an array mean by the attributes of the CF conventions.

See CF 1.11, 2.5.1 (missing data), 3.5 (flags) and 8.1 (packed data), and the NetCDF Users Guide for
`_Unsigned`.
Zarr's own fill value is what stands in chunks that nobody wrote, and says nothing of others.
"""

import base64
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from normwise.errors import RasterError
from normwise.rasters.class_map import Classes
from normwise.rasters.gdal_mask import masked_dtype
from normwise.rasters.nodata import marked
from normwise.rasters.raster import Pixels

FILL: Final = "_FillValue"
_MISSING: Final = (FILL, "missing_value")
_KINDS: Final = {"true": "u", "false": "i"}
"""Kinds of whole numbers by what `_Unsigned` says."""
# Whole numbers of up to 16 bits times a factor are exact enough in float32.
_SHORT: Final = 2
_SHOWN: Final = 40


@dataclass(frozen=True)
class Packing:
    """How measurements are stored.

    Args:
        stored: Type of the stored numbers.
        missing: The stored numbers that mark missing pixels, each once, NaN included.
        scale: By what stored numbers are multiplied.
        offset: What is added then.
    """

    stored: np.dtype[Any]
    missing: tuple[float, ...] = ()
    scale: float = 1.0
    offset: float = 0.0

    @property
    def masked(self) -> bool:
        """Whether whole numbers are read as floats for no other reason than missing pixels."""
        return len(self._numbers) > 1 and not self._packed

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the measurements."""
        if not self._packed:
            return masked_dtype(self.stored) if self.masked else self.stored
        if self.stored.kind == "f":
            return np.result_type(self.stored, np.float32)
        return np.dtype(np.float32 if self.stored.itemsize <= _SHORT else np.float64)

    @property
    def nodata(self) -> float | None:
        """The one value that marks missing measurements."""
        if not self.missing:
            return None
        numbers = self._numbers
        return numbers[0] if len(numbers) == 1 and not self._packed else math.nan

    def measured(self, pixels: Pixels) -> Pixels:
        """Measurements of stored numbers.

        Args:
            pixels: Stored numbers, of any shape, signed where they are stored so.
        """
        stored = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
        if stored.dtype != self.stored and stored.dtype.kind in "iu":
            stored = stored.view(self.stored)
        if not (self.masked or self._packed):
            return stored.astype(self.dtype, copy=False)
        values = stored.astype(self.dtype)
        if self._packed:
            values *= self.scale
            values += self.offset
        for number in self._numbers:
            here = marked(stored, number)
            if here is not None:
                values[here] = np.nan
        return values

    @property
    def _packed(self) -> bool:
        return (self.scale, self.offset) != (1, 0)

    @property
    def _numbers(self) -> tuple[float, ...]:
        return tuple(number for number in self.missing if not math.isnan(number))


def packing_of(path: Path, attributes: Mapping[str, Any], stored: np.dtype[Any]) -> Packing:
    """What the attributes of an array say of its numbers.

    Args:
        path: The image, for messages.
        attributes: By their names.
        stored: Type of its numbers, in native byte order.

    Raises:
        RasterError: One that should be a number is none.
    """
    told = [number for name in _MISSING for number in _numbers_of(path, attributes, name)]
    kind = _KINDS.get(str(attributes.get("_Unsigned")).lower())
    if kind is not None and stored.kind in _KINDS.values():
        stored = np.dtype(f"{kind}{stored.itemsize}")
        told = [_as_stored(number, stored) for number in told]
    missing = {str(number): number for number in told}  # NaN is unlike itself
    scale = _factor(path, attributes, "scale_factor", 1.0)
    offset = _factor(path, attributes, "add_offset", 0.0)
    return Packing(stored, tuple(missing.values()), scale, offset)


def encoded_fill(nodata: float, dtype: np.dtype[Any]) -> int | str:
    """A value that marks missing pixels, as xarray keeps `_FillValue` in Zarr of version 3.

    Args:
        nodata: The value.
        dtype: Of the pixels.

    Returns:
        A whole number, or for floats, since JSON has no NaN, the text of their eight bytes.

    Raises:
        ValueError: It is no number of that type.
        OverflowError: Likewise.
    """
    if dtype.kind != "f":
        return int(dtype.type(int(nodata)))
    return base64.standard_b64encode(struct.pack("<d", nodata)).decode("ascii")


def flags_of(classes: Classes) -> dict[str, Any]:
    """Class ids as the flags of CF; its words have no spaces, so `classes` are the names, too.

    Args:
        classes: What the ids mean.
    """
    return {
        "flag_values": list(range(len(classes.names))),
        "flag_meanings": " ".join("_".join(name.split()) for name in classes.names),
        "flag_colors": " ".join(f"#{bytes(colour).hex()}" for colour in classes.colours),
        "classes": list(classes.names),
    }


def _factor(path: Path, attributes: Mapping[str, Any], name: str, default: float) -> float:
    told = list(_numbers_of(path, attributes, name)) or [default]
    nothing = default != 0 and told[0] == 0
    if len(told) > 1 or nothing or not math.isfinite(told[0]):
        raise _no_number(path, attributes, name)
    return told[0]


def _numbers_of(path: Path, attributes: Mapping[str, Any], name: str) -> Iterator[float]:
    told = attributes.get(name)
    try:
        for value in told if isinstance(told, (list, tuple)) else [told]:
            if value is not None:
                yield _number(value)
    except (TypeError, ValueError, OverflowError, struct.error) as error:
        raise _no_number(path, attributes, name) from error


def _number(value: Any) -> float:
    """A number, or the text in which xarray keeps floats in Zarr of version 3."""
    try:
        return float(value)
    except ValueError:
        (number,) = struct.unpack("<d", base64.b64decode(value, validate=True))
        return float(number)


def _no_number(path: Path, attributes: Mapping[str, Any], name: str) -> RasterError:
    return RasterError(
        f"{path}: its attribute {name} is {attributes[name]!r:.{_SHOWN}}, from which no number can "
        "be taken to read its pixels with. Correct or remove it, or write the image again."
    )


def _as_stored(number: float, stored: np.dtype[Any]) -> float:
    """A whole number as stored ones of its type are taken: of bytes -1 and 255 are the same."""
    values = 2.0 ** (8 * stored.itemsize)
    if not (number.is_integer() and -values / 2 <= number < values):
        return number
    whole = number % values
    return whole - values if stored.kind == "i" and whole >= values / 2 else whole

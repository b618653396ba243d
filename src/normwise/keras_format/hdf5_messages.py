"""The parts of an HDF5 object header that say what a dataset or an attribute holds.

After the HDF5 File Format Specification 3.0, sections IV.A.2.b (dataspace), d (datatype) and m
(attribute), in the versions that libraries write for files that every version can read.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from struct import unpack_from

DATASPACE, LINK_INFO, DATATYPE, LINK, EXTERNAL, LAYOUT = 0x1, 0x2, 0x3, 0x6, 0x7, 0x8
FILTERS, ATTRIBUTE, CONTINUATION, SYMBOL_TABLE, ATTRIBUTE_INFO = 0xB, 0xC, 0x10, 0x11, 0x15

_FIXED_POINT, _FLOATING_POINT, _STRING, _VARIABLE = 0, 1, 3, 9
_FLOATS = {2: "e", 4: "f", 8: "d"}
_INTEGERS = {1: "bB", 2: "hH", 4: "iI", 8: "qQ"}
_IEEE = {
    2: (0, 16, 10, 5, 0, 10, 15),
    4: (0, 32, 23, 8, 0, 23, 127),
    8: (0, 64, 52, 11, 0, 52, 1023),
}
"""Bit offset, precision, place and size of exponent and mantissa, and bias, by the size."""


class UnusualError(Exception):
    """A form of HDF5 that Keras doesn't write, and that is not read here."""


@dataclass(frozen=True)
class Datatype:
    """The type of an element.

    Attributes:
        size: Bytes of an element.
        code: As in `struct`, little-endian; `"s"` for texts, `"v"` for texts that stand elsewhere
            in the file, empty for what is neither number nor text.
    """

    size: int
    code: str


def datatype(message: bytes) -> Datatype:
    """The element type that a datatype message tells.

    Raises:
        UnusualError: Big-endian numbers, or floats that aren't IEEE 754's.
    """
    kind, bits, size = message[0] & 0x0F, message[1], unpack_from("<I", message, 4)[0]
    if kind == _STRING:
        return Datatype(size, "s")
    if kind == _VARIABLE:
        return Datatype(size, "v" if bits & 0x0F == 1 else "")
    if kind not in (_FIXED_POINT, _FLOATING_POINT):
        return Datatype(size, "")
    if bits & 1:
        raise UnusualError("big-endian numbers")
    if kind == _FIXED_POINT:
        codes = _INTEGERS.get(size)
        return Datatype(size, codes[not bits & 0x08] if codes else "")
    if bits & 0x40 or _IEEE.get(size) != unpack_from("<HHBBBBI", message, 8):
        raise UnusualError("numbers that aren't of IEEE 754")
    return Datatype(size, _FLOATS[size])


def dataspace(message: bytes) -> tuple[int, ...] | None:
    """The shape that a dataspace message tells; None for one without any element."""
    version, rank = message[0], message[1]
    if version == 1:
        start = 8
    elif version == 2:
        if message[3] == 2:
            return None
        start = 4
    else:
        raise UnusualError(f"a dataspace of version {version}")
    return tuple(unpack_from(f"<{rank}Q", message, start))


@dataclass(frozen=True)
class Attribute:
    """An attribute: what it is called, and what it holds as bytes."""

    name: str
    kind: Datatype
    shape: tuple[int, ...] | None
    data: bytes

    @property
    def count(self) -> int:
        """The number of its elements."""
        return 0 if self.shape is None else prod(self.shape)


def attribute(message: bytes) -> Attribute:
    """What an attribute message tells.

    Raises:
        UnusualError: A type that is kept elsewhere in the file.
    """
    version, flags = message[0], message[1]
    sizes = unpack_from("<HHH", message, 2)
    if version not in (1, 2, 3) or (version > 1 and flags & 3):
        raise UnusualError(f"an attribute of version {version}")
    at, parts = (9 if version == 3 else 8), []
    for size in sizes:
        parts.append(message[at : at + size])
        at += -(-size // 8) * 8 if version == 1 else size
    name = parts[0].partition(b"\0")[0].decode(errors="replace")
    return Attribute(name, datatype(parts[1]), dataspace(parts[2]), message[at:])

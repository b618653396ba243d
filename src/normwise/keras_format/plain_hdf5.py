"""Reads HDF5 files in the form in which Keras writes them, without the HDF5 library.

That form is the library's oldest (`libver="earliest"`, what h5py writes by default): groups as
symbol tables, datasets in one piece, attributes in the object header. Reading it takes little, so
that a check needs to load neither h5py nor NumPy, and a damaged file can't do more than end in an
error: every address is looked at before it is followed. What is of another form is told apart
(`UnusualError`); the library reads that.

HDF5 File Format Specification 3.0: https://support.hdfgroup.org/documentation/hdf5/latest/
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from functools import cached_property
from math import prod
from struct import iter_unpack, unpack, unpack_from
from typing import Any, final

from normwise.keras_format import hdf5_messages as messages
from normwise.keras_format.file_bytes import FileBytes
from normwise.keras_format.hdf5_messages import Attribute, Datatype, UnusualError

__all__ = ["Dataset", "Group", "UnusualError", "open_plain"]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_MESSAGES, MAX_ENTRIES, MAX_TREE_DEPTH = 4096, 100_000, 8
MAX_TEXT = 40 * 2**20
_NOWHERE = 2**64 - 1
_SOFT_LINK = 2
_IN_ONE_PIECE = (3, 1)
"""Version and class of the layout of a dataset."""


def open_plain(data: FileBytes) -> Group:
    """The root group of a file.

    Raises:
        UnusualError: The file is of a newer form.
        ValueError: It is no HDF5 file, or damaged.
    """
    head = data.at(0, min(96, data.size))
    if head[:8] != SIGNATURE:
        if _begins_later(data):
            raise UnusualError("a block of the user's before its start")
        raise ValueError("it is no HDF5 file")
    if len(head) < 96:
        raise ValueError("it ends in its first block")
    if head[8] != 0 or head[13:15] != b"\x08\x08":
        raise UnusualError(f"a superblock of version {head[8]}")
    base, _, end = unpack_from("<QQQ", head, 24)
    if base != 0:
        raise UnusualError("a base address")
    if end > data.size:
        raise ValueError(f"truncated: it has {data.size} of {end} bytes")
    root = _Object(data, unpack_from("<Q", head, 64)[0])
    return Group(root, "/")


def _begins_later(data: FileBytes) -> bool:
    places = (512 << power for power in range(40))
    return any(data.at(at, 8) == SIGNATURE for at in places if at + 8 <= data.size)


@final
class _Object:
    """An object header: what a group or a dataset is made of."""

    def __init__(self, data: FileBytes, address: int) -> None:
        self.data, self.address = data, address

    @cached_property
    def messages(self) -> Mapping[int, list[bytes]]:
        """The contents of its messages by their types."""
        found: dict[int, list[bytes]] = {}
        for kind, flags, content in self._messages():
            if flags & 2:
                raise UnusualError("a message that objects share")
            found.setdefault(kind, []).append(content)
        return found

    def _messages(self) -> Iterator[tuple[int, int, bytes]]:
        head = self.data.at(self.address, 16)
        if head[:4] == b"OHDR":
            raise UnusualError("an object header of version 2")
        version, count, _, size = unpack_from("<BxHII", head)
        if version != 1 or count > MAX_MESSAGES:
            raise ValueError(f"no object header at {self.address}")
        blocks, told = [(self.address + 16, size)], 0
        for place, length in blocks:  # continuations are added on the way
            block, at = self.data.at(place, length), 0
            while at + 8 <= length and told < count:
                kind, own, flags = unpack_from("<HHB", block, at)
                content = block[at + 8 : at + 8 + own]
                if len(content) < own:
                    raise ValueError(f"an object header at {self.address} that ends too early")
                told += 1
                at += 8 + own
                if kind == messages.CONTINUATION:
                    blocks.append(unpack_from("<QQ", content))
                else:
                    yield kind, flags, content

    def first(self, kind: int) -> bytes:
        """The first message of a type."""
        found = self.messages.get(kind)
        if not found:
            raise ValueError(f"the object at {self.address} lacks message {kind}")
        return found[0]

    @cached_property
    def attributes(self) -> Mapping[str, Attribute]:
        """Its attributes by their names."""
        if messages.ATTRIBUTE_INFO in self.messages:
            raise UnusualError("attributes outside of the object header")
        told = map(messages.attribute, self.messages.get(messages.ATTRIBUTE, ()))
        return {attribute.name: attribute for attribute in told}


class _Named:
    """What groups and datasets have in common.

    Args:
        header: Its object header.
        name: Its path in the file.
    """

    def __init__(self, header: _Object, name: str) -> None:
        self._header, self.name = header, name

    @property
    def address(self) -> int:
        """What tells it apart from all others in the file."""
        return self._header.address

    @property
    def attributes(self) -> tuple[str, ...]:
        """The names of its attributes."""
        return tuple(self._header.attributes)

    def texts(self, attribute: str) -> list[str] | None:
        """The texts in an attribute, None where it isn't there or holds something else."""
        found = self._header.attributes.get(attribute)
        if found is None or not found.count:
            return None if found is None else []
        if found.kind.code not in ("s", "v"):
            return None
        size = found.kind.size
        if not size or found.count * size > len(found.data):
            raise ValueError(f"the attribute {attribute!r} of {self.name} is cut off")
        parts = [found.data[i * size : (i + 1) * size] for i in range(found.count)]
        if found.kind.code == "v":
            parts = [_elsewhere(self._header.data, part) for part in parts]
        return [part.rstrip(b"\0").decode(errors="replace") for part in parts]


@final
class Group(_Named):
    """A group: groups and datasets by their names."""

    @cached_property
    def _members(self) -> Mapping[str, int]:
        """The addresses of its members, in the order of their names."""
        header = self._header
        if messages.LINK_INFO in header.messages or messages.LINK in header.messages:
            raise UnusualError("a group of newer links")
        tree, heap = unpack_from("<QQ", header.first(messages.SYMBOL_TABLE))
        mark, size, _, start = unpack("<4s4xQQQ", header.data.at(heap, 32))
        if mark != b"HEAP":
            raise ValueError(f"no names of the members of {self.name}")
        names = header.data.at(start, size)
        found: dict[str, int] = {}
        for offset, address in self._entries(tree):
            name = names[offset : names.find(b"\0", offset)].decode(errors="replace")
            if not name or "/" in name or name in found:
                raise ValueError(f"{self.name} has two members or none of the name {name!r}")
            found[name] = address
        return found

    def _entries(self, tree: int) -> Iterator[tuple[int, int]]:
        """Where each member's name stands, and the member."""
        data, pending, seen = self._header.data, [(tree, MAX_TREE_DEPTH)], 0
        while pending:
            place, depth = pending.pop()
            mark, kind, level, used = unpack("<4sBBH16x", data.at(place, 24))
            if mark != b"TREE" or kind != 0 or level >= depth:
                raise ValueError(f"no members of {self.name} at {place}")
            # Keys and addresses take turns.
            children = unpack(f"<{2 * used}Q", data.at(place + 24, 16 * used))[1::2]
            if level:
                pending += [(child, level) for child in reversed(children)]
                continue
            for child in children:
                count = _leaf(data, child)
                seen += count
                if seen > MAX_ENTRIES:
                    raise ValueError(f"{self.name} has over {MAX_ENTRIES} members")
                for offset, address, cache in iter_unpack(
                    "<QQI20x", data.at(child + 8, 40 * count)
                ):
                    if cache == _SOFT_LINK:
                        raise UnusualError("a soft link")
                    yield offset, address

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def __len__(self) -> int:
        return len(self._members)

    def member(self, name: str) -> Group | Dataset:
        """A member.

        Raises:
            KeyError: There is none of that name.
        """
        header = _Object(self._header.data, self._members[name])
        path = f"{self.name.rstrip('/')}/{name}"
        is_group = messages.LAYOUT not in header.messages
        return Group(header, path) if is_group else Dataset(header, path)


@final
class Dataset(_Named):
    """An array in a file."""

    @cached_property
    def shape(self) -> tuple[int, ...] | None:
        """Its shape, None if it has no element at all."""
        return messages.dataspace(self._header.first(messages.DATASPACE))

    @cached_property
    def kind(self) -> Datatype:
        """The type of its elements."""
        return messages.datatype(self._header.first(messages.DATATYPE))

    @property
    def count(self) -> int:
        """The number of its elements."""
        return 0 if self.shape is None else prod(self.shape)

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self.count * self.kind.size if self.count else 0

    def values(self, code: str = "") -> memoryview | None:
        """Its numbers, in its shape; None if it holds no numbers.

        Args:
            code: The type to take its elements for, as in `struct`, instead of what it tells.

        Raises:
            UnusualError: They are packed, in pieces, or in another file.
        """
        code = code or self.kind.code
        if self.shape is None or code in ("", "s", "v"):
            return None
        start, size = self.place()
        data = self._header.data.at(start, size) if size else b""
        return _in_shape(data, code, self.shape)

    def place(self) -> tuple[int, int]:
        """Where in the file its values begin, and how many bytes they take.

        Raises:
            UnusualError: They are packed, in pieces, in another file, or not there at all.
            ValueError: They aren't all inside the file.
        """
        if messages.FILTERS in self._header.messages or messages.EXTERNAL in self._header.messages:
            raise UnusualError("values that are packed, or in another file")
        layout = self._header.first(messages.LAYOUT)
        if (layout[0], layout[1]) != _IN_ONE_PIECE:
            raise UnusualError("values in pieces")
        start, size = unpack_from("<QQ", layout, 2)
        if size != self.nbytes:
            raise ValueError(f"{self.name} has {size} bytes instead of {self.nbytes}")
        if start == _NOWHERE and size:
            raise UnusualError("values that were never written")
        if start != _NOWHERE and start + size > self._header.data.size:
            raise ValueError(
                f"{self.name}: {size} bytes at {start} of {self._header.data.size} are referred to"
            )
        return start, size


def _leaf(data: FileBytes, place: int) -> int:
    """The number of entries of a leaf of a group's tree."""
    mark, count = unpack("<4s2xH", data.at(place, 8))
    if mark != b"SNOD":
        raise ValueError(f"no members at {place}")
    return int(count)


def _elsewhere(data: FileBytes, reference: bytes) -> bytes:
    """A text of variable length, which stands in a heap that all objects share."""
    length, place, wanted = unpack("<IQI", reference)
    if not length:
        return b""
    if place not in data.known:
        data.known[place] = _texts_at(data, place)
    start, own = data.known[place].get(wanted, (0, 0))
    if length > min(own, MAX_TEXT):
        raise ValueError(f"no text number {wanted} of {length} bytes at {place}")
    return data.at(start, length)


def _texts_at(data: FileBytes, place: int) -> dict[int, tuple[int, int]]:
    """Where each text of a heap stands, and the room that it has."""
    mark, size = unpack("<4s4xQ", data.at(place, 16))
    if mark != b"GCOL":
        raise ValueError(f"no texts at {place}")
    found: dict[int, tuple[int, int]] = {}
    at, end = place + 16, place + size
    while at + 16 <= end:
        index, own = unpack("<H6xQ", data.at(at, 16))
        if index == 0 or index in found:
            break
        found[index] = at + 16, own
        at += 16 + -(-own // 8) * 8
    return found


def _in_shape(data: bytes, code: str, shape: tuple[int, ...]) -> memoryview:
    if code == "e":  # views don't know it
        data, code = array("f", [value for (value,) in iter_unpack("<e", data)]).tobytes(), "f"
    if not data:
        return memoryview(array(code, []))
    view: Any = memoryview(data)
    shaped: memoryview = view.cast(code, shape or (1,))
    return shaped

"""Breaks bytes: texts, archives, HDF5, without knowing more of them than their form."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zipfile
from random import Random

from tests.fuzz import configurations

MARKS = (b"TREE", b"SNOD", b"HEAP", b"GCOL", b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06")
"""Where the structure of HDF5 files and archives stands, between much data."""

NUMBERS = (0, 1, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1)


def broken(data: bytes, choose: Random) -> bytes:
    """Bytes with a few of them changed, cut off, doubled or moved."""
    damaged = bytearray(data)
    for _ in range(choose.choice((1, 1, 2, 4, 16))):
        choose.choice(CHANGES)(damaged, choose)
    return bytes(damaged)


def _place(data: bytearray, choose: Random) -> int:
    """A place, more often in the structure than in the data."""
    if choose.random() < 0.7:
        start = data.find(choose.choice(MARKS), choose.randrange(len(data) + 1))
        if start >= 0:
            return min(len(data), start + choose.randrange(120))
    return choose.randrange(len(data) + 1)


def _flip(data: bytearray, choose: Random) -> None:
    at = _place(data, choose)
    data[at : at + 1] = bytes([choose.randrange(256)])


def _cut(data: bytearray, choose: Random) -> None:
    del data[_place(data, choose) :]


def _take_out(data: bytearray, choose: Random) -> None:
    at = _place(data, choose)
    del data[at : at + choose.choice((1, 8, 300))]


def _zeros(data: bytearray, choose: Random) -> None:
    at, count = _place(data, choose), choose.choice((8, 64, 1000))
    data[at : at + count] = bytes(len(data[at : at + count]))


def _number(data: bytearray, choose: Random) -> None:
    """Another size or address where one may stand."""
    at, width = _place(data, choose) // 2 * 2, choose.choice((2, 4, 8))
    value = choose.choice((*NUMBERS, choose.randrange(len(data) + 1)))
    data[at : at + width] = struct.pack("<Q", value)[:width]


def _copy(data: bytearray, choose: Random) -> None:
    """A stretch over another: addresses that point elsewhere, loops."""
    here, there, count = _place(data, choose), _place(data, choose), choose.choice((8, 8, 40, 328))
    piece = data[there : there + count]
    data[here : here + len(piece)] = piece


CHANGES = (_flip, _flip, _flip, _cut, _take_out, _zeros, _number, _number, _copy)


def archive(original: bytes, choose: Random) -> bytes:
    """A `.keras` archive: another configuration, another form, or broken bytes."""
    with zipfile.ZipFile(io.BytesIO(original)) as old:
        members = {name: old.read(name) for name in old.namelist()}
    kind = choose.random()
    if kind < 0.5:
        text = members["config.json"].decode()
        members["config.json"] = configurations.broken(text, choose).encode()
    elif kind < 0.7:
        name = choose.choice(list(members))
        members[name] = broken(members[name], choose)
    elif kind < 0.75:
        del members[choose.choice(list(members))]
    elif kind < 0.8:
        told = choose.choice(configurations.VALUES)
        members["metadata.json"] = json.dumps({"keras_version": told}).encode()
    packed = _packed(members, choose)
    return broken(packed, choose) if kind > 0.8 else packed


def _packed(members: dict[str, bytes], choose: Random) -> bytes:
    buffer = io.BytesIO()
    ways = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    names = list(members)
    if choose.random() < 0.1:
        names.append(choose.choice(list(members) or ["config.json"]))
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as new:
        warnings.simplefilter("ignore")  # names that stand there twice are wanted
        for name in names:
            way = ways[0] if choose.random() < 0.8 else choose.choice(ways)
            new.writestr(name, members.get(name, b""), way)
    return buffer.getvalue()


def text(original: bytes, choose: Random) -> bytes:
    """An architecture in JSON: mostly another configuration, else broken text."""
    if choose.random() < 0.8:
        changed = configurations.broken(original.decode(), choose)
        code = "utf-8" if choose.random() < 0.95 else choose.choice(("utf-16", "utf-8-sig"))
        return changed.encode(code)
    return broken(original, choose)

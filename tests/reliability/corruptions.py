"""Input files that are broken at random; each is a function of its number."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

HEADER: Final = 192
"""Bytes at the beginning of a file that mostly say how the rest is to be read."""

Random = np.random.Generator


@dataclass(frozen=True)
class Broken:
    """A broken input, and how it is predicted.

    Args:
        number: Which one.
        path: The file.
        kind: What it was before: the name of the healthy file.
        what: What was done to it.
        tile: The size of tiles; None for the whole image.
        out: The suffix of the output.
    """

    number: int
    path: Path
    kind: str
    what: str
    tile: int | None
    out: str


def broken(number: int, healthy: Mapping[str, Path], folder: Path) -> Broken:
    """Breaks one of the healthy inputs.

    Args:
        number: Which; the inputs take turns, the rest is drawn.
        healthy: The inputs by their names, see `healthy.write_all`.
        folder: Where the broken one is written, as `NUMBER.SUFFIX`.
    """
    rng = np.random.default_rng([number, 2026])
    kind = sorted(healthy)[number % len(healthy)]
    source = healthy[kind]
    path = folder / f"{number}{source.suffix}"
    folder.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, path)
        what = _break_folder(path, rng, healthy)
    else:
        what, content = _break(source.read_bytes(), rng, [healthy[name] for name in healthy])
        path.write_bytes(content)
    tile = (None, 16)[int(rng.integers(2))]
    return Broken(number, path, kind, what, tile, (".tif", ".npy", ".zarr")[int(rng.integers(3))])


def _break_folder(path: Path, rng: Random, healthy: Mapping[str, Path]) -> str:
    """Breaks one file of a Zarr, removes it, or exchanges two."""
    files = sorted(file for file in path.rglob("*") if file.is_file())
    # Metadata are few among many chunks, and tell more.
    named = [file for file in files if file.name.startswith((".z", "zarr"))]
    pool = named if rng.random() < 0.4 else files
    chosen = pool[int(rng.integers(len(pool)))]
    dice = int(rng.integers(6))
    if dice == 0:
        chosen.unlink()
        return "a file removed"
    other = files[int(rng.integers(len(files)))]
    if dice == 1:
        one, two = chosen.read_bytes(), other.read_bytes()
        chosen.write_bytes(two)
        other.write_bytes(one)
        return "swapped"
    others = [file for name in sorted(healthy) for file in healthy[name].rglob("*")]
    what, content = _break(chosen.read_bytes(), rng, [file for file in others if file.is_file()])
    chosen.write_bytes(content)
    return what


def _break(data: bytes, rng: Random, others: list[Path]) -> tuple[str, bytes]:
    files = sorted(other for other in others if other.is_file())
    if rng.random() < 0.1 and files:
        return "swapped", files[int(rng.integers(len(files)))].read_bytes()
    name = list(WAYS)[int(rng.integers(len(WAYS)))]
    return name, WAYS[name](data, rng)


def _truncated(data: bytes, rng: Random) -> bytes:
    return data[: int(rng.integers(len(data)))]


def _flipped(data: bytes, rng: Random, end: int | None = None) -> bytes:
    made = bytearray(data)
    for place in rng.integers(min(end or len(made), len(made)), size=int(rng.integers(1, 5))):
        made[int(place)] ^= 1 << int(rng.integers(8))
    return bytes(made)


def _replaced(data: bytes, rng: Random) -> bytes:
    made = bytearray(data)
    for place in rng.integers(len(made), size=int(rng.integers(1, 9))):
        made[int(place)] = int(rng.integers(256))
    return bytes(made)


def _wrong_header(data: bytes, rng: Random) -> bytes:
    return _flipped(data, rng, HEADER)


def _span(data: bytes, rng: Random) -> tuple[int, int]:
    length = int(rng.integers(1, max(2, len(data) // 3)))
    return int(rng.integers(len(data) - length + 1)), length


def _zeroed(data: bytes, rng: Random) -> bytes:
    start, length = _span(data, rng)
    return data[:start] + bytes(length) + data[start + length :]


def _moved(data: bytes, rng: Random) -> bytes:
    """A block stands where another one was, as after a fault of a disk or a copy."""
    start, length = _span(data, rng)
    source = int(rng.integers(len(data) - length + 1))
    return data[:start] + data[source : source + length] + data[start + length :]


def _cut_out(data: bytes, rng: Random) -> bytes:
    start, length = _span(data, rng)
    return data[:start] + data[start + length :]


WAYS: Final[Mapping[str, Callable[[bytes, Random], bytes]]] = {
    "truncated": _truncated,
    "bits flipped": _flipped,
    "bytes replaced": _replaced,
    "wrong header": _wrong_header,
    "zeroed block": _zeroed,
    "moved block": _moved,
    "cut out": _cut_out,
}
"""What happens to the bytes of a file."""

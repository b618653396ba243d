"""Images of different splits that are nearly the same, or neighbours in the same scene."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from normwise.data.blocks import sizes_of, whole_images
from normwise.data.dataset import SPLITS, Dataset, Item
from normwise.data.likeness import Doubles, Floats, alike, standardized, varying
from normwise.data.sources import Source

IMAGES: Final = 2000
"""How many images are compared; the pairs of more would take too long."""

_GRID: Final = 32
# With these no image takes more than 130 KB, whatever its size and its number of channels.
_BORDER: Final = 128
_CHANNELS: Final = 16
_SAME: Final = 0.995
_CONTINUED: Final = 0.8
# Across a border, of the step between the two last lines before it.
_STEP: Final = 2.0
_SHORTEST: Final = 32
# Points with a measurement in both images: a tenth of the grid, or the shortest border.
_FEWEST: Final = _GRID**2 // 10
# The sides that meet, and the axis of their length.
_OPPOSITE: Final = (("bottom", "top", -1), ("right", "left", -2))


@dataclass(frozen=True)
class Leak:
    """Two images of different splits that are not independent.

    Args:
        kind: `near-duplicate`, or `neighbour`: a border of one goes on in the other.
        first: The name of an image.
        second: The name of the other.
        splits: Their splits.
        likeness: Correlation of the two pictures, or of the two borders.
    """

    kind: Literal["near-duplicate", "neighbour"]
    first: str
    second: str
    splits: tuple[str, str]
    likeness: float


@dataclass(frozen=True)
class LeakSearch:
    """What a search for leaks found, and how far it went.

    Args:
        leaks: The likest first; a pair once.
        notes: Which images were not compared, one line each.
    """

    leaks: tuple[Leak, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Traits:
    item: Item
    grid: Floats
    edges: dict[str, tuple[Floats, Floats]]


def find_leaks(dataset: Dataset, most: int = IMAGES) -> LeakSearch:
    """Compares images across splits, in bounded memory.

    A grid of pixels tells near-duplicates of equal size; the outermost two lines of each side
    tell neighbours. Pixels without a measurement in one of two images are left out. Copies that
    were moved, turned or scaled are not found. An image that both trains and validates is one
    here, and counts as training.

    Args:
        dataset: The data set.
        most: How many images are compared; of more, about as many of each split, evenly from all.

    Returns:
        What was found, and what was not compared.
    """
    every = whole_images(dataset.items)
    if len({item.split for item in every}) < 2:
        return LeakSearch()
    items = _drawn(every, most)
    with Source(dataset, items) as source:
        traits = [_traits(source, item) for item in items]
    found = [*_duplicates(traits), *_neighbours(traits)]
    best: dict[frozenset[str], Leak] = {}
    for leak in sorted(found, key=lambda leak: (leak.kind != "near-duplicate", -leak.likeness)):
        best.setdefault(frozenset((leak.first, leak.second)), leak)
    return LeakSearch(tuple(best.values()), tuple(_notes(every, traits)))


def _drawn(items: Sequence[Item], most: int) -> list[Item]:
    """Of each split as many; what a small one doesn't need goes to the others."""
    splits = [[item for item in items if item.split == split] for split in SPLITS]
    chosen: list[Item] = []
    for done, own in enumerate(sorted(splits, key=len)):
        share = (most - len(chosen)) // (len(SPLITS) - done)
        chosen += [own[index] for index in _evenly(len(own), share)]
    return sorted(chosen, key=lambda item: (SPLITS.index(item.split), item.name))


def _evenly(count: int, most: int) -> NDArray[np.int64]:
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)


def _notes(every: Sequence[Item], traits: Sequence[_Traits]) -> Iterator[str]:
    if len(traits) < len(every):
        counts = [sum(trait.item.split == split for trait in traits) for split in SPLITS]
        parts = ", ".join(f"{n} {split}" for n, split in zip(counts, SPLITS, strict=True) if n)
        yield (
            f"{len(traits)} of {len(every)} images were compared across splits ({parts}); "
            "there may be leaks among the others"
        )
    blind = [trait.item.name for trait in traits if not varying(trait.grid[None])[0]]
    if blind:
        yield (
            f"{len(blind)} images can't be compared across splits (such as {blind[0]}): they are "
            "constant, or have hardly a pixel with a measurement"
        )


def _traits(source: Source, item: Item) -> _Traits:
    sizes = sizes_of(item)
    channels = _evenly(source.dataset.channels, _CHANNELS)
    # Of a volume its middle slice.
    before = tuple(slice(side // 2, side // 2 + 1) for side in sizes[:-2])
    height, width = sizes[-2:]

    def read(rows: slice, columns: slice) -> Doubles:
        window: tuple[slice, ...] = (*before, rows, columns)
        pixels, missing = source.image(item, *window)
        values = pixels[..., channels].astype(np.float64)
        if missing is not None:
            values[missing[..., channels]] = np.nan
        return values.reshape(*values.shape[-3:])

    down, across = slice(0, height), slice(0, width)
    rows, columns = (np.linspace(0, side - 1, _GRID).astype(int) for side in (height, width))
    grid = np.stack([read(slice(r, r + 1), across)[0, columns] for r in rows])
    picture = standardized(grid.reshape(-1, grid.shape[-1]), _FEWEST)
    if before:
        return _Traits(item, picture, {})
    top, bottom = read(slice(0, 2), across), read(slice(max(height - 2, 0), height), across)
    left, right = read(down, slice(0, 2)), read(down, slice(max(width - 2, 0), width))
    edges = {
        "top": (top[0], top[-1]),
        "bottom": (bottom[-1], bottom[0]),
        "left": (left[:, 0], left[:, -1]),
        "right": (right[:, -1], right[:, 0]),
    }
    return _Traits(item, picture, {side: (_thin(a), _thin(b)) for side, (a, b) in edges.items()})


def _thin(line: Doubles) -> Floats:
    return line[_evenly(len(line), _BORDER)].astype(np.float32)


def _duplicates(traits: Sequence[_Traits]) -> Iterator[Leak]:
    for group in _grouped(traits, [sizes_of(trait.item) for trait in traits]):
        for one, other in combinations(group, 2):
            first, second = [trait.grid for trait in one], [trait.grid for trait in other]
            for a, b, likeness in alike(first, second, _SAME, _FEWEST):
                yield _leak("near-duplicate", one[a].item, other[b].item, likeness)


def _neighbours(traits: Sequence[_Traits]) -> Iterator[Leak]:
    for near, far, axis in _OPPOSITE:
        long = [t for t in traits if t.edges and sizes_of(t.item)[axis] >= _SHORTEST]
        for group in _grouped(long, [sizes_of(trait.item)[axis] for trait in long]):
            for one, other in permutations(group, 2):
                ends = [_border(trait.edges[near][0]) for trait in one]
                starts = [_border(trait.edges[far][0]) for trait in other]
                for a, b, likeness in alike(ends, starts, _CONTINUED, _SHORTEST):
                    if _goes_on(one[a].edges[near], other[b].edges[far]):
                        yield _leak("neighbour", one[a].item, other[b].item, likeness)


def _grouped(traits: Iterable[_Traits], sizes: Iterable[Hashable]) -> Iterator[list[list[_Traits]]]:
    """Images of one size, as a list for each split that has some."""
    groups: defaultdict[Hashable, dict[str, list[_Traits]]] = defaultdict(dict)
    for trait, size in zip(traits, sizes, strict=True):
        groups[size].setdefault(trait.item.split, []).append(trait)
    for group in groups.values():
        yield list(group.values())


def _border(edge: Floats) -> Floats:
    """A border without its straight line: two smooth gradients are alike by chance."""
    known = np.isfinite(edge)
    number = np.maximum(known.sum(0), 1)
    place = np.where(known, np.linspace(-1, 1, len(edge))[:, None], 0.0)
    place = np.where(known, place - place.sum(0) / number, 0.0)
    level = np.where(known, edge.astype(np.float64), 0.0)
    slope = (place * level).sum(0) / np.maximum((place**2).sum(0), np.finfo(np.float64).tiny)
    return standardized(np.where(known, level - place * slope, np.nan), _SHORTEST)


def _goes_on(end: tuple[Floats, Floats], start: tuple[Floats, Floats]) -> bool:
    across, within, beyond = (_step(*lines) for lines in ((end[0], start[0]), end, start))
    known = np.isfinite(across + within + beyond)
    if not known.any():
        return False
    usual = np.median((within + beyond)[known]) / 2
    return bool(np.median(across[known]) <= _STEP * usual)


def _step(line: Floats, other: Floats) -> Doubles:
    """The mean difference of two lines in each channel, NaN without a common point."""
    apart = np.abs(line.astype(np.float64) - other)
    known = np.isfinite(apart)
    total, number = np.where(known, apart, 0.0).sum(0), known.sum(0)
    mean: Doubles = np.full(total.shape, np.nan)
    np.divide(total, number, out=mean, where=number > 0)
    return mean


def _leak(kind: Literal["near-duplicate", "neighbour"], a: Item, b: Item, likeness: float) -> Leak:
    return Leak(kind, a.name, b.name, (a.split, b.split), likeness)

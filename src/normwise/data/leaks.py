"""Images of different splits that are nearly the same, or neighbours in the same scene."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from normwise.data.blocks import sizes_of, whole_images
from normwise.data.dataset import Dataset, Item
from normwise.data.sources import Source

Doubles = NDArray[np.float64]

IMAGES: Final = 2000
"""How many images are compared; the pairs of more would take too long."""

_GRID: Final = 32
_SAME: Final = 0.995
_CONTINUED: Final = 0.8
# Across a border, of the step between the two last lines before it.
_STEP: Final = 2.0
_SHORTEST: Final = 32
_OPPOSITE: Final = (("bottom", "top"), ("right", "left"))


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
class _Traits:
    item: Item
    grid: Doubles
    edges: dict[str, tuple[Doubles, Doubles]]


def find_leaks(dataset: Dataset, most: int = IMAGES) -> tuple[Leak, ...]:
    """Compares images across splits.

    A grid of pixels tells near-duplicates of equal size; the outermost two lines of each side
    tell neighbours. Copies that were moved, turned or scaled are not found. An image that both
    trains and validates is one here, and counts as training.

    Args:
        dataset: The data set.
        most: How many images are compared.

    Returns:
        What was found, the likest first; a pair once.
    """
    items = whole_images(dataset.items)[:most]
    with Source(dataset, items) as source:
        traits = [_traits(source, item) for item in items]
    found = [*_duplicates(traits), *_neighbours(traits)]
    best: dict[frozenset[str], Leak] = {}
    for leak in sorted(found, key=lambda leak: (leak.kind != "near-duplicate", -leak.likeness)):
        best.setdefault(frozenset((leak.first, leak.second)), leak)
    return tuple(best.values())


def _traits(source: Source, item: Item) -> _Traits:
    sizes = sizes_of(item)
    # Of a volume its middle slice.
    before = tuple(slice(side // 2, side // 2 + 1) for side in sizes[:-2])
    height, width = sizes[-2:]

    def read(rows: slice, columns: slice) -> Doubles:
        window: tuple[slice, ...] = (*before, rows, columns)
        pixels, missing = source.image(item, *window)
        values = pixels.astype(np.float64)
        if missing is not None:
            values[missing] = np.nan
        return values.reshape(*values.shape[-3:])

    every, down, across = slice(None), slice(0, height), slice(0, width)
    rows, columns = (np.linspace(0, side - 1, _GRID).astype(int) for side in (height, width))
    grid = np.stack([read(slice(r, r + 1), across)[0, columns] for r in rows])
    if before:
        return _Traits(item, _standard(grid.reshape(-1, grid.shape[-1])), {})
    top, bottom = read(slice(0, 2), across), read(slice(max(height - 2, 0), height), across)
    left, right = read(down, slice(0, 2)), read(down, slice(max(width - 2, 0), width))
    edges = {
        "top": (top[0], top[-1]),
        "bottom": (bottom[-1], bottom[0]),
        "left": (left[every, 0], left[every, -1]),
        "right": (right[every, -1], right[every, 0]),
    }
    return _Traits(item, _standard(grid.reshape(-1, grid.shape[-1])), edges)


def _standard(values: Doubles) -> Doubles:
    """Each channel with mean 0 and length 1, flat; zeros where it is constant or has gaps."""
    centred = values - values.mean(0)
    length = np.sqrt((centred**2).sum(0))
    usable = np.isfinite(length) & (length > 1e-9 * np.abs(values).max(0, initial=1.0))
    scaled = np.where(usable, centred, 0) / np.where(usable, length, 1)
    flat: Doubles = scaled.ravel() / np.sqrt(max(int(usable.sum()), 1))
    return flat


def _duplicates(traits: Sequence[_Traits]) -> Iterator[Leak]:
    groups: defaultdict[tuple[int, ...], list[_Traits]] = defaultdict(list)
    for trait in traits:
        groups[sizes_of(trait.item)].append(trait)
    for group in groups.values():
        grids = np.stack([trait.grid for trait in group])
        alike = grids @ grids.T
        for a, b in np.argwhere(np.triu(alike, 1) > _SAME):
            if group[a].item.split != group[b].item.split:
                yield _leak("near-duplicate", group[a].item, group[b].item, alike[a, b])


def _neighbours(traits: Sequence[_Traits]) -> Iterator[Leak]:
    for near, far in _OPPOSITE:
        groups: defaultdict[int, list[_Traits]] = defaultdict(list)
        for trait in traits:
            if trait.edges and len(trait.edges[near][0]) >= _SHORTEST:
                groups[len(trait.edges[near][0])].append(trait)
        for group in groups.values():
            ends, starts = (
                np.stack([_standard(_without_slope(trait.edges[side][0])) for trait in group])
                for side in (near, far)
            )
            alike = ends @ starts.T
            for a, b in np.argwhere(alike > _CONTINUED):
                one, two = group[a], group[b]
                if one.item.split != two.item.split and _goes_on(one.edges[near], two.edges[far]):
                    yield _leak("neighbour", one.item, two.item, alike[a, b])


def _without_slope(edge: Doubles) -> Doubles:
    """A border without its straight line: two smooth gradients are alike by chance."""
    place = np.linspace(-1, 1, len(edge))[:, None]
    flat: Doubles = edge - place * (place * edge).sum(0) / (place**2).sum()
    return flat


def _goes_on(end: tuple[Doubles, Doubles], start: tuple[Doubles, Doubles]) -> bool:
    across = np.abs(end[0] - start[0]).mean(0)
    within = np.abs(end[0] - end[1]).mean(0) + np.abs(start[0] - start[1]).mean(0)
    return bool(np.median(across) <= _STEP * np.median(within) / 2)


def _leak(kind: Literal["near-duplicate", "neighbour"], a: Item, b: Item, likeness: float) -> Leak:
    return Leak(kind, a.name, b.name, (a.split, b.split), round(float(likeness), 4))

"""Validation on a part of each training image, where there are too few images to spare one."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from normwise.data.dataset import Item


def with_validation_blocks(items: Iterable[Item], share: float) -> tuple[Item, ...]:
    """Cuts the end off every training image, across its longest side, and validates there.

    The two parts never share a pixel, but they are neighbours: scores are better than those of
    another place would be.

    Args:
        items: The items of a data set.
        share: The share of each training image that validates, above 0 and below 1.

    Returns:
        The items, each training item as two: `train` and `val`. One of a single pixel stays
        whole, and validates as well.
    """
    return tuple(part for item in items for part in _parts(item, share))


def _parts(item: Item, share: float) -> Iterator[Item]:
    if item.split != "train":
        yield item
        return
    sizes = sizes_of(item)
    axis = sizes.index(max(sizes))
    kept = min(max(round(sizes[axis] * (1 - share)), 1), max(sizes[axis] - 1, 1))
    yield _cut(item, axis, 0, kept)
    rest = sizes[axis] - kept
    yield replace(_cut(item, axis, kept, rest) if rest else item, split="val")


def _cut(item: Item, axis: int, start: int, length: int) -> Item:
    sizes = [length if index == axis else size for index, size in enumerate(item.shape)]
    origin = tuple(start if index == axis else 0 for index in range(len(sizes)))
    depth = None if item.depth is None else sizes[0]
    place = origin if start else ()
    return replace(item, depth=depth, height=sizes[-2], width=sizes[-1], origin=place)


def sizes_of(item: Item) -> tuple[int, ...]:
    """The size of an item along each axis, in pixels."""
    return item.shape


def whole_images(items: Iterable[Item]) -> list[Item]:
    """The items with those that are parts of one image put together again, as training items."""
    items = list(items)
    parts = {item.image: item for item in items if item.origin}
    whole = []
    for item in items:
        end = parts.get(item.image)
        if end is None:
            whole.append(item)
        elif not item.origin:
            axis = next(index for index, start in enumerate(end.origin) if start)
            whole.append(_cut(item, axis, 0, end.origin[axis] + sizes_of(end)[axis]))
    return whole


def in_file(item: Item, spans: Sequence[slice]) -> tuple[slice, ...]:
    """Where a window of an item stands in its file."""
    origin = item.origin or (0,) * len(spans)
    return tuple(
        slice(span.start + start, span.stop + start)
        for span, start in zip(spans, origin, strict=True)
    )


def in_item(item: Item, windows: Iterable[Sequence[slice]]) -> list[tuple[slice, ...]]:
    """The parts of windows of a file that lie in an item, in the coordinates of the item."""
    sizes = sizes_of(item)
    origin = item.origin or (0,) * len(sizes)
    parts = [
        tuple(
            slice(max(span.start - start, 0), min(span.stop - start, size))
            for span, start, size in zip(window, origin, sizes, strict=True)
        )
        for window in windows
    ]
    return [part for part in parts if all(span.start < span.stop for span in part)]

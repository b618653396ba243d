"""Items that are parts of their files."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from normwise.data.dataset import Item


def cut(item: Item, axis: int, start: int, length: int) -> Item:
    """The part of a whole item from some line across an axis on."""
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
            whole.append(cut(item, axis, 0, end.origin[axis] + sizes_of(end)[axis]))
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

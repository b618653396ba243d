"""The size of tiles: as fast as memory allows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import lcm, prod
from operator import index
from typing import Any, Final

import numpy as np

from normwise.errors import NetworkError
from normwise.graph.activation_memory import peak_values
from normwise.inference.members import Member, Size
from normwise.keras_format.reading import read_graph

_FLOAT: Final = 4
_WORKING: Final = 2.5
"""A backend holds more than the tensors themselves, such as copies in the layout of its kernels:
2.1 times as much with TensorFlow on a processor, in tiles of 512 pixels of a 32-filter U-Net."""
_WAITING: Final = 8
"""Tiles that are read, predicted or written at once, and copies of them."""
_BLENDING: Final = 5
"""Tiles of outputs that blending holds beside those: sums, weighted values, what neighbours differ
by, and the tile before."""
_ENOUGH: Final = 1.12
"""Larger tiles that save less than this are left alone: they need more memory, and while few tiles
are computed, the first is still waited for, and the last is written behind them all."""
_SMALLEST: Final = 64
_SPARE: Final = 1.5
"""Tiles that are larger than memory allows by so much may still fit, made smaller."""
_PROMISING: Final = 2.0
"""Tiles that compute more than this beside the best are not looked at more closely: making them
smaller, as long as no more of them are needed, saves less than half."""
MOST_PIXELS: Final = 4096**2
"""Of a tile that is chosen: tensors of more have numbers that some kernels can't count."""

Fixed = tuple[int | None, ...]


def choose(
    members: Sequence[Member],
    size: Size,
    fixed: Fixed,
    memory: int,
    computed: Callable[[Size], int],
) -> Size:
    """The tile that computes the fewest pixels, of those that fit; the whole image if that fits.

    Of tiles that cost nearly the same it is the smallest.

    Args:
        members: The models.
        size: Pixels of the image along each axis.
        fixed: The sizes that the models were built for; see `fixed_sizes`.
        memory: Bytes that a prediction may need, the weights and the backend itself left out.
        computed: How many pixels tiles of a size compute for the image; it raises a NetworkError
            if they are too small for the halo.

    Returns:
        Pixels along each axis.

    Raises:
        NetworkError: Not even the smallest tile that leaves pixels to itself fits.
    """
    if None not in fixed:
        return tuple(side for side in fixed if side is not None)
    blended = not all(member.tiling.exact for member in members)
    each = [_bytes_a_pixel(member, blended) for member in members]
    most = min(MOST_PIXELS, int(memory / max(each)))
    steps = strides(members)
    costs: dict[Size, int] = {}
    for tile in _candidates(members, size, fixed):
        if prod(tile) > _SPARE * most:
            continue
        try:
            costs[tile] = computed(tile)
        except NetworkError:
            continue  # too small for the halo
    least = min(costs.values(), default=0)
    for tile in [tile for tile, cost in costs.items() if cost <= _PROMISING * least]:
        close = _close_fitting(tile, steps, fixed, computed)
        costs[close] = computed(close)
    costs = {tile: cost for tile, cost in costs.items() if prod(tile) <= most}
    whole = with_fixed(_whole(size, steps), fixed)
    if whole in costs:
        return whole
    if not costs:
        raise NetworkError(
            f"the network's halo leaves no pixels in a tile of {most} pixels, which is what fits "
            f"into {memory / 1e9:.3g} GB. Allow more memory (--memory), or name a size (--tile)."
        )
    least = min(costs.values())
    return min((tile for tile in costs if costs[tile] <= _ENOUGH * least), key=prod)


def bytes_of(members: Sequence[Member], tile: Size, blended: bool = False) -> int:
    """About what the prediction of a tile needs, the weights and the backend itself left out.

    Args:
        members: The models.
        tile: Pixels along each axis.
        blended: Whether it is one of several that are blended.
    """
    return int(prod(tile) * max(_bytes_a_pixel(member, blended) for member in members))


def refuse_beyond(
    members: Sequence[Member], tile: Size, fixed: Fixed, memory: int, blended: bool
) -> None:
    """Refuses a tile that the memory which a user allows doesn't hold.

    Args:
        members: The models.
        tile: Pixels along each axis.
        fixed: As for `choose`.
        memory: As for `choose`.
        blended: As for `bytes_of`.

    Raises:
        NetworkError: It needs more.
    """
    needed = bytes_of(members, tile, blended)
    if needed <= memory:
        return
    smaller = "or name a smaller tile or none (--tile)"
    raise NetworkError(
        f"tiles of {'x'.join(map(str, tile))} pixels need about {needed / 1e9:.3g} GB, and "
        f"{memory / 1e9:.3g} GB are allowed. Allow more memory (--memory), "
        f"{smaller if None in fixed else 'as the network takes no other size'}."
    )


def asked_for(
    tile: int | Sequence[int] | None, members: Sequence[Member], size: Size
) -> Size | None:
    """A size that a user names, rounded up to multiples of the stride; None if there is none.

    Raises:
        NetworkError: It is no size.
    """
    if tile is None:
        return None
    sides = pixels_of(tile, len(size))
    if sides is None:
        raise NetworkError(
            f"tile is {tile!r}; expected a number of pixels above 0, or {len(size)} of them."
        )
    steps = strides(members)
    wanted = [_up(side, step) for side, step in zip(sides, steps, strict=True)]
    return _smaller(wanted, _whole(size, steps))


def pixels_of(told: Any, axes: int) -> Size | None:
    """Pixels along each axis as a user names them: one whole number, NumPy's too, or one an axis.

    Args:
        told: What is named.
        axes: How many axes there are.

    Returns:
        Numbers above 0; None if it is something else.
    """
    try:
        sides = list(told) if isinstance(told, Iterable) else [told] * axes
        found = tuple(index(side) for side in sides)
    except TypeError:
        return None
    truths = any(isinstance(side, (bool, np.bool_)) for side in sides)
    return None if truths or len(found) != axes or min(found, default=1) < 1 else found


def fixed_sizes(members: Sequence[Member]) -> Fixed:
    """For each axis the size that models were built for, None where they take any.

    Raises:
        NetworkError: The members of an ensemble were built for different sizes.
    """
    shapes = {tuple(member.model.input_shape[1:-1]) for member in members}
    found = [{side for side in sides if side} for sides in zip(*shapes, strict=True)]
    if any(len(sides) > 1 for sides in found):
        built = [shape for shape in shapes if any(shape)]
        sizes = sorted("x".join(str(side or "any") for side in shape) for shape in built)
        raise NetworkError(
            f"the members of the ensemble were built for different sizes ({', '.join(sizes)}); "
            "predict with members of one size, or one by one."
        )
    return tuple(next(iter(sides), None) for sides in found)


def with_fixed(tile: Size, fixed: Fixed) -> Size:
    """A tile with the sizes that models were built for in their places."""
    return tuple(own or side for side, own in zip(tile, fixed, strict=True))


def strides(members: Sequence[Member]) -> Size:
    """Along each axis of an image, what a tile's size has to be a multiple of, in all its views."""
    return tuple(lcm(*each) for each in zip(*(m.strides for m in members), strict=True))


def _bytes_a_pixel(member: Member, blended: bool) -> float:
    """About what the prediction of a pixel needs at once."""
    held = float(peak_values(read_graph(member.model))) * _WORKING
    taken = int(member.model.input_shape[-1] or 1)
    made = int(member.model.output_shape[-1] or 1)
    return _FLOAT * (held + _WAITING * (taken + made) + _BLENDING * made * blended)


def _candidates(members: Sequence[Member], size: Size, fixed: Fixed) -> Iterator[Size]:
    """Sizes to choose from: cubes, and the image's own on an axis where it is smaller."""
    steps = strides(members)
    whole, side, seen = _whole(size, steps), float(_SMALLEST), set()
    tile: Size = ()
    while tile != with_fixed(whole, fixed):
        wanted = [_up(int(side), step) for step in steps]
        tile = with_fixed(_smaller(wanted, whole), fixed)
        if tile not in seen:
            seen.add(tile)
            yield tile
        side *= 2**0.25


def _close_fitting(tile: Size, steps: Size, fixed: Fixed, computed: Callable[[Size], int]) -> Size:
    """The smallest tile of which no more are needed than of a given one, axis by axis."""
    many, close = computed(tile) // prod(tile), list(tile)
    for axis, step in enumerate(steps):
        if fixed[axis] is not None:
            continue
        # In strides: the smaller of the two isn't enough, the larger is.
        low, high = 0, -(-close[axis] // step)
        while high - low > 1:
            middle = (low + high) // 2
            tried = (*close[:axis], middle * step, *close[axis + 1 :])
            if _enough(tried, many, computed):
                high = middle
            else:
                low = middle
        close[axis] = min(close[axis], high * step)
    return tuple(close)


def _enough(tile: Size, many: int, computed: Callable[[Size], int]) -> bool:
    try:
        return computed(tile) // prod(tile) <= many
    except NetworkError:
        return False  # too small for the halo


def _whole(size: Size, steps: Size) -> Size:
    return tuple(_up(pixels, step) for pixels, step in zip(size, steps, strict=True))


def _smaller(tile: Sequence[int], whole: Size) -> Size:
    return tuple(min(side, own) for side, own in zip(tile, whole, strict=True))


def _up(size: int, step: int) -> int:
    return -(-size // step) * step

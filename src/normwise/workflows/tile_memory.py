"""Refusing tiles that no memory holds, before anything is read."""

from __future__ import annotations

from math import prod

from normwise.errors import DataError
from normwise.graph.activation_memory import peak_values
from normwise.graph.graph import Graph
from normwise.memory import available_memory

_FLOAT = 4
_WORKING = 2.5
"""What a backend holds beside the tensors themselves, as for predictions."""
_BEYOND = 10**15
"""More pixels, or bytes, than any machine holds."""
_COPIES = 3
"""Of the pixels: as they are read, as they are stacked, as the model takes them."""


def refuse_too_large(
    graph: Graph, tile: tuple[int, ...], channels: int, samples: int, named: bool
) -> None:
    """Says that tiles of a size don't fit into the memory that is free, and which would.

    Args:
        graph: The network's graph.
        tile: Pixels along each axis.
        channels: Of the input.
        samples: Tiles that are held at once.
        named: Whether a user named the size; else the model has none but its own.

    Raises:
        DataError: They don't fit.
    """
    network = float(peak_values(graph)) * _WORKING
    each = _FLOAT * (network + _COPIES * samples * channels)
    free = available_memory()
    needed = each * min(prod(tile), _BEYOND)
    if needed <= free:
        return
    side = int((free / each) ** (1 / len(tile)))
    size = " x ".join(map(str, tile))
    advice = (
        f"Name a smaller one, such as {_round(side)} (tile=, --tile)."
        if named
        else f"The model takes no other size; build it for about {_round(side)}, or for any size "
        "(None)."
    )
    raise DataError(
        f"tiles of {size} pixels need about {_amount(needed)} with this network, and "
        f"{_amount(free)} are free. {advice}"
    )


def _round(side: int) -> int:
    """The power of two below a number, at least 1."""
    return 1 << max(0, side.bit_length() - 1)


def _amount(size: float) -> str:
    return f"{size / 2**30:,.3g} GiB" if size < _BEYOND else "more memory than any machine has"

"""How much of an image is predicted at once: all of it where memory allows, else a tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Final

from normwise.errors import NetworkError
from normwise.inference.members import Member, Size
from normwise.inference.tile_size import MOST_PIXELS, bytes_of, choose, fixed_sizes, strides
from normwise.inference.tiled import tiles_of

_DOUBLINGS: Final = 4


@dataclass
class Portions:
    """Says for images of any size what is predicted at once.

    Args:
        members: The models that predict an image together.
        memory: Bytes that a prediction may need, the weights and the backend itself left out.
    """

    members: Sequence[Member]
    memory: int
    _chosen: dict[Size, Size | None] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        one = (1,) * len(self.members[0].tiling.stride)
        self._bytes_a_pixel = bytes_of(self.members, one)

    def tile(self, size: Size) -> Size | None:
        """Pixels of a tile along each axis; None where there is memory for the whole image.

        Args:
            size: Pixels of the image along each axis.

        Raises:
            NetworkError: The network's halo leaves no pixels in any tile that can be predicted.
        """
        if size not in self._chosen:
            self._chosen[size] = None if self._fits(size) else self._tile(size)
        return self._chosen[size]

    def _fits(self, size: Size) -> bool:
        steps = strides(self.members)
        pixels = prod(-(-side // step) * step for side, step in zip(size, steps, strict=True))
        return pixels <= min(MOST_PIXELS, self.memory // self._bytes_a_pixel)

    def _tile(self, size: Size) -> Size:
        def computed(tile: Size) -> int:
            return tiles_of(self.members, size, tile).computed

        fixed, memory = fixed_sizes(self.members), self.memory
        for _ in range(_DOUBLINGS):
            try:
                return choose(self.members, size, fixed, memory, computed)
            except NetworkError:
                memory *= 2  # a tile that is mostly halo is better than none
        return choose(self.members, size, fixed, memory, computed)

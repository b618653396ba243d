"""The halo of a network as it shows: a tile's prediction beside that of the whole image."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from math import ceil
from typing import Any

import keras
import numpy as np

from tests.surgery.randomize import randomize

Halo = tuple[int, int]


@contextmanager
def double_precision() -> Iterator[None]:
    """Layers made here count in doubles: what comes through many layers isn't lost in rounding."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def measured_halo(model: Any, stride: Sequence[int], tile: int, seeds: int = 1) -> list[Halo]:
    """Pixels of a tile in the middle of an image, before and behind, that differ from the image's.

    Args:
        model: Made in double precision, of free size, one input and one output.
        stride: Where tiles may begin, in pixels along each axis.
        tile: Size of the tile along the axis where it is cut, a multiple of the stride.
        seeds: How often other weights and another image are tried; the largest halo counts.
    """
    halos: list[list[Halo]] = [[] for _ in stride]
    for seed in range(seeds):
        randomize(model, seed)
        for axis in range(len(stride)):
            halos[axis].append(_along(model, stride, axis, tile, seed))
    return [(max(b for b, _ in each), max(a for _, a in each)) for each in halos]


def _along(model: Any, stride: Sequence[int], axis: int, tile: int, seed: int) -> Halo:
    """Cut along one axis only, so that the others have no wrong borders."""
    start = -(-tile // stride[axis]) * stride[axis]
    sizes = [2 * start + tile if a == axis else 2 * step for a, step in enumerate(stride)]
    image = np.random.default_rng(seed).normal(size=(1, *sizes, model.input_shape[-1]))
    cut = [slice(None)] * image.ndim
    cut[axis + 1] = slice(start, start + tile)
    whole, part = (
        np.moveaxis(keras.ops.convert_to_numpy(model(x)), axis + 1, 0)
        for x in (image, image[tuple(cut)])
    )
    scale = Fraction(len(whole) - len(part), 2 * start)
    shift = int(scale * start)
    differences = np.abs(whole[shift : shift + len(part)] - part).reshape(len(part), -1).max(-1)
    wrong = np.flatnonzero(differences > 1e-13 * np.abs(whole).max())
    first = max((i + 1 for i in wrong if i < len(part) / 2), default=0)
    end = min((i for i in wrong if i >= len(part) / 2), default=len(part))
    return ceil(first / scale), max(0, ceil((scale * tile - end) / scale))

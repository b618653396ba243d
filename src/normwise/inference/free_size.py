"""Models that were built for one size, made to take images of any where their layers allow it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import keras
import numpy as np
import numpy.typing as npt

from normwise.graph.free_size import freed, held_at_its_size
from normwise.graph.graph import Graph
from normwise.graph.receptive_field import tiling_of_graph
from normwise.graph.tiling import Tiling, in_words, listed
from normwise.inference.agreement import TOLERANCE
from normwise.inference.one_shape import traced_for_each_shape
from normwise.keras_format.paths import layers_by_path
from normwise.keras_format.reading import read_graph
from normwise.keras_format.replay import replay
from normwise.keras_format.weights import Weights, copy_variables
from normwise.surgery.differences import is_constant, one_difference
from normwise.surgery.samples import SPREADS, random_inputs
from normwise.surgery.verify import tolerance_of

Array = npt.NDArray[Any]

_RANKS = (4, 5)
"""Axes of a batch of images or volumes."""


@dataclass(frozen=True)
class Sized:
    """A model as it is applied to images.

    Attributes:
        model: It, or its copy for images of any size.
        held: Why it keeps the size that it was built for; empty if it takes any.
        copied: Whether it is a copy.
    """

    model: keras.Model
    held: str = ""
    copied: bool = False


_made: WeakKeyDictionary[keras.Model, tuple[Graph, Sized]] = WeakKeyDictionary()
"""What was found of live models, which predict one image after the other."""


def for_any_size(model: keras.Model, decided: bool | None = None) -> Sized:
    """A model that takes images of any size, if its layers allow it.

    That is a copy with free sides. It is used where no layer sees more than a halo (see
    `Tiling.exact`), and where it makes the same of an image of the model's own size, and of a part
    of one; this is tried once, on random pixels.

    Args:
        model: A live functional or Sequential model. It is not changed; its copy has the weights
            that it has now.
        decided: Whether to copy it, where somebody has found out; nothing is tried then.

    Returns:
        The copy, or the model itself with the reason.

    Raises:
        SurgeryError: A copy was decided on and can't be made.
    """
    if not _is_for_one_size(model) or decided is False:
        return Sized(model)
    graph = read_graph(model)
    if decided:
        return Sized(_copy(model, graph), copied=True)
    known = _made.get(model)
    if known is None or known[0] != graph:
        known = _made[model] = graph, _found(model, graph)
    elif known[1].copied:
        _renew(known[1].model, model)
    sized = known[1]
    return sized if sized.copied else Sized(model, sized.held)


def _is_for_one_size(model: keras.Model) -> bool:
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        return False
    shape = model.inputs[0].shape
    return len(shape) in _RANKS and any(shape[1:-1])


def _found(model: keras.Model, graph: Graph) -> Sized:
    held = listed(held_at_its_size(graph))
    if held:
        return Sized(_NOBODY, held)
    try:
        copy = _copy(model, graph)
        held = _difference(model, copy, graph)
    except Exception as error:
        # Layers of all kinds are called with sizes that nobody has tried, on any backend.
        line = next((line for line in str(error).splitlines() if line.strip()), repr(error))
        return Sized(_NOBODY, f"no copy for any size can be made of it: {line.strip().rstrip('.')}")
    return Sized(_NOBODY, held) if held else Sized(copy, copied=True)


_NOBODY: Any = None
"""In the place of the model itself, which what is kept of it must not keep alive."""


def _copy(model: keras.Model, graph: Graph) -> keras.Model:
    copy: keras.Model = replay(freed(graph), model, original=graph).model
    return copy


def _renew(copy: keras.Model, model: keras.Model) -> None:
    """Gives a copy the weights that the model has now."""
    theirs = layers_by_path(model)
    weights = Weights(theirs)
    for path, layer in layers_by_path(copy).items():
        if not hasattr(layer, "layers"):
            copy_variables(path, theirs[path], layer, weights)


def _difference(model: keras.Model, copy: keras.Model, graph: Graph) -> str:
    """By what a copy isn't the model; empty if it is."""
    free = read_graph(copy)
    tiling = tiling_of_graph(free)
    if not tiling.exact:
        return listed(tiling.reasons)
    image, wanted = _sample(model, graph)
    allowed = tolerance_of(graph, model)
    other = _of_another_size(image, tiling)
    apply = traced_for_each_shape(copy, free) or copy.predict_on_batch
    same, also = (_applied(apply, one) for one in (image, other))
    copy.predict_function = None  # so that it is traced for tiles, as where nothing is tried
    seen = tuple(
        slice(max(0, min(a, b) - after))
        for a, b, (_, after) in zip(image.shape[1:-1], other.shape[1:-1], tiling.halo, strict=True)
    )
    pairs = [(wanted, same, allowed)]
    if all(part.stop for part in seen):
        pairs.append((same[seen], also[seen], max(TOLERANCE, allowed)))
    for one, found, most in pairs:
        off = one_difference(one, found)
        if not off <= most:
            return f"a copy for any size differs by {off:.2g} of the largest value"
    return ""


def _sample(model: keras.Model, graph: Graph) -> tuple[Array, Array]:
    """A random image of the model's size, and what it makes of it: something that varies."""
    image = wanted = np.zeros(0, np.float32)
    for attempt in range(len(SPREADS)):
        drawn = next(iter(random_inputs(graph, model, 0, attempt)))
        image = np.asarray(keras.tree.flatten(drawn)[0][:1], np.float32)
        wanted = _applied(model.predict_on_batch, image)
        if np.isfinite(wanted).all() and not is_constant(wanted, tolerance_of(graph, model)):
            break
    return image, wanted


def _applied(apply: Callable[[Array], Any], image: Array) -> Array:
    """As tiles are predicted; shape (rows, columns, outputs)."""
    return np.asarray(apply(image)[0], np.float32)


def _of_another_size(image: Array, tiling: Tiling) -> Array:
    """A part of an image, or more than it where tiles are no smaller; it begins as the image."""
    window, more = [slice(None)], [(0, 0)]
    sides = zip(image.shape[1:-1], tiling.smallest, tiling.stride, strict=True)
    for side, least, step in sides:
        half = -(-side // 2 // step) * step
        part = half if least <= half < side else side + step
        window.append(slice(part))
        more.append((0, max(0, part - side)))
    return np.pad(image[tuple(window)], (*more, (0, 0)), mode="edge")


def size_note(model: keras.Model, held: str, unused: str) -> str:
    """Says that a model takes images of one size, and why.

    Args:
        model: The model.
        held: As `for_any_size` gave it.
        unused: What a user named that holds for other sizes alone, such as `--tile`; or nothing.
    """
    sides = tuple(model.input_shape[1:-1])
    size = in_words(sides)
    said = f"The model takes {size} pixels and no other size ({held}): tiles are of that size."
    if not unused:
        return said
    several = " and " in unused
    if None in sides:
        return f"{said} {unused} {'hold' if several else 'holds'} along the other axes alone."
    return f"{said} {unused} {'aren' if several else 'isn'}'t used."

"""The same pixels in two tiles that overlap: what the statistics of a tile do to a prediction.

The measure is the tile mismatch of Buglakova et al. (ICCV 2025). Pixels in the middle of the
overlap are predicted twice, each time well inside a tile. Where the two predictions differ, borders
or statistics can be the reason; so the second tile is predicted once more with the statistics that
the norms took of the first one. What is then left is what borders do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from normwise.graph.channels import output_channel_axis
from normwise.graph.graph import Graph
from normwise.graph.resolution import scales_of, total_stride
from normwise.keras_format.paths import layers_by_path
from normwise.rules.context.measurements import Tiles
from normwise.surgery.moments import Array, Doubles, moments_of
from normwise.surgery.running import outputs_of

Call = Callable[..., Any]
Wrap = Callable[[Call], Call]


@dataclass(frozen=True)
class Cut:
    """How two tiles are cut from a window, side by side along its last axis over space.

    Attributes:
        size: Pixels of a tile along that axis.
        offset: Where the second tile begins.
        margin: Pixels from the compared ones to the nearer end of a tile.
    """

    size: int
    offset: int
    margin: int

    @property
    def width(self) -> int:
        """Compared pixels."""
        return self.size - self.offset - 2 * self.margin

    @property
    def window(self) -> int:
        """Pixels of a window along that axis."""
        return self.size + self.offset


def cut_for(fixed: int | None, window: int, stride: int) -> Cut | None:
    """How to cut tiles so that both begin at a multiple of the stride.

    Args:
        fixed: The size that the model takes, None for any.
        window: Pixels of the windows; of no meaning for a fixed size. What is left of a tile that
            the stride doesn't divide is left out.
        stride: The model's total stride.

    Returns:
        The cut; None where a tile would be too small to overlap.
    """
    if fixed is not None:
        size, offset = fixed, stride * max(1, round(fixed / 2 / stride))
    else:
        offset = stride * max(1, round(window / 4 / stride))
        size = (window - offset) // stride * stride
    overlap = size - offset
    width = max(1, overlap // 4)
    return Cut(size, offset, (overlap - width) // 2) if overlap >= max(4, stride) else None


def wanted_windows(model: Any, graph: Graph) -> tuple[int, ...] | None:
    """The size of windows that a model of fixed size needs; None where any will do, or none."""
    fixed = model.inputs[0].shape[1:-1] if len(model.inputs) == 1 else ()
    strides = total_stride(scales_of(graph))
    if not fixed or None in fixed or len(strides) != len(fixed) or not group_norms(model):
        return None
    cut = cut_for(fixed[-1], 0, strides[-1])
    return None if cut is None else (*fixed[:-1], cut.window)


def group_norms(model: Any) -> dict[str, Any]:
    """Norms that take statistics of each input over space, by path."""
    return {
        path: layer
        for path, layer in layers_by_path(model).items()
        if type(layer).__module__.partition(".")[0] == "keras"
        and type(layer).__name__ == "GroupNormalization"
        and isinstance(layer.axis, int)
    }


def overlapping_tiles(model: Any, graph: Graph, windows: Array) -> Tiles | None:
    """Predicts pixels of windows in two tiles each.

    Args:
        model: From one input (batch, rows, columns, channels), or with slices before, to maps of
            the same size; it is not changed.
        graph: Its graph, flattened.
        windows: Raw input, larger than the tiles that are cut from it.

    Returns:
        The mismatch; None where the model makes no such maps, has no norm that takes statistics
        over space, or windows are too small: for two tiles, or for the stride along another axis.
    """
    norms, cut = group_norms(model), _cut_of(model, graph, windows)
    windows = _even(model, graph, windows)
    if not norms or cut is None or 0 in windows.shape:
        return None
    differences, left, spreads, classes = [], [], [], []
    for window in windows:
        first = window[None, ..., : cut.size, :]
        second = window[None, ..., cut.offset : cut.window, :]
        seen = _Statistics(norms)
        a = seen.run(model, first, seen.taking)
        b = seen.run(model, second, {})
        pinned = seen.run(model, second, seen.giving)
        if a.shape[:-1] != first.shape[:-1]:
            return None
        there = slice(cut.offset + cut.margin, cut.offset + cut.margin + cut.width)
        here = slice(cut.margin, cut.margin + cut.width)
        wanted = a[..., there, :]
        differences.append(wanted - b[..., here, :])
        left.append(wanted - pinned[..., here, :])
        spreads.append(a)
        classes.append(_changed(wanted, b[..., here, :]))
    spread = _spread(np.stack(spreads))
    difference = _rms(differences)
    if not spread > 0 or not np.isfinite(difference):
        return None
    known = [each for each in classes if each is not None]
    return Tiles(
        (*windows.shape[1:-2], cut.size),
        cut.margin,
        difference,
        difference / spread,
        _rms(left) / spread,
        float(np.mean(known)) if known else None,
        tuple(norms),
    )


def _cut_of(model: Any, graph: Graph, windows: Array) -> Cut | None:
    if len(model.inputs) != 1 or windows.ndim not in (4, 5) or not len(windows):
        return None
    taken, made = model.inputs[0].shape, model.outputs[0].shape
    strides = total_stride(scales_of(graph))
    last = output_channel_axis(graph, graph.input_tensors[0].node) == -1
    if not last or len(made) != len(taken) or len(strides) != len(taken) - 2:
        return None
    sizes = zip(taken[1:-2], windows.shape[1:-2], strict=True)
    if len(taken) != windows.ndim or any(own not in (None, size) for own, size in sizes):
        return None
    cut = cut_for(taken[-2], windows.shape[-2], strides[-1])
    return cut if cut is not None and cut.window <= windows.shape[-2] else None


def _even(model: Any, graph: Graph, windows: Array) -> Array:
    """The windows, their sizes along free axes whole multiples of the stride."""
    strides = total_stride(scales_of(graph))
    if len(strides) != windows.ndim - 2:
        return windows
    axes = zip(windows.shape[1:-1], model.inputs[0].shape[1:-1], strides, strict=True)
    # The last axis is cut into tiles.
    spans = [slice(size if own else size // step * step) for size, own, step in axes][:-1]
    return windows[(slice(None), *spans)]


class _Statistics:
    """The statistics that group norms take, call by call, and norms that use given ones."""

    def __init__(self, norms: dict[str, Any]) -> None:
        self._norms = norms
        self._found: dict[str, list[tuple[Doubles, Doubles]]] = {path: [] for path in norms}
        self.taking: dict[str, Wrap] = {path: self._taking(path) for path in norms}
        self.giving: dict[str, Wrap] = {path: self._giving(path) for path in norms}

    def run(self, model: Any, inputs: Array, wraps: dict[str, Wrap]) -> Doubles:
        from normwise.surgery.taps import eager, wrapped_calls  # noqa: PLC0415

        # Keras warns of an array where the model was made with a list of one input.
        given = [inputs] if isinstance(getattr(model, "input", None), list) else inputs
        with wrapped_calls(self._norms, wraps), eager():
            return outputs_of(model, given)[0].astype(np.float64)

    def _taking(self, path: str) -> Wrap:
        from normwise.surgery.taps import as_array  # noqa: PLC0415

        def wrap(own: Call) -> Call:
            def call(inputs: Any) -> Any:
                values = as_array(inputs, path)
                self._found[path].append(_of_groups(values, self._norms[path]))
                return own(inputs)

            return call

        return wrap

    def _giving(self, path: str) -> Wrap:
        from normwise.surgery.passes import normalized  # noqa: PLC0415

        given = iter(self._found[path])

        def wrap(own: Call) -> Call:
            def call(inputs: Any) -> Any:
                return normalized(self._norms[path], inputs, *next(given))

            return call

        return wrap


def _of_groups(values: Array, layer: Any) -> tuple[Doubles, Doubles]:
    """Mean and variance of the group of each channel, for a batch of one."""
    moments = moments_of(values, layer.axis)
    means = moments.mean.reshape(layer.groups, -1)
    variances = moments.variance.reshape(layer.groups, -1)
    size = means.shape[1]
    return (
        np.repeat(means.mean(axis=1), size),
        np.repeat(variances.mean(axis=1) + means.var(axis=1), size),
    )


def _changed(a: Doubles, b: Doubles) -> float | None:
    """Share of pixels whose class differs, None where outputs are no probabilities."""
    if min(a.min(), b.min()) < 0 or max(a.max(), b.max()) > 1:
        return None
    if a.shape[-1] == 1:
        return float(np.mean((a > 0.5) != (b > 0.5)))
    if not np.allclose(a.sum(axis=-1), 1, rtol=0, atol=1e-3):
        return None
    return float(np.mean(a.argmax(axis=-1) != b.argmax(axis=-1)))


def _spread(outputs: Doubles) -> float:
    """Standard deviation of an output's channels around their own means, root mean square."""
    variances = outputs.reshape(-1, outputs.shape[-1]).var(axis=0)
    return float(np.sqrt(variances.mean()))


def _rms(differences: Sequence[Doubles]) -> float:
    return float(np.sqrt(np.mean(np.square(np.stack(differences)))))

"""What the other samples of a batch do to a sample's output.

Both batches have one size and the sample at one place, so that rounding and whatever random layers
draw is the same in both: only the others differ. A batch of copies of the sample has its own
statistics and is the sample alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph
from normwise.keras_format.live import live_calls, probe
from normwise.probes.modes import BothModes
from normwise.probes.samples import Samples
from normwise.rules.context.measurements import Companions
from normwise.surgery.differences import COARSE, TOLERANCE
from normwise.surgery.moments import Array
from normwise.surgery.running import outputs_of

BATCH = 4
"""Samples of a batch in inference mode."""

TRIED = 4
"""Samples whose outputs are compared."""

PAIRS = 8
"""Pairs of batches in training mode."""

WATCHED = 8
"""Operations whose results are held at a time."""


def companions(
    model: Any, graph: Graph, samples: Samples, batch: int | None = None
) -> Companions | None:
    """Compares the outputs of samples in different company.

    Args:
        model: The live model; it is not changed.
        graph: Its graph.
        samples: Raw input.
        batch: Samples of a batch in training; None leaves the training mode out.

    Returns:
        The differences; None where there are too few samples, or outputs that don't vary.
    """
    count = len(samples)
    if count < 2:
        return None
    tried = np.linspace(0, count - 1, min(TRIED, count)).round().astype(int).tolist()
    pairs = [_pair(i, count) for i in tried]
    outputs = [[outputs_of(model, samples.take(p).inputs)[0] for p in pair] for pair in pairs]
    spread = _spread([with_others for _, with_others in outputs])
    if spread is None:
        return None
    found = [_difference(*pair) for pair in outputs]
    dtypes = {spec.dtype for node in flatten(graph).nodes for spec in node.outputs}
    rounding = max([10 * TOLERANCE, *(COARSE[d] for d in dtypes if d in COARSE)])
    inference = float(np.sqrt(np.mean(np.square(found)))) / spread
    layer = None
    if inference > rounding:
        alone, together = (samples.take(p).inputs for p in pairs[int(np.argmax(found))])
        layer = _first(model, alone, together, rounding)
    return Companions(
        inference, rounding, layer, _in_training(model, graph, samples, spread, batch), batch
    )


def _pair(index: int, count: int) -> tuple[list[int], list[int]]:
    """A sample alone, and one with others."""
    others = [(index + step) % count for step in range(1, BATCH)]
    return [index] * BATCH, [index, *others]


def _in_training(
    model: Any, graph: Graph, samples: Samples, spread: float, batch: int | None
) -> float | None:
    """The same in training mode, between two batches that share one sample."""
    if batch is None or batch < 2 or len(samples) < 2 * batch - 1:
        return None
    modes = BothModes(model, flatten(graph))
    if not any(norm.trainable for norm in modes.norms.values()):
        return None
    rng = np.random.default_rng(0)
    found = []
    for _ in range(PAIRS):
        first, *others = rng.permutation(len(samples)).tolist()
        pair = ([first, *others[: batch - 1]], [first, *others[batch - 1 : 2 * batch - 2]])
        outputs = [modes.outputs(samples.take(p), training=True)[0] for p in pair]
        found.append(_difference(*outputs))
    return float(np.sqrt(np.mean(np.square(found)))) / spread


def _difference(a: Array, b: Array) -> float:
    """Root mean square difference of the first sample."""
    difference = a[0].astype(np.float64) - b[0].astype(np.float64)
    return float(np.sqrt(np.mean(np.square(difference))))


def _spread(outputs: Sequence[Array]) -> float | None:
    """Standard deviation of the outputs, None where they don't vary or are no numbers."""
    values = [output.astype(np.float64).reshape(-1) for output in outputs]
    joined = np.concatenate(values)
    if not np.isfinite(joined).all():
        return None
    return float(joined.std()) or None


def _first(model: Any, alone: Any, together: Any, rounding: float) -> str | None:
    """The first operation of the outermost model whose result for the sample differs."""
    names = [name for name, call in live_calls(model).items() if call.arguments.keras_tensors]
    for start in range(0, len(names), WATCHED):
        some = names[start : start + WATCHED]
        watched = probe(model, some)
        results = zip(outputs_of(watched, alone), outputs_of(watched, together), strict=True)
        for name, (a, b) in zip(some, results, strict=True):
            if _differ(a, b, rounding):
                return name.partition(":")[0]
    return None


def _differ(a: Array, b: Array, rounding: float) -> bool:
    comparable = a.ndim > 0 and a.shape == b.shape and a.dtype.kind == "f"
    spread = float(np.std(a, dtype=np.float64)) or 1.0
    return comparable and _difference(a, b) > rounding * spread

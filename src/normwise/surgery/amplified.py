"""How far a model itself turns rounding into other outputs, which no copy of it can do better."""

from __future__ import annotations

from typing import Any

import numpy as np

from normwise.graph.graph import Graph
from normwise.surgery.differences import one_difference
from normwise.surgery.running import outputs_of
from normwise.surgery.verify import runnable, tolerance_of


def amplified(graph: Graph, source: Any, seed: int = 0) -> float:
    """How far outputs move when each number of the inputs does to its next neighbour, up or down.

    Args:
        graph: The model's graph.
        source: The live model; it is not changed.
        seed: For the inputs and the directions.

    Returns:
        The largest difference, as a share of the output's largest value; 0 where inputs are whole
        numbers alone.

    Raises:
        SurgeryError: The model can't be run on random inputs.
    """
    import keras  # noqa: PLC0415 - after the backend is chosen

    rng = np.random.default_rng(seed)

    def moved(value: Any) -> Any:
        array = np.asarray(value)
        if array.dtype not in (np.float16, np.float32, np.float64):
            return value
        return np.nextafter(array, rng.choice([-np.inf, np.inf], array.shape).astype(array.dtype))

    inputs, expected = runnable(graph, source, seed)
    found = outputs_of(source, keras.tree.map_structure(moved, inputs))
    return max(map(one_difference, expected, found), default=0.0)


def advice(graph: Graph, source: Any, seed: int = 0) -> str:
    """What an error adds where the model itself may be why outputs differ; else nothing.

    Args:
        graph: The model's graph.
        source: The live model.
        seed: As for `amplified`.
    """
    own = amplified(graph, source, seed)
    if own < tolerance_of(graph, source) / 10:
        return ""
    return (
        f" The model itself amplifies rounding: its outputs change by {own:.2g} of their largest "
        "value where its inputs change in the last digit alone."
    )

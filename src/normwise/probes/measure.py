"""Every probe on one model and one set of data, in a bounded number of passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from normwise.errors import DataError
from normwise.graph.channels import output_channel_axis
from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph
from normwise.keras_format.reading import read_graph
from normwise.probes.companions import companions
from normwise.probes.gaps import FEWEST
from normwise.probes.modes import BothModes
from normwise.probes.order import order
from normwise.probes.overlapping_tiles import overlapping_tiles
from normwise.probes.samples import Samples
from normwise.probes.spreads import spreads
from normwise.rules.context.measurements import Gap, Measurements, Tiles
from normwise.surgery.moments import Array, Bools, Doubles
from normwise.surgery.population import Track, untracked
from normwise.surgery.running import outputs_of

USUAL_BATCH = 8
"""Samples of a batch where nobody says how many the training has."""

MOST_WINDOWS = 4
"""Windows that are predicted in overlapping tiles."""

ANOTHER_INPUT = 0.5
"""Gap of the raw input itself from which on the data are another domain: half a standard deviation
from what the model's own scaling was adapted to."""


@dataclass(frozen=True)
class Setting:
    """What is known beside the samples.

    Attributes:
        batch: Samples of a batch in training, None if unknown.
        new_data: Whether the data are not of the training; None: the model's scaling tells.
        classes: For each image the share of each class, `(images, classes)`.
        windows: Larger pieces for a model of fixed size; None: the samples themselves.
        track: Shows how far the passes are.
    """

    batch: int | None = None
    new_data: bool | None = None
    classes: Doubles | None = None
    windows: Array | None = None
    track: Track = untracked


def measure(model: Any, samples: Samples, setting: Setting | None = None) -> Measurements:
    """Measures everything that the rules with data judge.

    Args:
        model: A live functional or Sequential model; it is the same afterwards, bit for bit.
        samples: Raw input.
        setting: What else is known.

    Returns:
        The measurements; what can't be measured is left out.

    Raises:
        DataError: The model can't be run on such samples.
        NormwiseError: A layer runs where nothing can be seen of it.
        ModelReadError: The model has no graph.
    """
    setting = setting or Setting()
    graph = read_graph(model)
    flat = flatten(graph)
    _refuse_unfit(model, samples)
    both = BothModes(model, flat)
    size = batch_size(len(samples), setting.batch)
    batches = samples.shuffled(size)
    both.run(setting.track(batches, "both modes", len(samples) // size))
    inference = both.gaps()
    axes = tuple(output_channel_axis(flat, tensor.node) for tensor in flat.input_tensors)
    return Measurements(
        samples=len(samples),
        new_data=_is_new(setting.new_data, inference, both),
        modes=both.modes(),
        inference=inference,
        tiles=_tiles(model, flat, samples, setting.windows),
        companions=companions(model, graph, samples, setting.batch),
        merges=both.merges(),
        spreads=spreads(samples, tuple(t.name for t in model.inputs), axes),
        order=order(samples, axes[0], setting.batch or USUAL_BATCH, setting.classes),
    )


def _refuse_unfit(model: Any, samples: Samples) -> None:
    """Says clearly that a model can't be run on such samples; only trying tells.

    Raises:
        DataError: It can't.
    """
    try:
        outputs_of(model, samples.take([0]).inputs)
    except Exception as error:
        first = next((line for line in str(error).splitlines() if line.strip()), "")
        raise DataError(
            f"data: model {model.name!r} can't be run on samples of shape "
            f"{[leaf.shape[1:] for leaf in samples.leaves]}: {first.strip()} Give samples of a "
            "size that the model takes."
        ) from error


def batch_size(count: int, wanted: int | None) -> int:
    """Samples of a batch: as in training, or fewer where that would be too few batches."""
    return max(1, min(wanted or USUAL_BATCH, count // FEWEST))


def _is_new(told: bool | None, gaps: Sequence[Gap], both: BothModes) -> bool:
    if told is not None:
        return told
    return any(gap.layer in both.scalings and gap.total >= ANOTHER_INPUT for gap in gaps)


def _tiles(model: Any, flat: Graph, samples: Samples, windows: Array | None) -> Tiles | None:
    if windows is None and len(samples.leaves) == 1:
        whole = range(len(samples)) if samples.valid is None else _whole(samples.valid)
        chosen = list(whole)[:: max(1, len(whole) // MOST_WINDOWS)]
        windows = samples.leaves[0][chosen]
    return None if windows is None else overlapping_tiles(model, flat, windows[:MOST_WINDOWS])


def _whole(valid: Bools) -> list[int]:
    """Samples without a missing pixel, which would be another tile's statistics."""
    found: list[int] = np.flatnonzero(valid.reshape(len(valid), -1).all(axis=1)).tolist()
    return found

"""What probes say of a trial's trained network, on patches that it was trained on."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt

from normwise.comparison.outcome import Probes
from normwise.data.dataset import Dataset
from normwise.data.loading import PatchBatches
from normwise.data.reading import read_record
from normwise.data.sources import Source
from normwise.graph.receptive_field import tiling_of_graph
from normwise.keras_format.live_weights import LiveWeights
from normwise.keras_format.reading import read_graph
from normwise.probes.gaps import FEWEST as FEWEST_BATCHES
from normwise.probes.measure import MOST_WINDOWS, Setting, measure
from normwise.probes.samples import FEWEST, Samples
from normwise.rules import RULES, Context, Training, check
from normwise.rules.context.measurements import Measurements
from normwise.training.evaluate import input_mean
from normwise.training.finished_run import Run
from normwise.training.recipe import Recipe
from normwise.training.scaling import scaling_of_model
from normwise.training.whole_items import image_part

_LARGEST_WINDOW: Final = {2: 512, 3: 96}
"""Pixels along each axis, by the number of axes."""

_WITH_DATA: Final = tuple(rule for rule in RULES if rule.needs_data)

Finding = tuple[str, str]
"""Code and name, and severity."""


def probed(
    run: Run, model: keras.Model, recipe: Recipe, dataset: Dataset, split: str
) -> tuple[Probes, tuple[Finding, ...]]:
    """Measures a trained network in batches such as its training had, the same for all variants.

    Args:
        run: The finished run.
        model: Its model; it is the same afterwards, bit for bit.
        recipe: Its resolved recipe.
        dataset: Its data.
        split: The split whose images are cut into overlapping tiles.

    Returns:
        The measurements, and what the rules that need data find in them.
    """
    graph, size = read_graph(model), recipe.training.batch_size
    own = replace(dataset, scaling=scaling_of_model(model))
    record = read_record(run.folder)
    fill = (record.fill if record else None) or input_mean(model)
    exact = tiling_of_graph(graph).exact
    windows = None if exact else _windows(own, split, fill)
    samples = _samples(model, own, recipe, fill)
    found = measure(model, samples, Setting(size, new_data=False, windows=windows))
    # What single samples and their order are like is no property of the network.
    judged = replace(found, spreads=(), order=None)
    context = Context(graph, LiveWeights(model), Training(size), measured=judged)
    return _probes(found, exact), tuple(_told(context))


def _samples(
    model: keras.Model, dataset: Dataset, recipe: Recipe, fill: Sequence[float]
) -> Samples:
    """Training patches as they are cut: enough batches to tell their statistics from chance."""
    patch, size = recipe.data.patch, recipe.training.batch_size
    assert patch is not None  # the run has chosen it
    sides = patch * (dataset.dimensions if len(patch) == 1 else 1)
    steps = max(FEWEST_BATCHES, -(-FEWEST // size))
    seed = recipe.training.seed
    with PatchBatches(
        dataset, "train", sides, size, fill=np.asarray(fill, np.float32), seed=seed, steps=steps
    ) as batches:
        images = np.concatenate([batches[step][0] for step in range(steps)])
    structure = keras.tree.map_structure(lambda _: images, model.input)
    return Samples((images,), structure, (size,) * steps, composed=False)


def _windows(dataset: Dataset, split: str, fill: Sequence[float]) -> npt.NDArray[Any]:
    """The first images, cut to one size."""
    items = dataset.split(split)[:MOST_WINDOWS]
    limit = _LARGEST_WINDOW[dataset.dimensions]
    shapes = zip(*(item.shape for item in items), strict=True)
    corner = tuple(slice(0, min(limit, *sides)) for sides in shapes)
    with Source(dataset, items) as source:
        return np.stack([image_part(source, item, corner, fill)[0] for item in items])


def _probes(found: Measurements, exact: bool) -> Probes:
    modes, tiles, others = found.modes, found.tiles, found.companions
    disparity = _known(modes.outputs if modes else None)
    # Where both modes are the same to the bit, nothing uses the statistics of a batch.
    dependence = 0.0 if disparity == 0 else _known(others.training if others else None)
    return Probes(
        samples=found.samples,
        disparity=disparity,
        # Without a layer that sees a whole tile, tiles with a halo are exact.
        tile_mismatch=0.0 if exact else _known(tiles.share if tiles else None),
        batch_dependence=dependence,
        inference_dependence=_known(others.inference if others else None),
    )


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _told(context: Context) -> Iterator[Finding]:
    for finding in check(context, _WITH_DATA).findings:
        yield f"{finding.code} {finding.name}", str(finding.severity)

"""Measuring a model on a folder of images or on batches of raw input; needs the backend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph
from normwise.graph.resolution import scales_of, total_stride
from normwise.keras_format.reading import read_graph
from normwise.probes.measure import MOST_WINDOWS, Setting, measure
from normwise.probes.overlapping_tiles import wanted_windows
from normwise.probes.samples import FEWEST, Samples, collected
from normwise.rasters import ImageFiles, raster_info
from normwise.rules.context.measurements import Measurements
from normwise.surgery.batches import Missing
from normwise.surgery.population import Track, untracked
from normwise.workflows.check_data import Data
from normwise.workflows.class_shares import class_shares
from normwise.workflows.image_batches import ImageBatches
from normwise.workflows.model_images import fill_of, images_of_folder
from normwise.workflows.pass_progress import tracked
from normwise.workflows.runs import recipe_of_run
from normwise.workflows.tile_memory import refuse_too_large

TILES = {2: 256, 3: 48}
"""Sizes of a sample from a folder along each axis, for networks that take any size, by the number
of axes."""

MOST_PIXELS = 2**22
"""Pixels that are looked at, as long as there are enough samples."""


def measured(model: Any, live: Any, data: Data, batch: int | None) -> Measurements:
    """Measures a model on data.

    Args:
        model: Whatever names the model.
        live: The live model; it is not changed.
        data: The data.
        batch: Samples of a batch in training, None if unknown.

    Raises:
        DataError: The data can't be used, or don't fit the model.
        NetworkError: A folder, and a model that doesn't take one image.
        ModelReadError: The model has no graph.
    """
    graph = flatten(read_graph(live))
    track: Track = tracked if data.progress else untracked
    setting = Setting(batch, data.new, track=track)
    if isinstance(data.source, (str, PathLike)):
        return _on_folder(model, live, graph, Path(fspath(data.source)), data, setting)
    missing = Missing(data.nodata, fill_of(live, model))
    return measure(live, collected(live, graph, data.source, data.limit, missing), setting)


def _on_folder(
    model: Any, live: Any, graph: Graph, folder: Path, data: Data, setting: Setting
) -> Measurements:
    tile = data.tile or _patch_of(model) or _usual_tile(live)
    images = images_of_folder(model, live, folder, data.nodata, data.bands, tile)
    images = images if data.tile else _no_larger(images, live, graph)
    numbers, samples = _samples(model, live, graph, images, data.limit)
    wider = wanted_windows(live, graph)
    known = replace(
        setting,
        new_data=_is_new(model, folder) if data.new is None else data.new,
        classes=class_shares(folder, [images.files[number] for number in numbers]),
        windows=None if wider is None else _windows(images, wider),
    )
    return measure(live, samples, known)


def _no_larger(images: ImageBatches, live: Any, graph: Graph) -> ImageBatches:
    """Tiles that are no larger than the first image, where the model takes any size."""
    own = raster_info(images.files[0], 3 if len(images.tile) == 3 else 2).shape
    strides = total_stride(scales_of(graph)) or (1,) * len(own)
    axes = zip(images.tile, live.inputs[0].shape[1:-1], own, strides, strict=True)
    fitting = (t if fixed else min(t, -(-size // step) * step) for t, fixed, size, step in axes)
    return replace(images, tile=tuple(fitting))


def _samples(
    model: Any, live: Any, graph: Graph, images: ImageBatches, limit: int
) -> tuple[Sequence[int], Samples]:
    """Some tiles, and the numbers of the images that they are from."""
    few = min(limit, max(FEWEST, MOST_PIXELS // prod(images.tile)))
    refuse_too_large(
        graph, images.tile, live.inputs[0].shape[-1], few, live.inputs[0].shape[1] is None
    )
    tiles = list(images.some(few))
    array = np.stack([tile for _, tile in tiles])
    named = [(number, _name(images.files[number])) for number, _ in tiles]
    missing = Missing(None, fill_of(live, model))
    found = collected(live, graph, array, len(array), missing, named)
    return list(dict.fromkeys(found.groups)), found


def _name(files: ImageFiles) -> str:
    """What an image is called: its file, or the folder of its bands."""
    return str(files if isinstance(files, Path) else files[0].parent)


def _windows(images: ImageBatches, size: tuple[int, ...]) -> npt.NDArray[Any]:
    """Larger pieces, without those that hold missing pixels or reach beyond an image."""
    found = [tile for _, tile in replace(images, tile=size).some(MOST_WINDOWS)]
    return np.stack(found)[[not np.isnan(tile).any() for tile in found]]


def _usual_tile(live: Any) -> int | None:
    inputs = getattr(live, "inputs", None)
    return TILES.get(len(inputs[0].shape) - 2) if inputs else None


def _patch_of(model: Any) -> int | None:
    """The size of the patches that a run was trained on, if it says one."""
    recipe = recipe_of_run(model)
    patch = recipe.data.patch if recipe is not None else None
    return max(patch) if isinstance(patch, (tuple, list)) else patch


def _is_new(model: Any, folder: Path) -> bool | None:
    """Whether a folder is another one than that of the model's run; None if no run says it."""
    recipe = recipe_of_run(model)
    return None if recipe is None else Path(recipe.data.path).resolve() != folder.resolve()

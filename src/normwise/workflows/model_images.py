"""A folder's images as a model takes them: their tiles, and what fills their missing pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from normwise.errors import DataError, ModelReadError, NetworkError
from normwise.graph.channels import output_channel_axis
from normwise.graph.flatten import flatten
from normwise.graph.resolution import scales_of, total_stride
from normwise.keras_format.reading import read_graph
from normwise.workflows.image_batches import ImageBatches, image_files
from normwise.workflows.runs import data_settings, fill_of_run, reading_of, record_of_run
from normwise.workflows.tile_memory import refuse_too_large

TILES = {2: 512, 3: 64}
"""Sizes of a tile along each axis, by the number of axes, for networks that take any size."""


def images_of_folder(
    model: Any,
    live: Any,
    folder: Path,
    nodata: float | None,
    bands: Sequence[int] | None,
    tile: int | None,
) -> ImageBatches:
    """Batches of tiles of all images of a folder, scaled as the model's run scales them.

    Raises:
        DataError: There is no such folder, it holds no images, or a tile doesn't fit into memory.
        ModelReadError: The model has no graph.
        NetworkError: The model doesn't take one image.
    """
    from normwise.training.scaling import scaling_of_model  # noqa: PLC0415 - needs the backend

    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of images.")
    settings = data_settings(model)
    if not _takes_images(live):
        raise NetworkError(
            f"model {live.name!r} takes {[tuple(t.shape) for t in live.inputs]}; a folder of "
            "images needs one input (batch, rows, columns, channels), for volumes with an axis "
            "more. Give arrays instead."
        )
    scaling = scaling_of_model(live)
    size = _tile(live, tile)
    refuse_too_large(
        read_graph(live), size, live.inputs[0].shape[-1], 1, live.inputs[0].shape[1] is None
    )
    return ImageBatches(
        image_files(folder, record_of_run(model)),
        size,
        bands if bands is not None else settings.bands if settings else None,
        nodata if nodata is not None else reading_of(model).nodata,
        scaling.scaled if scaling else None,
        live.inputs[0].shape[-1],
    )


def _tile(live: Any, wanted: int | None) -> tuple[int, ...]:
    """The fixed size of the model; on a free axis the wanted one, rounded up to the stride."""
    fixed = live.input_shape[1:-1]
    strides = total_stride(scales_of(flatten(read_graph(live)))) or (1,) * len(fixed)
    size = wanted or TILES[len(fixed)]
    sizes = zip(fixed, strides, strict=True)
    return tuple(own or -(-size // stride) * stride for own, stride in sizes)


def fill_of(live: Any, model: Any = None) -> Any:
    """What stands in the place of missing values: what `predict` takes, too.

    Args:
        live: The model.
        model: Whatever names it; a run knows what stood there in training.

    Raises:
        ModelReadError: The model has no graph, or isn't built.
    """
    from normwise.training.evaluate import input_mean  # noqa: PLC0415 - needs the backend

    axis = _channel_axis(live)
    if axis is None:
        return 0.0
    fill = fill_of_run(model)
    known = fill is not None and len(fill) == live.inputs[0].shape[axis]
    return fill if known else input_mean(live, axis)


def _takes_images(live: Any) -> bool:
    return _channel_axis(live) == -1


def _channel_axis(live: Any) -> int | None:
    """Where the channels of a model's images are; None if it takes anything but one image."""
    graph = flatten(read_graph(live))  # says clearly which models have no graph
    if getattr(live, "inputs", None) is None:
        raise ModelReadError(
            f"model {live.name!r} isn't built: it has no inputs and no weights. Give it a "
            "keras.Input first, or call build(input_shape)."
        )
    if len(live.inputs) != 1 or len(live.inputs[0].shape) - 2 not in TILES:
        return None
    axis = output_channel_axis(graph, graph.input_tensors[0].node)
    return axis if live.inputs[0].shape[axis] is not None else None

"""The metrics of a finished model on the whole images of a split."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from normwise.data.dataset import Dataset, Item
from normwise.errors import DataError
from normwise.inference.ensembles import predict_views
from normwise.inference.mixtures import combined
from normwise.inference.views import Views
from normwise.training.distribution import SINGLE, Distribution
from normwise.training.loading import Array
from normwise.training.metrics import Metrics
from normwise.training.output import (
    Output,
    predicted_classes,
    regression_output,
    segmentation_output,
)
from normwise.training.scaling import scaling_of_model
from normwise.training.validation import measure, metrics_for
from normwise.training.whole_items import Whole, whole_items

Seen = Callable[[Item, Array, Array, Array, Any], None]
"""Is handed an item, its image, truth and weight, and class ids or the outputs of a regression."""


def evaluate(
    model: keras.Model | str | Path | Sequence[keras.Model],
    dataset: Dataset,
    split: str = "test",
    fills: Sequence[Sequence[float] | None] | None = None,
    views: Sequence[Views] | None = None,
    seen: Seen | None = None,
) -> Metrics:
    """Measures a model on whole images.

    Args:
        model: A finished model, from raw pixel values to probabilities or to the target's units,
            or its `.keras` file; several models are an ensemble, whose mean is measured.
        dataset: The data; the bands must be those that the model was trained with. Its images
            are scaled by percentiles if the model says so.
        split: `train`, `val` or `test`.
        fills: For each model and channel, what stands where nothing was measured; a run keeps it
            in its `images.yaml`. By default, or for None, the mean that the model scales its input
            with, or 0 if it doesn't.
        views: For each model, the flips and turns of an image whose predictions are averaged; by
            default none.
        seen: Is handed each image with what is predicted, for pictures of it and the like.

    Returns:
        Metrics over all pixels that have a label, in the target's units.

    Raises:
        DataError: If the split is empty or the model's outputs don't fit the data.
        NetworkError: If the model takes another number of channels.

    Example:
        ```python
        evaluate("run/model.keras", open_dataset("rivers")).values["iou"]
        ```
    """
    members = _members(model)
    distribution = Distribution.of_layers(layer.name for layer in members[0].layers)
    output = output_of(dataset, distribution)
    for member in members:
        _check_outputs(member, output, dataset)
    metrics = metrics_for(output)
    told = fills or [None] * len(members)
    augmented: Sequence[Views] = views or ["none"] * len(members)
    readers = (_whole(m, dataset, split, fill) for m, fill in zip(members, told, strict=True))
    for same in zip(*readers, strict=True):
        item, image, truth, weight = same[0]
        each = (
            predict_views(m, own, tta, distribution.gaussian)
            for m, (_, own, _, _), tta in zip(members, same, augmented, strict=True)
        )
        predicted = combined(each, distribution.gaussian)
        if output.task == "segmentation":
            predicted = predicted_classes(predicted)
        measure(metrics, truth, predicted, weight, item.name)
        if seen is not None:
            seen(item, image, truth, weight, predicted)
    return metrics.result()


def _members(model: keras.Model | str | Path | Sequence[keras.Model]) -> list[keras.Model]:
    if isinstance(model, keras.Model):
        return [model]
    if isinstance(model, (str, Path)):
        return [keras.saving.load_model(model, compile=False, safe_mode=True)]
    return list(model)


def _whole(
    model: keras.Model, dataset: Dataset, split: str, fill: Sequence[float] | None
) -> Iterator[Whole]:
    """The images of a split as a model sees them: what it was trained with counts, whoever
    opened the data."""
    own = replace(dataset, scaling=scaling_of_model(model))
    return whole_items(own, split, fill or input_mean(model))


def output_of(dataset: Dataset, distribution: Distribution = SINGLE) -> Output:
    """The output that a data set asks for, with targets in their own units.

    Args:
        dataset: The data set.
        distribution: What stands for each target of a regression.
    """
    if dataset.task == "segmentation":
        return segmentation_output(dataset.classes)
    names, count = dataset.target_names, dataset.outputs
    names = names if len(names) == count else tuple(f"target {i + 1}" for i in range(count))
    own_units = np.zeros(count).tolist(), np.ones(count).tolist()
    return regression_output(names, *own_units, distribution)


def input_mean(model: keras.Model, axis: int = -1) -> list[float]:
    """For each channel, the mean that a model scales its raw input with; 0 if it doesn't.

    That is the mean of a fixed `Normalization`, or the moving mean of a batch normalization that
    reads the input itself.

    Args:
        model: A model with one input.
        axis: The axis of the input's channels.
    """
    channels = int(model.input_shape[axis])
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization) and not layer.invert:
            return _for_each(layer.mean, channels)
        if isinstance(layer, keras.layers.BatchNormalization) and layer.input is model.inputs[0]:
            return _for_each(layer.moving_mean, channels)
    return [0.0] * channels


def _for_each(mean: Any, channels: int) -> list[float]:
    values = np.ravel(keras.ops.convert_to_numpy(mean))
    return [float(value) for value in np.broadcast_to(values, channels)]


def _check_outputs(model: keras.Model, output: Output, dataset: Dataset) -> None:
    found = model.output_shape[-1]
    if found != output.channels:
        raise DataError(
            f"The model has {found} output channels; the {output.task} of {dataset.root} needs "
            f"{output.channels}: {', '.join(output.distribution.names(output.names))}."
        )

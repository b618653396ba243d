"""The metrics of a finished model on the whole images of a split."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from normwise.data.dataset import Dataset
from normwise.errors import DataError
from normwise.inference.free_size import for_any_size
from normwise.inference.members import member_of
from normwise.inference.views import Views
from normwise.inference.whole import check_image
from normwise.training.distribution import SINGLE, Distribution
from normwise.training.metrics import Metrics
from normwise.training.output import (
    Output,
    predicted_classes,
    regression_output,
    segmentation_output,
)
from normwise.training.predicted_parts import Applied, Part, predicted_parts
from normwise.training.scaling import scaling_of_model
from normwise.training.validation import measure, metrics_for
from normwise.training.whole_items import items_of

Seen = Callable[[Part], None]
"""Is handed each image, or the parts of a large one; with class ids for a segmentation."""


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
            or its `.keras` file; several models are an ensemble, whose mean is measured. One that
            was built for one size is copied for images of any, as for a prediction.
        dataset: The data; the bands must be those that the model was trained with. Its images
            are scaled by percentiles if the model says so.
        split: `train`, `val` or `test`.
        fills: For each model and channel, what stands where nothing was measured; a run keeps it
            in its `images.yaml`. By default, or for None, the mean that the model scales its input
            with, or 0 if it doesn't.
        views: For each model, the flips and turns of an image whose predictions are averaged; by
            default none.
        seen: Is handed each image with what is predicted, for pictures of it and the like; one that
            doesn't fit into memory in parts.

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
    models = _models(model)
    distribution = Distribution.of_layers(layer.name for layer in models[0].layers)
    output = output_of(dataset, distribution)
    for one in models:
        _check_outputs(one, output, dataset)
    metrics = metrics_for(output)
    applied = _applied(models, dataset, split, fills, views)
    for found in predicted_parts(applied, split, distribution.gaussian):
        part = found
        if output.task == "segmentation":
            part = replace(found, predicted=predicted_classes(found.predicted))
        measure(metrics, part.truth, part.predicted, part.weight, part.item.name)
        if seen is not None:
            seen(part)
    return metrics.result()


def _models(model: keras.Model | str | Path | Sequence[keras.Model]) -> list[keras.Model]:
    if isinstance(model, keras.Model):
        return [model]
    if isinstance(model, (str, Path)):
        return [keras.saving.load_model(model, compile=False, safe_mode=True)]
    return list(model)


def _applied(
    models: Sequence[keras.Model],
    dataset: Dataset,
    split: str,
    fills: Sequence[Sequence[float] | None] | None,
    views: Sequence[Views] | None,
) -> list[Applied]:
    """Models with the data as each was trained on them, whoever opened them."""
    size = items_of(dataset, split)[0].shape
    advice = (
        f"Measure it on images with the bands that it was trained with; {dataset.root} has others."
    )
    told = fills or [None] * len(models)
    augmented: Sequence[Views] = views or ["none"] * len(models)
    applied = []
    for model, fill, tta in zip(models, told, augmented, strict=True):
        check_image(model, (*size, dataset.channels), advice)
        own = replace(dataset, scaling=scaling_of_model(model))
        member = member_of(for_any_size(model).model, tta)
        applied.append(Applied(member, own, fill or input_mean(model)))
    return applied


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
    shape = model.input_shape
    for layer in model.layers:
        mean = _own_mean(layer, model)
        if mean is not None and np.ndim(mean) in (0, len(shape)):
            found = _for_each(mean, axis, int(shape[axis]))
            if found is not None:
                return found
    return [0.0] * int(shape[axis])


def _own_mean(layer: Any, model: keras.Model) -> Any | None:
    """The mean that a layer takes off a model's input, with as many axes; None if it takes none."""
    if isinstance(layer, keras.layers.Normalization) and not layer.invert:
        return keras.ops.convert_to_numpy(layer.mean)
    if isinstance(layer, keras.layers.BatchNormalization) and layer.input is model.inputs[0]:
        along = [1] * len(model.input_shape)
        along[layer.axis] = -1
        return keras.ops.convert_to_numpy(layer.moving_mean).reshape(along)
    return None


def _for_each(mean: Any, axis: int, channels: int) -> list[float] | None:
    """What a mean is in each channel, on average over its other axes; None if it has others."""
    values = np.moveaxis(mean, axis, 0) if np.ndim(mean) else mean
    values = np.reshape(values, (np.shape(values)[0] if np.ndim(values) else 1, -1)).mean(axis=1)
    if len(values) not in (1, channels):
        return None
    return [float(value) for value in np.broadcast_to(values, channels)]


def _check_outputs(model: keras.Model, output: Output, dataset: Dataset) -> None:
    found = model.output_shape[-1]
    if found != output.channels:
        raise DataError(
            f"The model has {found} output channels; the {output.task} of {dataset.root} needs "
            f"{output.channels}: {', '.join(output.distribution.names(output.names))}."
        )

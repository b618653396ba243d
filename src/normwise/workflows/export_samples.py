"""What an exported model is compared on: random input, and a real image where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from normwise.errors import NormwiseError, SurgeryError
from normwise.graph.flatten import flatten
from normwise.inference.formats.exporting import Sample, shortest
from normwise.keras_format.reading import read_graph
from normwise.surgery.differences import COARSE
from normwise.surgery.running import outputs_of
from normwise.surgery.samples import ATTEMPTS, random_inputs
from normwise.training.scaling import scaling_of_model
from normwise.workflows.image_batches import ImageBatches, named
from normwise.workflows.model_images import fill_of, images_of_folder
from normwise.workflows.runs import data_settings

Array = npt.NDArray[Any]
Sizes = Sequence[int] | None


def samples_of(
    model: Any, live: Any, sizes: Sizes, data: str | PathLike[str] | None
) -> tuple[list[Sample], list[str]]:
    """The samples, a real one last, and what to say of them.

    Args:
        model: Whatever names the model.
        live: The live model.
        sizes: Pixels along each axis over space, None for any.
        data: A folder of images, None for that of the model's run.

    Raises:
        SurgeryError: The model can't be run on random input.
        NormwiseError: The folder that is named can't be used.
    """
    drawn = _random(live, sizes)
    real, note = _real(model, live, sizes, data)
    return [drawn, *([real] if real else [])], [note]


def predicted(live: Any, inputs: Sequence[Array]) -> list[Array]:
    """What Keras makes of arrays for all inputs."""
    return outputs_of(live, _structured(live, inputs))


def time_prediction(live: Any, inputs: Sequence[Array]) -> float | None:
    """Seconds of one prediction by Keras.

    None if it can't: TensorFlow traces a model that was run on two sizes for any, and bilinear
    up-sampling of unknown size it can't trace.
    """
    try:
        return shortest(lambda: live.predict_on_batch(_structured(live, inputs)))
    except Exception:
        return None


def _structured(live: Any, inputs: Sequence[Array]) -> Any:
    structure = live.inputs[0] if isinstance(live, keras.Sequential) else live.input
    return keras.tree.pack_sequence_as(structure, list(inputs))


def coarseness(live: Any) -> float:
    """The difference that roundings make in a model which computes in half precision; else 0."""
    types = {spec.dtype for node in flatten(read_graph(live)).nodes for spec in node.outputs}
    return max((COARSE[name] for name in types if name in COARSE), default=0.0)


def described(live: Any) -> list[str]:
    """What the exported file doesn't do by itself."""
    scaling = scaling_of_model(live)
    if scaling is None:
        return []
    return [
        f"takes images scaled by their {scaling.low:g} and {scaling.high:g} percentiles, each "
        "over the whole image: that isn't in the file"
    ]


def _random(live: Any, sizes: Sizes) -> Sample:
    problem: Exception | None = None
    for attempt in range(ATTEMPTS):
        for structure in random_inputs(read_graph(live), live, 0, attempt):
            inputs = [_resized(np.asarray(x), sizes) for x in keras.tree.flatten(structure)]
            try:
                outputs = predicted(live, inputs)
            except Exception as error:
                # Which sizes a network of free size takes is known best by trying.
                problem = problem or error
                continue
            if all(np.isfinite(output).all() for output in outputs):
                return Sample("random", inputs, outputs)
    raise SurgeryError(f"model {live.name!r} can't be run on random input: {problem}")


def _resized(array: Array, sizes: Sizes) -> Array:
    """The same values repeated to another size over space."""
    if sizes is None or array.ndim != len(sizes) + 2:
        return array
    return np.resize(array, (array.shape[0], *sizes, array.shape[-1]))


def _real(
    model: Any, live: Any, sizes: Sizes, data: str | PathLike[str] | None
) -> tuple[Sample | None, str]:
    if data is not None:
        return _of_folder(model, live, sizes, Path(fspath(data)))
    settings = data_settings(model)
    if settings is None:
        return None, "compared on random input; name real images with --data"
    try:
        return _of_folder(model, live, sizes, Path(settings.path))
    except NormwiseError as error:
        return None, f"compared on random input only: {error}"


def _of_folder(model: Any, live: Any, sizes: Sizes, folder: Path) -> tuple[Sample, str]:
    images = images_of_folder(model, live, folder, None, None, None)
    if sizes is not None:
        images = replace(images, tile=tuple(sizes))
    number, tile = next(iter(images.some(1)))
    filled = np.where(np.isnan(tile), np.asarray(fill_of(live, model), np.float32), tile)
    inputs = [filled[None].astype(np.float32)]
    note = f"compared on random input and on {_pixels_of(images, number)}"
    return Sample("real", inputs, predicted(live, inputs)), note


def _pixels_of(images: ImageBatches, number: int) -> str:
    """How much of which image a tile is; beyond a small image's end it is filled."""
    sizes = zip(images.shape_of(number), images.tile, strict=True)
    held = tuple(min(own, full) for own, full in sizes)
    told = f"{_by(held)} pixels of {named(images.files[number])}"
    return told if held == images.tile else f"{told}, filled up to {_by(images.tile)}"


def _by(size: Sequence[int]) -> str:
    return "x".join(map(str, size))

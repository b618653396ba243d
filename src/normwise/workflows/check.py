"""Finding and explaining normalization mistakes in a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normwise.errors import CheckError
from normwise.graph.graph import Graph
from normwise.keras_format.archive import read_keras_version, version_of
from normwise.keras_format.live_compiled import compiled_live
from normwise.keras_format.reading import model_file, read_compiled
from normwise.keras_format.weights_file import WeightsFile
from normwise.memory import without_collection
from normwise.rules import Context
from normwise.rules import check as look
from normwise.workflows.check_data import LIMIT, Data, refuse_without_data
from normwise.workflows.check_training import Told
from normwise.workflows.models import graph_named, is_callable_name, live_model

if TYPE_CHECKING:
    from normwise.rules import Report, Weights


def check(  # noqa: PLR0913 - all that may be known of a model, each by name
    model: Any,
    *,
    batch_size: int | None = None,
    samples: int | None = None,
    epochs: int | None = None,
    loss: Any = None,
    replicas: int = 1,
    accumulation: int | None = None,
    optimizer: Mapping[str, Any] | Any = None,
    data: Any = None,
    new_data: bool | None = None,
    limit: int = LIMIT,
    nodata: float | None = None,
    bands: Sequence[int] | None = None,
    tile: int | None = None,
    progress: bool = True,
) -> Report:
    """Finds normalization mistakes in a model, and says why they are mistakes.

    Files are read without loading Keras, and nothing in them runs, unless there are data: then the
    model is loaded and run on some of them. It isn't changed.

    Args:
        model: A live functional or Sequential model, the path of a `.keras`, `.h5` or `.json` file,
            a run folder, or `"package.module:callable"`, which imports that module.
        batch_size: Samples of a training batch, over all replicas.
        samples: Training samples of an epoch.
        epochs: Their number.
        loss: Name of the loss, such as `"mse"`, a Keras loss or a function: whether the one output
            is an embedding or a prediction (`norm-on-output`). It, `accumulation` and `optimizer`
            are by default what the model was compiled with.
        replicas: Devices that share a batch.
        accumulation: Batches whose gradients are added before a step.
        optimizer: Settings of the optimizer in Keras' names, such as `weight_decay`; or a live
            Keras optimizer.
        data: Raw input that the model was trained on, or is used on: a data folder or a folder of
            images, an array of samples, or batches as for `recalibrate`, in their order.
        new_data: Whether the data are not of the training, but from where the model is used; by
            default a run folder tells, or the model's own scaling of its input.
        limit: Samples that are looked at, at most.
        nodata: The value of missing pixels beside NaN; for a folder by default the run's, and
            beside what each file says itself.
        bands: For a folder: channels to use, from 0; by default those of the run.
        tile: For a folder: rows and columns of a sample; by default the model's fixed size, the
            run's patches, or 256 (48 for volumes), and no more than the first image has.
        progress: With data, say how it goes: a bar on a terminal, lines elsewhere.

    Returns:
        The findings, the worst first. What the rules can't decide isn't reported; what is left out
        of the training set-up only silences the rules that need it.

    Raises:
        ModelReadError: The model can't be read.
        CheckError: An impossible training set-up, or settings of data without data.
        DataError, NetworkError: The data can't be used, or don't fit the model.

    Example:
        ```python
        for finding in nw.check("model.keras", batch_size=8).findings:
            print(finding.severity, finding.name, finding.message)
        ```
    """
    told = Told(batch_size, samples, epochs, loss, replicas, accumulation, optimizer)
    refuse_without_data(data, new_data, limit, nodata, bands, tile)
    on = None if data is None else Data(data, new_data, limit, nodata, bands, tile, progress)
    if isinstance(model, Graph):
        if on is not None:
            raise CheckError("check: data need a model with weights; a graph has none.")
        return look(Context(model, training=told.training()))
    if not isinstance(model, (str, PathLike)) or is_callable_name(model):
        return _check_live(model, live_model(model), told, on)
    path = model_file(model)
    if on is None:
        with without_collection():
            return _check_file(model, path, told, None, None)
    return _check_file(model, path, told, live_model(path), on)


def _check_file(model: Any, path: Path, told: Told, live: Any, data: Data | None) -> Report:
    graph, compiled = read_compiled(path)
    training = told.training(compiled)
    with _weights(path) as weights:
        context = Context(graph, weights, training, read_keras_version(path), written=True)
        return look(_with_live(context, model, live, data))


def _check_live(model: Any, live: Any, told: Told, data: Data | None) -> Report:
    graph = graph_named(model, live)
    training = told.training(compiled_live(live), exact=True)
    from normwise.keras_format.live_weights import LiveWeights  # noqa: PLC0415 - needs Keras

    context = Context(graph, LiveWeights(live), training, running_keras())
    return look(_with_live(context, model, live, data))


def _with_live(context: Context, model: Any, live: Any, data: Data | None) -> Context:
    """What a live model tells beside its graph: what training moves, and what data show."""
    if live is None:
        return context
    from normwise.probes.state_change import TriedState  # noqa: PLC0415 - needs Keras

    found = None
    if data is not None:
        from normwise.workflows.measuring import measured  # noqa: PLC0415 - needs Keras

        found = measured(model, live, data, context.training.batch_size)
    return replace(context, measured=found, live=TriedState(live, context.model))


def running_keras() -> tuple[int, ...]:
    """The version of the Keras that is loaded, or would be."""
    import keras  # noqa: PLC0415 - loaded already, with the live model

    return version_of(keras.__version__) or ()


def _weights(path: Path) -> AbstractContextManager[Weights | None]:
    return nullcontext() if path.suffix.lower() == ".json" else WeightsFile(path)

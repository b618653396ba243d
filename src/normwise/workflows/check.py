"""Finding and explaining normalization mistakes in a model."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normwise.errors import CheckError
from normwise.graph.graph import Graph
from normwise.keras_format.archive import read_keras_version, version_of
from normwise.keras_format.reading import model_file, read_graph
from normwise.keras_format.weights_file import WeightsFile
from normwise.rules import Context, Training
from normwise.rules import check as look
from normwise.workflows.models import is_callable_name, live_model

if TYPE_CHECKING:
    from normwise.rules import Report, Weights


def check(
    model: Any,
    *,
    batch_size: int | None = None,
    samples: int | None = None,
    epochs: int | None = None,
    loss: str | None = None,
    replicas: int = 1,
    accumulation: int = 1,
    optimizer: Mapping[str, Any] | None = None,
) -> Report:
    """Finds normalization mistakes in a model, and says why they are mistakes.

    Files are read without loading Keras, and nothing in them runs.

    Args:
        model: A live functional or Sequential model, the path of a `.keras`, `.h5` or `.json` file,
            a run folder, or `"package.module:callable"`, which imports that module.
        batch_size: Samples of a training batch, over all replicas.
        samples: Training samples of an epoch.
        epochs: Their number.
        loss: Name of the loss.
        replicas: Devices that share a batch.
        accumulation: Batches whose gradients are added before a step.
        optimizer: Settings of the optimizer in Keras' names, such as `weight_decay`.

    Returns:
        The findings, the worst first. What the rules can't decide isn't reported; what is left out
        of the training set-up only silences the rules that need it.

    Raises:
        ModelReadError: The model can't be read.
        CheckError: An impossible training set-up.

    Example:
        ```python
        for finding in nw.check("model.keras", batch_size=8).findings:
            print(finding.severity, finding.name, finding.message)
        ```
    """
    training = _training(batch_size, samples, epochs, loss, replicas, accumulation, optimizer)
    if isinstance(model, Graph):
        return look(Context(model, training=training))
    if not isinstance(model, (str, PathLike)) or is_callable_name(model):
        return _check_live(live_model(model), training)
    path = model_file(model)
    graph = read_graph(path)
    with _weights(path) as weights:
        return look(Context(graph, weights, training, read_keras_version(path), written=True))


def _check_live(model: Any, training: Training) -> Report:
    graph = read_graph(model)
    from normwise.keras_format.live_weights import LiveWeights  # noqa: PLC0415 - needs Keras

    return look(Context(graph, LiveWeights(model), training, _running_keras()))


def _running_keras() -> tuple[int, ...]:
    import keras  # noqa: PLC0415 - loaded already, with the live model

    return version_of(keras.__version__) or ()


def _weights(path: Path) -> AbstractContextManager[Weights | None]:
    return nullcontext() if path.suffix.lower() == ".json" else WeightsFile(path)


def _training(
    batch_size: int | None,
    samples: int | None,
    epochs: int | None,
    loss: str | None,
    replicas: int,
    accumulation: int,
    optimizer: Mapping[str, Any] | None,
) -> Training:
    counts = {
        "batch_size": batch_size, "samples": samples, "epochs": epochs,
        "replicas": replicas, "accumulation": accumulation,
    }  # fmt: skip
    for name, count in counts.items():
        if count is not None and (
            isinstance(count, bool) or not isinstance(count, int) or count < 1
        ):
            raise CheckError(f"check: {name} is {count!r}; expected a whole number, 1 or more.")
    return Training(
        batch_size,
        samples,
        epochs,
        loss=loss,
        optimizer=optimizer or {},
        replicas=replicas,
        accumulation=accumulation,
    )

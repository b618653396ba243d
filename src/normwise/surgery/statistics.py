"""Exact population statistics of what batch normalizations read.

Training leaves moving averages of the statistics of batches, each normalized by its own. What a
network needs in inference is the mean and variance over all data, of inputs that earlier norms
have normalized by *their* population statistics (Wu & Johnson 2021, "Rethinking Batch in
BatchNorm", section 3). Here they are: pooled in float64 over all batches, the variance of the
batches' means included, one pass over the data for each depth of norms.

The fast mode normalizes each batch by its own statistics, with everything else in inference mode,
and pools what it sees in a single pass. For one batch the two modes agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from normwise.errors import NormwiseError, SurgeryError
from normwise.graph.flatten import flatten
from normwise.keras_format.paths import layers_by_path
from normwise.keras_format.reading import read_graph
from normwise.surgery.batches import Batches
from normwise.surgery.depth import levels_of
from normwise.surgery.passes import Passes
from normwise.surgery.population import Measured, MeasureSettings, Population

FAST = ", or take the fast mode (fast=True)"
"""What else would help where batches can be read only once."""


def batch_norms(model: Any) -> dict[str, Any]:
    """The batch normalizations of a model by their paths, each once, however often it is called.

    Those inside nested models and inside other layers are among them; classes that users made from
    them are not, which may compute something else, nor are those without weights, which a layer
    made and has never called.
    """
    return _each_once(model, _is_batch_norm)


def derived_batch_norms(model: Any) -> dict[str, Any]:
    """The layers of classes that users made from batch normalization, likewise."""
    import keras  # noqa: PLC0415 - after the backend is chosen

    kind = keras.layers.BatchNormalization
    return _each_once(model, lambda layer: isinstance(layer, kind) and not _is_batch_norm(layer))


def _is_batch_norm(layer: Any) -> bool:
    kind = type(layer)
    own = kind.__module__.partition(".")[0] == "keras"
    return own and kind.__name__ in {"BatchNormalization", "SyncBatchNormalization"}


def _each_once(model: Any, wanted: Callable[[Any], bool]) -> dict[str, Any]:
    found: dict[int, str] = {}
    layers = layers_by_path(model)
    for path, layer in layers.items():
        if layer.built and wanted(layer):
            found.setdefault(id(layer), path)
    return {path: layers[path] for path in found.values()}


def population_statistics(
    model: Any,
    batches: Any,
    layers: Sequence[str] | None = None,
    settings: MeasureSettings | None = None,
    instead: str = FAST,
) -> Measured:
    """Statistics that batch normalizations should hold, each consistent with those before it.

    The model is not changed; `apply_statistics` does that. In the exact mode every norm reads
    what comes from norms that already use their new statistics. Positions that a Keras mask hides
    and pixels without measurement are left out (`surgery.validity` says which features those
    are).

    Args:
        model: A live functional or Sequential model.
        batches: Arrays of raw input, batch axis first (or the structure of arrays that the model
            takes), in something that can be iterated again; or one array of all samples. In the
            fast mode an iterator will do.
        layers: Paths of the batch normalizations; None: all. The others stay as they are.
        settings: Exact or fast, missing values, progress.
        instead: What else would help where `batches` can be read only once, for the message.

    Returns:
        The statistics of each layer; of those that are never called only their paths.

    Raises:
        DataError: The batches don't fit the model, can't be iterated again, hold nothing valid,
            or lead to values that are no numbers.
        NormwiseError: No such batch normalization, or one that can't be looked at.
        ModelReadError: The model has no graph.

    Example:
        ```python
        found = population_statistics(model, [images[:8], images[8:16]])
        apply_statistics(model, found.statistics)
        ```
    """
    settings = settings or MeasureSettings()
    norms = batch_norms(model)
    chosen = list(norms) if layers is None else _existing(layers, norms)
    graph = flatten(read_graph(model))
    read = Batches(model, graph, batches, settings.missing, settings.fast, instead)
    passes = Passes(model, read, {path: norms[path] for path in chosen}, norms, settings.track)
    if settings.fast:
        return passes.fast()
    paths = {id(layer): path for path, layer in norms.items()}
    same = {p: paths[id(x)] for p, x in layers_by_path(model).items() if id(x) in paths}
    return passes.exact(levels_of(graph, chosen, same))


def input_statistics(
    model: Any, batches: Any, layers: Sequence[str], settings: MeasureSettings | None = None
) -> Measured:
    """Statistics of what layers of any class read, in a model that stays as it is: one pass.

    Args:
        model: A live functional or Sequential model.
        batches: As for `population_statistics`; an iterator will do.
        layers: Paths of layers. The channels are on the layer's `axis` if it names a single one,
            on axis 1 if its `data_format` is `channels_first`, else on the last.
        settings: Missing values and progress; `fast` means nothing here.

    Returns:
        The statistics of each layer's first argument.

    Raises:
        DataError, NormwiseError, ModelReadError: As `population_statistics`.
    """
    settings = settings or MeasureSettings()
    everything = layers_by_path(model)
    chosen = {path: everything[path] for path in _existing(layers, everything)}
    graph = flatten(read_graph(model))
    read = Batches(model, graph, batches, settings.missing, once=True)
    return Passes(model, read, chosen, batch_norms(model), settings.track).inputs()


def apply_statistics(model: Any, statistics: Mapping[str, Population]) -> None:
    """Writes statistics into batch normalizations; gamma and beta stay.

    Renormalization's own averages are set to the same population.

    Args:
        model: The live model.
        statistics: From paths to statistics, as `population_statistics` gives them.

    Raises:
        NormwiseError: No such batch normalization.
        SurgeryError: One has no room for its statistics; none is changed then.
    """
    norms = batch_norms(model)
    for path in _existing(list(statistics), norms):
        _refuse_too_large(path, norms[path], statistics[path])
    for path in _existing(list(statistics), norms):
        layer, found = norms[path], statistics[path]
        layer.moving_mean.assign(found.mean.astype(np.float32))
        layer.moving_variance.assign(found.variance.astype(np.float32))
        if getattr(layer, "renorm", False):
            deviation = np.sqrt(found.variance + layer.epsilon).astype(np.float32)
            layer.moving_stddev.assign(deviation)
            layer.renorm_mean.assign(found.mean.astype(np.float32))
            layer.renorm_stddev.assign(deviation)


def _refuse_too_large(path: str, layer: Any, found: Population) -> None:
    """A policy that keeps weights in float16 would keep them as infinite."""
    largest = max(float(np.abs(found.mean).max()), float(found.variance.max()))
    if layer.variable_dtype == "float16" and largest > np.finfo("float16").max:
        raise SurgeryError(
            f"layer {path!r} keeps its statistics in float16, which has no numbers above 65504, "
            f"and of what it reads a mean or variance is {largest:.3g}. Give the layer the policy "
            "mixed_float16, which keeps them in float32, or scale its input."
        )


def _existing(wanted: Sequence[str], known: Mapping[str, Any]) -> list[str]:
    for path in wanted:
        if path not in known:
            raise NormwiseError(
                f"the model has no layer {path!r} here; expected one of "
                f"{', '.join(list(known)[:10]) or 'none at all'}"
                f"{', ...' if len(known) > 10 else ''}."
            )
    return list(wanted)

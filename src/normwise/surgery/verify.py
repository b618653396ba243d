"""Whether a rewrite keeps its promise: outputs compared under randomized normalizations.

Fresh normalizations are the identity up to a constant, and hide nearly every mistake; so moving
statistics, gammas and betas of the source are randomized first (only in the comparison: the source
is called with other values in their place), and the copy's weights are made from these by the same
rules as later from the real ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from normwise.errors import PromiseError, SurgeryError
from normwise.graph.catalogue import NORM_CLASSES
from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph
from normwise.keras_format.live import live_calls, probe
from normwise.keras_format.replay import Replayed
from normwise.keras_format.weights import Array, Weights
from normwise.surgery.samples import random_inputs, without_optional

TOLERANCE = 1e-5
"""Largest difference that counts as kept, as a share of an output's largest value (float32)."""

COARSE = {"float16": 2e-2, "bfloat16": 1e-1}
"""The same for models that compute in half precision: some dozens of roundings."""


@dataclass(frozen=True)
class Verification:
    """The result of a comparison.

    Attributes:
        difference: Largest difference of an output, as a share of that output's largest value.
        tolerance: What would be kept.
        layer: Path of the first layer whose result differs by more, None if the promise is kept.
    """

    difference: float
    tolerance: float
    layer: str | None = None

    @property
    def kept(self) -> bool:
        """Whether the outputs are the same."""
        return self.difference <= self.tolerance


def verify(graph: Graph, source: Any, copy: Replayed, seed: int = 0) -> Verification:
    """Compares all outputs of a model and its rewritten copy in inference.

    The copy's weights are those of the randomized source meanwhile, and the real ones at the end.

    Args:
        graph: The source's graph.
        source: The source model; its variables are not touched.
        copy: The rewritten copy.
        seed: For inputs and randomized weights.

    Raises:
        SurgeryError: The source itself can't be run on random inputs, or yields no numbers.
    """
    return _compared(graph, source, copy, randomized(copy.sources, seed), seed)


def verify_as_it_is(graph: Graph, source: Any, copy: Replayed, seed: int = 0) -> Verification:
    """Compares a model and its rewritten copy with the weights that they have.

    For rewrites that depend on the weights' values; see `verify` for the rest.
    """
    return _compared(graph, source, copy, {}, seed)


def verify_plain_copy(graph: Graph, source: Any, copy: Replayed, seed: int = 0) -> list[str]:
    """Compares a model and its copy without any edit, for rewrites that change the outputs.

    What a copy loses, such as a setting that `get_config()` forgets, would hide in that change.

    Args:
        graph: The source's graph.
        source: The source model; its variables are not touched.
        copy: The source replayed as it is.
        seed: For inputs and randomized weights.

    Returns:
        Notes for the report: why nothing could be compared, if so.

    Raises:
        PromiseError: The copy computes something else.
    """
    try:
        found = verify(graph, source, copy, seed)
        if found.kept:
            return []
        steady = _is_steady(graph, source, seed)
    except SurgeryError as error:
        return [f"the copy was not compared with its source: {error}"]
    if not steady:
        return ["the copy was not compared with its source, which gives other outputs each time"]
    raise PromiseError(
        f"model {source.name!r}: a copy of it without any edit differs by {found.difference:.2g} "
        f"of its largest value, first at layer {found.layer!r}: the copy is wrong, apart from "
        "outputs that should change. Have get_config() of the layer's class return every argument "
        "of its constructor."
    )


def _is_steady(graph: Graph, source: Any, seed: int) -> bool:
    """Whether the source gives the same outputs twice; a layer may draw numbers of its own."""
    inputs, first = _runnable(graph, source, {}, seed)
    return _difference(first, _outputs(source, inputs, {})) <= _tolerance(graph)


def _compared(
    graph: Graph, source: Any, copy: Replayed, replaced: Mapping[int, Array], seed: int
) -> Verification:
    inputs, expected = _runnable(graph, source, replaced, seed)
    cases = [(inputs, expected)]
    fewer = without_optional(graph, source, inputs)
    if fewer is not None:
        cases.append((fewer, _outputs(source, fewer, replaced)))
    tolerance = _tolerance(graph)
    try:
        copy.transfer(Weights(copy.sources, replaced))
        worst = 0.0
        for given, wanted in cases:
            found = _outputs(copy.model, given, {})
            difference = _difference(wanted, found)
            worst = max(worst, difference)
            if not difference <= tolerance:
                layer = _first_difference(source, copy, given, replaced, tolerance)
                return Verification(difference, tolerance, layer or "the output")
        return Verification(worst, tolerance)
    finally:
        copy.transfer(Weights(copy.sources))


def randomized(layers: Mapping[str, Any], seed: int) -> dict[int, Array]:
    """Other statistics and affine parameters for every normalization, by the variable's `id`.

    They stay in the order of magnitude of the real ones, so that deep networks don't overflow.
    """
    rng = np.random.default_rng(seed)
    found: dict[int, Array] = {}
    weights = Weights(layers)
    for path, layer in layers.items():
        if type(layer).__name__ not in NORM_CLASSES - {"Normalization"}:
            continue
        values = weights.of(path)
        spread = np.sqrt(np.abs(values.get("moving_variance", np.float32(1))))
        for variable in layer.variables:
            value = values[variable.name]
            found[id(variable)] = _other(variable.name, value, spread, rng).astype(value.dtype)
    return found


def _other(name: str, value: Array, spread: Array, rng: np.random.Generator) -> Array:
    noise = rng.normal(size=value.shape)
    if "variance" in name or "stddev" in name:
        return np.asarray((value + 1e-3) * rng.uniform(0.5, 2.0, value.shape))
    if "mean" in name:
        return np.asarray(value + 0.3 * spread * noise)
    if name in ("gamma", "scale"):
        return np.asarray(value * rng.uniform(0.7, 1.4, value.shape) + 0.05 * noise)
    if name == "beta":
        return np.asarray(value + 0.2 * noise)
    return value


def _runnable(
    graph: Graph, source: Any, replaced: Mapping[int, Array], seed: int
) -> tuple[Any, list[Array]]:
    """Inputs that the source can compute with, and what it makes of them."""
    problem: Exception | None = None
    for inputs in random_inputs(graph, source, seed):
        try:
            outputs = _outputs(source, inputs, replaced)
        except Exception as error:
            # Which sizes a network of free size takes is known best by trying.
            problem = error
            continue
        if all(np.isfinite(output).any() for output in outputs):
            return inputs, outputs
        problem = ValueError("its outputs are not finite")
    first = next((line for line in str(problem).splitlines() if line.strip()), str(problem))
    raise SurgeryError(
        f"{graph.source or graph.name}: the model can't be run on random inputs, so nothing can "
        f"be verified: {first.strip()}"
    )


def _outputs(model: Any, inputs: Any, replaced: Mapping[int, Array]) -> list[Array]:
    """All outputs of a model in inference, with other values for some variables."""
    import keras  # noqa: PLC0415

    # A random layer moves its seed on at each call, a stateful one its state: neither may change
    # the model, nor differ between the two calls of a comparison.
    values = [
        [replaced.get(id(v), v.value) for v in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    ]
    outputs, _ = model.stateless_call(*values, inputs, training=False)
    return [
        np.asarray(keras.ops.convert_to_numpy(output)) for output in keras.tree.flatten(outputs)
    ]


def _difference(wanted: list[Array], found: list[Array]) -> float:
    return max((_one_difference(a, b) for a, b in zip(wanted, found, strict=True)), default=0.0)


def _one_difference(wanted: Array, found: Array) -> float:
    if wanted.shape != found.shape:
        return float("inf")
    a, b = wanted.astype("float64"), found.astype("float64")
    finite = np.isfinite(a)
    if not np.array_equal(finite, np.isfinite(b)):
        return float("inf")
    if not finite.any():
        return 0.0
    largest = np.abs(a[finite]).max()
    return float(np.abs(a[finite] - b[finite]).max() / (largest or 1.0))


def _tolerance(graph: Graph) -> float:
    dtypes = {spec.dtype for node in flatten(graph).nodes for spec in node.outputs}
    return max([TOLERANCE, *(COARSE[d] for d in dtypes if d in COARSE)])


def _first_difference(
    source: Any,
    copy: Replayed,
    inputs: Any,
    replaced: Mapping[int, Array],
    tolerance: float,
) -> str | None:
    """The first call, in the source's order, that exists in both and differs."""
    ours, theirs = live_calls(copy.model), live_calls(source)
    names = [
        name
        for name, call in theirs.items()
        if name in ours
        and call.arguments.keras_tensors
        and call.operation.name not in copy.rules
        and call.operation.name not in copy.changed
    ]
    if not names:
        return None
    before = _outputs(probe(source, names), inputs, replaced)
    after = _outputs(probe(copy.model, names), inputs, {})
    for name, a, b in zip(names, before, after, strict=True):
        if not _one_difference(a, b) <= tolerance:
            return name
    return None

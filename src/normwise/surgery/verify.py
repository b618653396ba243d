"""Whether a rewrite keeps its promise: outputs compared under randomized normalizations.

Fresh normalizations are the identity up to a constant, and hide nearly every mistake; so moving
statistics, gammas and betas of the source are randomized first (only in the comparison: the source
is called with other values in their place), and the copy's weights are made from these by the same
rules as later from the real ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from normwise.errors import PromiseError, SurgeryError
from normwise.graph.catalogue import NORM_CLASSES, activation_of
from normwise.graph.channels import output_channel_axis
from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph
from normwise.keras_format.paths import layers_by_path
from normwise.keras_format.replayed import Replayed
from normwise.keras_format.weights import Array, Weights
from normwise.surgery.differences import (
    COARSE,
    TOLERANCE,
    channel_difference,
    is_constant,
    one_difference,
    whole_difference,
)
from normwise.surgery.inner import Inner, compared_inside
from normwise.surgery.running import Pair, outputs_of
from normwise.surgery.samples import ATTEMPTS, SPREADS, random_inputs, without_optional

STRENGTHS = (1.0, 0.3, 0.1)
"""How far normalizations are randomized, one after the other until outputs are the same: under
others, what a deep network computes may grow so much that rounding alone shows, as in
EfficientNetB4. A mistake shows with the mildest, too."""


@dataclass(frozen=True)
class Verification:
    """The result of a comparison.

    Attributes:
        difference: Largest difference of an output, as a share of that output's largest value; of
            one of whole numbers the share of those that differ.
        tolerance: What would be kept.
        layer: Path of the first layer whose result differs by more, None if the promise is kept.
        notes: What the comparison doesn't prove, for reports.
    """

    difference: float
    tolerance: float
    layer: str | None = None
    notes: tuple[str, ...] = ()

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
    for strength in STRENGTHS:
        replaced = randomized(copy.sources, seed, strength)
        touched = copy.replace(replaced)
        try:
            found = compared(Pair(graph, source, copy, replaced), seed)
        finally:
            copy.transfer(Weights(copy.sources), touched)
        if found.kept:
            break
    return found


def compared(pair: Pair, seed: int = 0) -> Verification:
    """Compares a model and its rewritten copy with the weights that the copy has.

    Args:
        pair: The two.
        seed: For the inputs.

    Raises:
        SurgeryError: As for `verify`.
    """
    tolerance = tolerance_of(pair.graph, pair.source)
    inputs, expected = runnable(pair.graph, pair.source, seed, pair.replaced)
    worst, told = 0.0, dict[str, None]()
    for given, wanted in _cases(pair, inputs, expected):
        found = _compared(pair, given, wanted, tolerance)
        if not found.kept:
            return found
        worst = max(worst, found.difference)
        told |= dict.fromkeys(found.notes)
    constant = [i for i, output in enumerate(expected) if is_constant(output, tolerance)]
    if not constant:
        return Verification(worst, tolerance, notes=tuple(told))
    inner = compared_inside(pair, inputs, constant, tolerance)
    notes = (*told, *(_note(pair.source, index, inner) for index in constant))
    return Verification(max(worst, inner.difference), tolerance, inner.layer, notes)


def compared_on(pair: Pair, inputs: Any) -> Verification:
    """The same on given inputs, such as data: whether outputs vary isn't looked at."""
    return _compared(pair, inputs, pair.wanted(inputs), tolerance_of(pair.graph, pair.source))


def _compared(pair: Pair, inputs: Any, wanted: list[Array], tolerance: float) -> Verification:
    found = pair.found(inputs)
    differences = _differences(pair, wanted, found)
    decided = [whole_difference(a, b) for a, b in zip(wanted, found, strict=True)]
    notes = tuple(
        f"{_named(pair.source, index)} is of whole numbers, {share:.1g} of which differ: where "
        "roundings decide on them, either is right"
        for index, share in enumerate(decided)
        if share
    )
    differences = [
        d if share is None else share for d, share in zip(differences, decided, strict=True)
    ]
    wrong = [i for i, difference in enumerate(differences) if not difference <= tolerance]
    layer = None
    if wrong:
        layer = _first_difference(pair, inputs, tolerance) or _made_by(pair.graph, wrong[0])
    return Verification(max(differences, default=0.0), tolerance, layer, notes)


def _cases(pair: Pair, inputs: Any, expected: list[Array]) -> Iterator[tuple[Any, list[Array]]]:
    yield inputs, expected
    fewer = without_optional(pair.graph, pair.source, inputs)
    if fewer is not None:
        yield fewer, pair.wanted(fewer)


def _note(source: Any, index: int, inner: Inner) -> str:
    said = (
        f"{_named(source, index)} is the same for all inputs that were tried, so it proves nothing"
    )
    if not inner.layers:
        return f"{said} of the layers that lead to it"
    first, more = inner.layers[0], len(inner.layers) - 1
    others = f" and {more} more" if more else ""
    return f"{said} itself; what {first!r}{others} before it read and made was compared instead"


def _named(source: Any, index: int) -> str:
    names = getattr(source, "output_names", None)
    return f"output {names[index]!r}" if names else "the output"


def verify_plain_copy(graph: Graph, source: Any, copy: Replayed, seed: int = 0) -> list[str]:
    """Compares a model and its copy without any edit, for rewrites that change the outputs.

    What a copy loses, such as a setting that `get_config()` forgets, would hide in that change.

    Args:
        graph: The source's graph.
        source: The source model; its variables are not touched.
        copy: The source replayed as it is.
        seed: For inputs and randomized weights.

    Returns:
        Notes for the report: why nothing could be compared, or what that doesn't prove.

    Raises:
        PromiseError: The copy computes something else.
    """
    try:
        found = verify(graph, source, copy, seed)
        if found.kept:
            return list(found.notes)
        steady = _is_steady(Pair(graph, source, copy), seed)
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


def _is_steady(pair: Pair, seed: int) -> bool:
    """Whether the source gives the same outputs twice; a layer may draw numbers of its own."""
    inputs, first = runnable(pair.graph, pair.source, seed, pair.replaced)
    again = _differences(pair, first, pair.wanted(inputs))
    return max(again, default=0.0) <= tolerance_of(pair.graph, pair.source)


def randomized(layers: Mapping[str, Any], seed: int, strength: float = 1.0) -> dict[int, Array]:
    """Other statistics and affine parameters for every normalization, by the variable's `id`.

    They stay in the order of magnitude of the real ones, so that deep networks don't overflow.

    Args:
        layers: The source's layers by path.
        seed: For the random numbers.
        strength: Of the change; 0 would leave what is there.
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
            other = _other(variable.name, value, spread, rng, strength)
            found[id(variable)] = other.astype(value.dtype)
    return found


def _other(
    name: str, value: Array, spread: Array, rng: np.random.Generator, strength: float
) -> Array:
    noise = strength * rng.normal(size=value.shape)
    if "variance" in name or "stddev" in name:
        factor = rng.uniform(0.5, 2.0, value.shape) ** strength
        return np.asarray((value + 1e-3 * strength) * factor)
    if "mean" in name:
        return np.asarray(value + 0.3 * spread * noise)
    if name in ("gamma", "scale"):
        return np.asarray(value * rng.uniform(0.7, 1.4, value.shape) ** strength + 0.05 * noise)
    if name == "beta":
        return np.asarray(value + 0.2 * noise)
    return value


def runnable(
    graph: Graph, source: Any, seed: int = 0, replaced: Mapping[int, Array] | None = None
) -> tuple[Any, list[Array]]:
    """Inputs that a model can compute with, and what it makes of them.

    The first of which no output is constant, if there are any. Positive ones only where no others
    make finite outputs.

    Args:
        graph: The model's graph.
        source: The live model.
        seed: For the inputs.
        replaced: As for `Pair`.

    Raises:
        SurgeryError: There are none.
    """
    problem: Exception | None = None
    first: tuple[Any, list[Array]] | None = None
    tolerance = tolerance_of(graph, source)
    for attempt in range(ATTEMPTS):
        if attempt >= len(SPREADS) and first is not None:
            break
        for inputs in random_inputs(graph, source, seed, attempt):
            try:
                outputs = outputs_of(source, inputs, replaced)
            except Exception as error:
                # Which sizes a network of free size takes is known best by trying.
                problem = problem or error
                continue
            if not all(np.isfinite(output).any() for output in outputs):
                problem = problem or ValueError("its outputs are not finite")
                continue
            if not any(is_constant(output, tolerance) for output in outputs):
                return inputs, outputs
            first = first or (inputs, outputs)
            break  # at another size it would be as constant
    if first is not None:
        return first
    line = next((line for line in str(problem).splitlines() if line.strip()), str(problem))
    raise SurgeryError(
        f"{graph.source or graph.name}: the model can't be run on random inputs, so "
        f"nothing can be verified: {line.strip()}"
    )


def _differences(pair: Pair, wanted: list[Array], found: list[Array]) -> list[float]:
    if (
        tolerance_of(pair.graph, pair.source) > TOLERANCE
    ):  # small channels have no digits to compare then
        return [one_difference(a, b) for a, b in zip(wanted, found, strict=True)]
    flat = flatten(pair.graph)
    axes = [output_channel_axis(flat, tensor.node) for tensor in flat.output_tensors]
    return [channel_difference(*each) for each in zip(wanted, found, axes, strict=True)]


def _made_by(graph: Graph, output: int) -> str:
    """The call that makes an output of a model."""
    return graph.nodes[graph.output_tensors[output].node].name


def tolerance_of(graph: Graph, source: Any) -> float:
    """How far outputs of a copy may be apart, as a share of the largest value; see `differences`.

    That of the coarsest type in which anything is computed with weights, or of what they make.
    What is computed of the input alone, in whatever type, is the same in both.

    Args:
        graph: The source's graph.
        source: The live source.
    """
    flat, layers = flatten(graph), layers_by_path(source)
    learned: set[int] = set()
    for index, node in enumerate(flat.nodes):
        layer = layers.get(node.layer)
        if (layer is not None and layer.variables) or learned & set(flat.producers[index]):
            learned.add(index)
    dtypes = {spec.dtype for index in learned for spec in flat.nodes[index].outputs}
    return max([TOLERANCE, *(COARSE[d] for d in dtypes if d in COARSE)])


def _first_difference(pair: Pair, inputs: Any, tolerance: float) -> str | None:
    """The first call, in the source's order, that means the same in both and differs."""
    names = [name for name in pair.same_calls() if pair.everywhere or _bends(pair.graph, name)]
    if not names:
        return None
    results = pair.inside(names, inputs)
    for difference in (one_difference, channel_difference):
        for name, (a, b) in zip(names, results, strict=True):
            if not difference(a, b) <= tolerance:
                return name
    return None


def _bends(graph: Graph, call: str) -> bool:
    """Whether a call applies an activation: what is folded never reaches beyond one."""
    index = graph.index.get(call)
    return index is not None and activation_of(graph.nodes[index]) is not None

"""Takes out a normalization that the plan doesn't name, or that is a mistake.

Before: `norm(linear(x))`. After: `linear'(x)` where outputs are kept, `linear(x)` where they
needn't be.

Algebra: in inference a batch normalization is `s * y + t` for each channel, with s = gamma /
sqrt(moving_variance + epsilon) and t = beta - s * moving_mean. The linear layer before it takes
that over: its kernel is scaled along its output channels, its bias b becomes s * b + t. So does a
batch normalization before it: gamma becomes s * gamma, beta s * beta + t.

Conditions: where outputs must be kept, a batch normalization over the channels that reads a
convolution or dense layer without an activation, or another batch normalization, which nothing
else reads. One that is called several times goes from all of its calls, each behind a call of the
same layer, which takes it over once. Neither may have its activity regularized: the penalty would
be that of other numbers. One that reads whole numbers always stays: its readers need floats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from normwise.graph.catalogue import activation_of, regularizes_activity
from normwise.graph.channels import output_channel_axis
from normwise.graph.graph import Node
from normwise.keras_format.weights import LayerWeights, Weights
from normwise.surgery.algebra import Doubles, batch_norm_affine, folded_after
from normwise.surgery.passing import is_keras, makes_floats
from normwise.surgery.rewrite import Change
from normwise.surgery.routes import KINDS, is_linear
from normwise.surgery.sites import Site, penalty_moves
from normwise.surgery.work import Step, Work


def check(work: Work, site: Site) -> str | None:
    """Why the normalization can't be taken out, None if it can."""
    norm = site.edit.norm
    assert norm is not None
    floats = makes_floats(work.flat.spec(work.flat.nodes[norm].inputs[0]))
    return floats or (_loss(work, norm) if work.settings.keep else None)


def _loss(  # noqa: PLR0911 - one reason, one return
    work: Work, norm: int
) -> str | None:
    """Why outputs can't be kept."""
    flat, node = work.flat, work.flat.nodes[norm]
    if not _is_batch_norm(node):
        return f"taking out a {node.class_name} changes the outputs"
    before = flat.producers[norm][0]
    read, taker = flat.nodes[before], flat.nodes[work.takers.get(before, before)]
    if any(map(work.levels.in_training, flat.calls[node.layer])):
        return "it is called in training mode, so it normalizes by each batch"
    if not all(_takes(work, call) for call in flat.calls[taker.layer]):
        return f"it can't be folded into {read.name}, so taking it out changes the outputs"
    if not _computes_with_its_kernel(taker):
        return f"{taker.name} is quantized or adapted by LoRA, so its kernel can't take it over"
    pairs = zip(flat.calls[read.layer], flat.calls[node.layer], strict=False)
    alone = len(flat.calls[read.layer]) == len(flat.calls[node.layer]) and all(
        work.immediate(a) == {b} for a, b in pairs
    )
    if not alone:
        return f"{read.name} is also read by others, so it can't be folded into it"
    if taker.layer in work.shared:
        return f"{taker.name} stands elsewhere in the model too, so it can't be folded into it"
    staying = len(set(flat.calls[node.layer]) - work.leaving)
    if staying:
        return (
            f"it is called {len(flat.calls[node.layer])} times and stays at {staying} of them, "
            f"where {taker.layer} must not do its work"
        )
    regularized = next(filter(regularizes_activity, (taker, node)), None)
    if regularized is not None:
        return penalty_moves(regularized)
    constraint = next(
        (k for k in taker.config if k.endswith("_constraint") and taker.config[k]), ""
    )
    if constraint:
        return f"{taker.name} has a {constraint}, which would undo it in the first training step"
    shape = read.shape
    if shape is None:
        return f"the number of channels of {read.name} is not known"
    axis = node.config.get("axis", -1)
    own = (
        taker.config.get("axis", -1) if _is_batch_norm(taker) else output_channel_axis(flat, before)
    )
    if axis % len(shape) != own % len(shape):
        return "it doesn't normalize the channels"
    return None


def _computes_with_its_kernel(linear: Node) -> bool:
    """Whether the kernel is what multiplies the input, without a scale or a sum of its own."""
    policy = linear.config.get("dtype")
    kind = policy.get("class_name", "") if isinstance(policy, Mapping) else ""
    return not linear.config.get("lora_rank") and not str(kind).startswith("Quantized")


def _is_batch_norm(node: Node) -> bool:
    return node.class_name in {"BatchNormalization", "SyncBatchNormalization"} and is_keras(node)


def _takes(work: Work, call: int) -> bool:
    """Whether a layer can do a scale and a shift of what it makes."""
    node = work.flat.nodes[call]
    if _is_batch_norm(node):
        return not work.levels.in_training(call)
    return is_linear(node) and activation_of(node) is None


def rewrite(work: Work, site: Site) -> Change | str:
    """Takes it out."""
    norm, spot = site.edit.norm, site.spot
    assert norm is not None and spot is not None
    node = work.flat.nodes[norm]
    path = f"{site.path}{work.levels.node(spot).layer}"
    said = f"{node.class_name} removed"
    calls = work.flat.calls[node.layer]
    if set(calls) - work.leaving:
        said += f" from call {calls.index(norm) + 1} of {len(calls)}"
    else:
        work.forget(path)
    if work.settings.keep:
        before = work.flat.producers[norm][0]
        work.takers[norm] = taker = work.takers.get(before, before)
        takes = work.flat.nodes[taker]
        if path not in work.folded:
            _take_over(work, taker, node, path)
        said += f", folded into {takes.layer}"
    work.levels.draft(spot.level).remove(spot.index)
    return Change(path, said)


def _take_over(work: Work, taker: int, node: Node, path: str) -> None:
    """Gives a layer the work of a normalization, once for all of its calls."""
    work.folded.add(path)
    takes, there = work.flat.nodes[taker], work.levels.spot(taker)
    composed = _is_batch_norm(takes)
    work.configure(there, {"scale": True, "center": True} if composed else {"use_bias": True})
    step = _composed(node, path) if composed else _folded(takes, node, path)
    work.rule(work.levels.layer_path(there), step)


def _folded(linear: Node, norm: Node, path: str) -> Step:
    def step(source: Weights, values: dict[str, Any]) -> Mapping[str, Any]:
        scale, shift = _affine(norm, source.of(path))
        # The layer has a bias then in any case, also where nothing is shifted.
        values = {"bias": np.zeros(len(shift)), **values}
        return folded_after(KINDS[linear.class_name], values, scale, shift)

    return step


def _composed(norm: Node, path: str) -> Step:
    """For the batch normalization that reads what the linear layer makes."""

    def step(source: Weights, values: dict[str, Any]) -> Mapping[str, Any]:
        scale, shift = _affine(norm, source.of(path))
        gamma = np.asarray(values.get("gamma", np.ones_like(scale)), "float64")
        beta = np.asarray(values.get("beta", np.zeros_like(scale)), "float64")
        return {**values, "gamma": scale * gamma, "beta": scale * beta + shift}

    return step


def _affine(norm: Node, weights: LayerWeights) -> tuple[Doubles, Doubles]:
    """Scale and shift of every channel that a batch normalization applies in inference."""
    theirs = {name: np.asarray(v, "float64") for name, v in weights.items()}
    mean, variance = theirs["moving_mean"], theirs["moving_variance"]
    gamma, beta = theirs.get("gamma", np.ones_like(mean)), theirs.get("beta", 0 * mean)
    epsilon = float(norm.config.get("epsilon", 1e-3))
    return batch_norm_affine(mean, variance, gamma, beta, epsilon)

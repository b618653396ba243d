"""Takes out a normalization that the plan doesn't name.

Before: `norm(linear(x))`. After: `linear'(x)` where outputs are kept, `linear(x)` where they
needn't be.

Algebra: in inference a batch normalization is `s * y + t` for each channel, with s = gamma /
sqrt(moving_variance + epsilon) and t = beta - s * moving_mean. The linear layer before it takes
that over: its kernel is scaled along its output channels, its bias b becomes s * b + t.

Conditions: where outputs must be kept, a batch normalization over the channels that reads a
convolution or dense layer without an activation, which nothing else reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from normwise.graph.catalogue import activation_of
from normwise.graph.channels import output_channel_axis
from normwise.graph.graph import Node
from normwise.keras_format.weights import Weights
from normwise.surgery.algebra import batch_norm_affine, folded_after
from normwise.surgery.passing import is_keras
from normwise.surgery.rewrite import Change
from normwise.surgery.routes import KINDS, is_linear
from normwise.surgery.sites import Site
from normwise.surgery.work import Step, Work


def check(work: Work, site: Site) -> str | None:
    """Why the normalization can't be taken out, None if it can."""
    norm = site.edit.norm
    assert norm is not None
    return _loss(work, norm) if work.settings.keep else None


def _loss(  # noqa: PLR0911 - one reason, one return
    work: Work, norm: int
) -> str | None:
    """Why outputs can't be kept."""
    flat, node = work.flat, work.flat.nodes[norm]
    if node.class_name not in {"BatchNormalization", "SyncBatchNormalization"} or not (
        is_keras(node)
    ):
        return f"taking out a {node.class_name} changes the outputs"
    before = flat.producers[norm][0]
    linear = flat.nodes[before]
    if in_training(node):
        return "it is called in training mode, so it normalizes by each batch"
    if not is_linear(linear) or activation_of(linear) is not None:
        return f"it can't be folded into {linear.name}, so taking it out changes the outputs"
    if not _computes_with_its_kernel(linear):
        return f"{linear.name} is quantized or adapted by LoRA, so its kernel can't take it over"
    pairs = zip(flat.calls[linear.layer], flat.calls[node.layer], strict=False)
    alone = len(flat.calls[linear.layer]) == len(flat.calls[node.layer]) and all(
        work.immediate(a) == {b} for a, b in pairs
    )
    if not alone:
        return f"{linear.name} is also read by others, so it can't be folded into it"
    shape = flat.nodes[before].shape
    axis = node.config.get("axis", -1)
    if shape is None or axis % len(shape) != output_channel_axis(flat, before) % len(shape):
        return "it doesn't normalize the channels"
    return None


def _computes_with_its_kernel(linear: Node) -> bool:
    """Whether the kernel is what multiplies the input, without a scale or a sum of its own."""
    policy = linear.config.get("dtype")
    kind = policy.get("class_name", "") if isinstance(policy, Mapping) else ""
    return not linear.config.get("lora_rank") and not str(kind).startswith("Quantized")


def rewrite(work: Work, site: Site) -> Change | str:
    """Takes it out."""
    norm, spot = site.edit.norm, site.spot
    assert norm is not None and spot is not None
    node = work.flat.nodes[norm]
    path = f"{site.path}{work.levels.node(spot).layer}"
    said = f"{node.class_name} removed"
    if work.settings.keep:
        before = work.flat.producers[norm][0]
        linear = work.levels.spot(before)
        work.configure(linear, {"use_bias": True})
        work.rule(work.levels.layer_path(linear), _folded(work.flat.nodes[before], node, path))
        said += f", folded into {work.flat.nodes[before].name}"
    work.levels.draft(spot.level).remove(spot.index)
    return Change(path, said)


def _folded(linear: Node, norm: Node, path: str) -> Step:
    epsilon = float(norm.config.get("epsilon", 1e-3))

    def step(source: Weights, values: dict[str, Any]) -> Mapping[str, Any]:
        theirs = {name: np.asarray(v, "float64") for name, v in source.of(path).items()}
        mean, variance = theirs["moving_mean"], theirs["moving_variance"]
        gamma, beta = theirs.get("gamma", np.ones_like(mean)), theirs.get("beta", 0 * mean)
        scale, shift = batch_norm_affine(mean, variance, gamma, beta, epsilon)
        return folded_after(KINDS[linear.class_name], values, scale, shift)

    return step


def in_training(node: Node) -> bool:
    """Whether a call says that it is always in training mode."""
    return bool(node.kwargs.get("training")) or True in node.args[1:]

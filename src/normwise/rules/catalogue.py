"""All rules, and looking at a network through them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType

from normwise.errors import CheckError
from normwise.rules import (
    accumulated_batches,
    affine_chain,
    batch_dependence,
    cold_statistics,
    dead_channels,
    decayed_affine,
    domain_shift,
    double_activation,
    dropout_before_norm,
    frozen_batch_norm,
    groups_mismatch,
    half_precision_norm,
    inverted_momentum,
    large_epsilon,
    last_batch_of_one,
    layer_norm_axis,
    mask_dropped,
    merge_scale,
    missing_bias,
    mixed_order,
    newer_config,
    norm_before_pool,
    norm_on_input,
    norm_on_output,
    norm_on_residual_trunk,
    outlier_sample,
    padding_before_norm,
    partial_coverage,
    redundant_bias,
    selu_with_norm,
    shared_batch_norm,
    single_element_statistics,
    sorted_batches,
    stacked_norm,
    tile_dependent_norm,
    tile_mismatch,
    tiny_batch,
    train_eval_gap,
    unfoldable_norm,
    unnormalized_skip,
    unsynced_replicas,
    untouched_statistics,
    wrong_axis,
)
from normwise.rules.context import Context
from normwise.rules.report import Report
from normwise.rules.rule import Rule

RULES: tuple[Rule, ...] = (
    wrong_axis.RULE,
    redundant_bias.RULE,
    missing_bias.RULE,
    mixed_order.RULE,
    double_activation.RULE,
    stacked_norm.RULE,
    affine_chain.RULE,
    unnormalized_skip.RULE,
    partial_coverage.RULE,
    norm_on_output.RULE,
    norm_on_input.RULE,
    padding_before_norm.RULE,
    norm_before_pool.RULE,
    norm_on_residual_trunk.RULE,
    selu_with_norm.RULE,
    layer_norm_axis.RULE,
    dropout_before_norm.RULE,
    single_element_statistics.RULE,
    groups_mismatch.RULE,
    shared_batch_norm.RULE,
    mask_dropped.RULE,
    frozen_batch_norm.RULE,
    tiny_batch.RULE,
    last_batch_of_one.RULE,
    cold_statistics.RULE,
    inverted_momentum.RULE,
    large_epsilon.RULE,
    accumulated_batches.RULE,
    unsynced_replicas.RULE,
    decayed_affine.RULE,
    untouched_statistics.RULE,
    dead_channels.RULE,
    half_precision_norm.RULE,
    train_eval_gap.RULE,
    batch_dependence.RULE,
    merge_scale.RULE,
    outlier_sample.RULE,
    sorted_batches.RULE,
    domain_shift.RULE,
    unfoldable_norm.RULE,
    tile_dependent_norm.RULE,
    newer_config.RULE,
    tile_mismatch.RULE,
)
"""Every rule, in the order of the codes."""

BY_NAME: Mapping[str, Rule] = MappingProxyType({rule.name: rule for rule in RULES})
"""Every rule by its name."""

_LIKE = 0.6
"""Share of letters from which on a word is taken for another one that was mistyped."""


def named(word: str, others: Sequence[str] = ()) -> Rule:
    """The rule of a name or a code, in capitals or not.

    Args:
        word: What a person wrote.
        others: What else could have been meant where it was written.

    Raises:
        CheckError: There is no such rule; the nearest names are said.
    """
    wanted = word.strip().lower()
    for rule in RULES:
        if wanted in (rule.name, rule.code.lower()):
            return rule
    near = _near(wanted, others)
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    raise CheckError(f"there is no rule {word!r}.{meant} `normwise explain` lists all rules.")


def _near(wanted: str, others: Sequence[str]) -> list[str]:
    """The name that looks most alike, else the few that hold a part of the word."""
    names = [*others, *BY_NAME]
    word = wanted.replace("_", "-").replace(" ", "-")
    parts = {part for part in word.split("-") if len(part) > 2}
    holding = [name for name in names if parts & set(name.split("-"))]
    return get_close_matches(word, names, 1, _LIKE) or holding[:3]


def check(context: Context, rules: Sequence[Rule] = RULES) -> Report:
    """What the rules find in a network.

    Args:
        context: The network, with what else is known.
        rules: The rules to apply.
    """
    findings = [finding for rule in rules for finding in rule.check(context)]
    return Report.of(context.model.name, context.model.source, findings, context.unread)

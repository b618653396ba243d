"""Rules that judge what was measured on data, and say nothing without it."""

from normwise.rules.measured import (
    batch_dependence,
    domain_shift,
    merge_scale,
    outlier_sample,
    sorted_batches,
    tile_mismatch,
    train_eval_gap,
)
from normwise.rules.rule import Rule

RULES: tuple[Rule, ...] = (
    train_eval_gap.RULE,
    batch_dependence.RULE,
    merge_scale.RULE,
    outlier_sample.RULE,
    sorted_batches.RULE,
    domain_shift.RULE,
    tile_mismatch.RULE,
)
"""In the order of their codes."""

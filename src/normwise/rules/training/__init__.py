"""Rules on how a network is trained, and on its weights: NW2xx."""

from normwise.rules.rule import Rule
from normwise.rules.training import (
    accumulated_batches,
    cold_statistics,
    dead_channels,
    decayed_affine,
    half_precision_norm,
    inverted_momentum,
    large_epsilon,
    last_batch_of_one,
    tiny_batch,
    unsynced_replicas,
    untouched_statistics,
)

RULES: tuple[Rule, ...] = (
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
)
"""In the order of their codes."""

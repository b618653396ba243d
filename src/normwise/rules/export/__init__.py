"""Rules on export and prediction: NW3xx."""

from normwise.rules.export import (
    newer_config,
    tile_dependent_norm,
    unfoldable_norm,
)
from normwise.rules.rule import Rule

RULES: tuple[Rule, ...] = (
    unfoldable_norm.RULE,
    tile_dependent_norm.RULE,
    newer_config.RULE,
)
"""In the order of their codes."""

"""The rules of `check`, on graphs alone, without Keras.

One rule is one file, in the folder of its group: `structure`, `training`, `measured`, `export`.
What they may look at stands in `context`, what draws their examples in `sketches`.
"""

from normwise.rules.catalogue import BY_NAME, RULES, check
from normwise.rules.context import Context, Training, Weights
from normwise.rules.report import Report
from normwise.rules.rule import Finding, Rule, Severity

__all__ = [
    "BY_NAME",
    "RULES",
    "Context",
    "Finding",
    "Report",
    "Rule",
    "Severity",
    "Training",
    "Weights",
    "check",
]

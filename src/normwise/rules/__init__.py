"""The rules of `check`: one a file, on graphs alone, without Keras."""

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

"""Norm plans: which normalization stands where, as text, as data, and read from a network."""

from normwise.norms.inference import infer_plan
from normwise.norms.kinds import KINDS, NormSpec
from normwise.norms.plan import NormPlan, with_standardized_input

__all__ = ["KINDS", "NormPlan", "NormSpec", "infer_plan", "with_standardized_input"]

"""What a recipe should say for a data set, each choice with its reason."""

from normwise.training.configure.choices import CHOOSERS, choose
from normwise.training.configure.situation import Choice, Cost, Situation

__all__ = ["CHOOSERS", "Choice", "Cost", "Situation", "choose"]

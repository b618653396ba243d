"""What a rule may look at: the opened graph, and what else is known of a model and its training.

Whatever several rules need is computed here, when it is first asked for, in one pass over the
graph: a check has to stay linear in the number of calls.
"""

from normwise.graph.catalogue import BATCH_NORMS
from normwise.rules.context.context import Context
from normwise.rules.context.dataflow import OUTPUT
from normwise.rules.context.loss_names import LossKind, loss_kind
from normwise.rules.context.modes import HONOURED_FROM, mode_of
from normwise.rules.context.opened_graph import FIXED_NORMS, PER_POSITION
from normwise.rules.context.training import Training
from normwise.rules.context.weights import Values, Weights

__all__ = [
    "BATCH_NORMS",
    "FIXED_NORMS",
    "HONOURED_FROM",
    "OUTPUT",
    "PER_POSITION",
    "Context",
    "LossKind",
    "Training",
    "Values",
    "Weights",
    "loss_kind",
    "mode_of",
]

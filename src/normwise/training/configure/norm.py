"""The norm plan: where the network's own plan has it, of a kind that suits the batches."""

from typing import Any, Final

from normwise.networks import default_plan
from normwise.norms.kinds import NormSpec
from normwise.norms.plan import Clause, NormPlan
from normwise.training.configure.situation import Chosen, Situation, steps_of

_FEW_FOR_BATCH_NORM: Final = 4
_LEFT: Final = 0.1
_GROUPS: Final = (4, 2, 1)


def norm(situation: Situation, chosen: Chosen) -> tuple[str, str]:
    """The norm plan, with a momentum for the number of steps."""
    batch, steps = chosen["training.batch_size"], steps_of(situation, chosen)
    own = NormPlan.parse(default_plan(str(chosen["network.name"])))
    only = "; the encoder keeps its own norms" if chosen["network.name"] == "encoder" else ""
    if batch < _FEW_FOR_BATCH_NORM:
        return _with(own, "group", groups=_groups(chosen)), (
            f"batches of {batch} are too small for statistics of a batch{only}"
        )
    momentum = _momentum(steps)
    return _with(own, "batch", momentum=momentum), (
        f"batch norm predicts tiles without seams; {_left(momentum, steps)}{only}"
    )


def encoder_momentum(situation: Situation, chosen: Chosen) -> tuple[float, str]:
    """The momentum of an encoder's own batch normalizations, as in the norm plan."""
    steps = steps_of(situation, chosen)
    momentum = _momentum(steps)
    return momentum, f"of its own batch norms: {_left(momentum, steps)}"


def _momentum(steps: int) -> float:
    return round(min(0.99, max(0.8, float(_LEFT ** (1 / steps)))), 2)


def _left(momentum: float, steps: int) -> str:
    return (
        f"{momentum**steps:.1%} of the initial statistics are left after the {steps} steps of an "
        f"epoch (at 0.99 it would be {0.99**steps:.0%})"
    )


def _with(own: NormPlan, kind: str, **args: Any) -> str:
    spec = NormSpec(kind, tuple(args.items()))
    return str(NormPlan.of([Clause(spec, clause.positions) for clause in own.clauses]))


def _groups(chosen: Chosen) -> int:
    """The most groups, up to 4, that divide the channels of every level."""
    filters = chosen["network.filters"]
    widths = list(filters) if isinstance(filters, (list, tuple)) else [filters]
    if chosen["network.name"] == "attention":
        widths += [max(1, width // 2) for width in widths]  # inside the gates
    return next(n for n in _GROUPS if all(width % n == 0 for width in widths))

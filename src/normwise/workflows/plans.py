"""Building a network under a plan, and reading the plan of any model."""

from collections.abc import Sequence
from typing import Any

from normwise.backend import require_backend
from normwise.norms.inference import infer_plan
from normwise.norms.plan import NormPlan
from normwise.workflows.models import graph_of


def build(
    network: str,
    input_shape: Sequence[int | None],
    outputs: int = 1,
    norm: str | NormPlan | None = None,
    **options: Any,
) -> Any:
    """Builds a network; see `normwise.networks.build`, which this calls with a backend loaded."""
    require_backend()
    from normwise.networks import build as build_network  # noqa: PLC0415 - light start-up

    return build_network(network, input_shape, outputs, norm, **options)


def plan_of(model: Any) -> NormPlan:
    """The norm plan that a model follows.

    Args:
        model: A live functional or Sequential model, the path of a `.keras`, `.h5` or `.json`
            file, a run folder, or `"package.module:callable"`. Files need no backend.

    Returns:
        The plan, the shortest one that describes the model; normalizations that no plan
        describes are in its `residue`.

    Raises:
        ModelReadError: The model can't be read.

    Example:
        >>> str(plan_of("model.keras"))
        'batch@pre-activation'
    """
    return infer_plan(graph_of(model))

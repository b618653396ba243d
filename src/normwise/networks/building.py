"""Builds a network of the library under a norm plan."""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from normwise.errors import NetworkError, did_you_mean
from normwise.networks.attention import attention
from normwise.networks.encoders import encoder
from normwise.networks.nested import nested
from normwise.networks.question import question
from normwise.networks.residual import residual
from normwise.networks.unet import unet
from normwise.norms.plan import NormPlan

NETWORKS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "question": question,
        "unet": unet,
        "residual": residual,
        "attention": attention,
        "nested": nested,
        "encoder": encoder,
    }
)


def build(
    network: str,
    input_shape: Sequence[int | None],
    outputs: int = 1,
    norm: str | NormPlan | None = None,
    **options: Any,
) -> Any:
    """Builds a network of `NETWORKS`, once a backend is loaded; see `nw.build`."""
    if network not in NETWORKS:
        raise NetworkError(f"{network!r} is no network; known are {', '.join(NETWORKS)}.")
    plan = norm if norm is None or isinstance(norm, NormPlan) else NormPlan.parse(norm)
    given = {name: value for name, value in options.items() if value is not None}
    _refuse_unknown(network, given)
    return NETWORKS[network](input_shape, outputs, plan, **given)


FROM_DATA = "input_statistics"
"""The option that comes from the training data, never from a user's settings."""


def options_of(network: str) -> tuple[str, ...]:
    """Names of a network's own options that a user may set."""
    parameters = inspect.signature(NETWORKS[network]).parameters.values()
    names = (p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
    return tuple(name for name in names if name != FROM_DATA)


def default_plan(network: str) -> str:
    """The norm plan that a network has unless another is named."""
    return str(sys.modules[NETWORKS[network].__module__].DEFAULT_PLAN)


def _refuse_unknown(network: str, options: Mapping[str, Any]) -> None:
    known = options_of(network)
    for name in options:
        if name not in (*known, FROM_DATA):
            hint = did_you_mean(name, known)
            raise NetworkError(
                f"{network}: unknown option {name!r}; it takes {', '.join(known)}.{hint}"
            )

"""What a fault is, and what a network is after one was put into it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from normwise.graph.graph import Graph
from normwise.rules import Training
from tests.rules.injection.net import Net

USUAL = Training(
    32,
    100_000,
    10,
    optimizer={"weight_decay": 1e-4, "exclude_from_weight_decay": ["gamma", "beta", "bias"]},
)
"""A training that no rule objects to."""


@dataclass(frozen=True)
class Injected:
    """A network with one fault.

    Attributes:
        graph: The network.
        layers: The layers that have to be named by one finding.
        touched: Other layers that were changed; consequences may be there too.
        training: How it is trained.
        weights: Those of single layers, in the place of healthy ones; None for no weights at all.
        file: Whether it is seen as a file that Keras 3.15 wrote.
    """

    graph: Graph
    layers: tuple[str, ...]
    training: Training = USUAL
    weights: Mapping[str, Sequence[Any]] | None = field(default_factory=dict)
    file: bool = False
    touched: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fault:
    """Something that people do to networks.

    Attributes:
        rule: The rule that is named after it.
        what: What is done.
        sites: The places in a network where it can be done.
        inject: Does it at one of them.
        consequences: Other rules that then object too, each with the reason; they may do so at
            the layers that were touched.
        everywhere: Whether consequences and further findings of the rule may be at any layer, as
            the fault is in the training.
    """

    rule: str
    what: str
    sites: Callable[[Net], Sequence[Any]]
    inject: Callable[[Net, Any, Random], Injected]
    consequences: Mapping[str, str] = field(default_factory=dict)
    everywhere: bool = False

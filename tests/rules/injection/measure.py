"""Injecting faults into a network, and counting what is found, missed and false."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from normwise.graph.graph import Graph
from normwise.rules import Context, Finding, Severity, check
from tests.rules.injection.fault import USUAL, Fault, Injected
from tests.rules.injection.net import Net
from tests.rules.injection.placement import PLACEMENT
from tests.rules.injection.settings import SETTINGS
from tests.rules.injection.training import TRAINING, healthy_weights

FAULTS: tuple[Fault, ...] = (*PLACEMENT, *SETTINGS, *TRAINING)


@dataclass(frozen=True)
class Stored:
    """Weights by layer, as a file would hold them."""

    layers: Mapping[str, Any]

    def of(self, layer: str) -> Any:
        """Those of a layer, None for none."""
        return self.layers.get(layer)


@dataclass(frozen=True)
class Trial:
    """One fault at one place.

    Attributes:
        host: The network.
        rule: The rule of the fault.
        what: What was done.
        layers: The layers that one finding has to name.
        found: The severity of that finding; "" if there is none.
        true: Rules of warnings and errors that the fault explains, each as often as it reports.
        false: Those that it doesn't explain, with their layers.
    """

    host: str
    rule: str
    what: str
    layers: tuple[str, ...]
    found: str
    true: tuple[str, ...]
    false: tuple[tuple[str, tuple[str, ...]], ...]


def base_findings(graph: Graph) -> tuple[Finding, ...]:
    """Warnings and errors in a network as it is, under a usual training: none if it is healthy."""
    net = Net(graph)
    context = Context(net.graph, Stored(healthy_weights(net)), USUAL)
    return check(context).at_least(Severity.WARNING)


def trials(
    host: str, graph: Graph, faults: Iterable[Fault] = FAULTS, places: int = 3, seed: int = 0
) -> Iterator[Trial]:
    """Puts each fault into a network, at some of the places where it can be.

    Args:
        host: The network's name, which the random choice depends on too.
        graph: The network.
        faults: What to inject.
        places: The most places a fault.
        seed: Of the random choice.
    """
    net = Net(graph)
    healthy = healthy_weights(net)
    for fault in faults:
        rng = Random(f"{seed} {host} {fault.rule} {fault.what}")
        sites = list(fault.sites(net))
        for site in rng.sample(sites, min(places, len(sites))):
            injected = fault.inject(net, site, rng)
            yield _trial(host, fault, injected, _checked(injected, healthy))


def _checked(injected: Injected, healthy: Mapping[str, Any]) -> tuple[Finding, ...]:
    known = None if injected.weights is None else Stored({**healthy, **injected.weights})
    version = (3, 15, 1) if injected.file else None
    context = Context(injected.graph, known, injected.training, version, injected.file)
    return check(context).findings


def _trial(host: str, fault: Fault, injected: Injected, findings: Iterable[Finding]) -> Trial:
    hits = [f for f in findings if _is_it(fault, injected, f)]
    best = min(hits, key=lambda f: f.severity.rank, default=None)
    loud = [f for f in findings if f.severity is not Severity.INFO]
    explained = [_explains(fault, injected, f) for f in loud]
    true = tuple(f.name for f, e in zip(loud, explained, strict=True) if e)
    false = tuple((f.name, f.layers) for f, e in zip(loud, explained, strict=True) if not e)
    found = "" if best is None else str(best.severity)
    return Trial(host, fault.rule, fault.what, injected.layers, found, true, false)


def _is_it(fault: Fault, injected: Injected, finding: Finding) -> bool:
    """Whether a finding is of the fault's rule and names every layer that it has to."""
    return finding.name == fault.rule and set(injected.layers) <= set(finding.layers)


def _explains(fault: Fault, injected: Injected, finding: Finding) -> bool:
    known = finding.name == fault.rule or finding.name in fault.consequences
    there = {*injected.layers, *injected.touched}
    return known and (fault.everywhere or bool(there & set(finding.layers)))

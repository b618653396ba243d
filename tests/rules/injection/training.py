"""Trainings that batch statistics don't bear, and weights that tell of them."""

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np

from normwise.rules import Training
from tests.rules.injection.fault import USUAL, Fault, Injected
from tests.rules.injection.net import Net
from tests.rules.injection.settings import pooled, vector_norm

SMALL = {
    "tiny-batch": "the single batches are small",
    "single-element-statistics": "at one pixel a small batch is a single value",
}


def with_norms(net: Net) -> list[int]:
    """One site where there are batch norms of maps at all."""
    return [0] if net.maps else []


def trained(net: Net, training: Training) -> Injected:
    """The network under another training, not yet trained."""
    return Injected(net.graph, tuple(map(net.layer, net.maps[:1])), training, None)


def weights_of(net: Net, norm: int) -> list[np.ndarray[Any, Any]]:
    """Gamma, beta, mean and variance that a good training may leave in a norm."""
    shape = net.shape(norm)
    width = int(shape[-1] or 1) if shape else 1
    rng = np.random.default_rng(norm)
    gamma, variance = rng.uniform(0.5, 1.5, width), rng.uniform(0.3, 2.0, width)
    return [gamma, rng.normal(0, 0.3, width), rng.normal(0, 0.5, width), variance]


def healthy_weights(net: Net) -> dict[str, list[np.ndarray[Any, Any]]]:
    """The same for all norms, in Keras' order."""
    return {net.layer(norm): _stored(net, norm, *weights_of(net, norm)) for norm in net.norms}


def _stored(net: Net, norm: int, *arrays: Any) -> list[np.ndarray[Any, Any]]:
    config = net.nodes[norm].config
    kept = (config.get("scale", True), config.get("center", True), True, True)
    return [np.asarray(a, "float32") for a, keep in zip(arrays, kept, strict=True) if keep]


def weighted(net: Net, norm: int, *arrays: Any) -> Injected:
    """Other weights in one norm."""
    layer = net.layer(norm)
    return Injected(net.graph, (layer,), weights={layer: _stored(net, norm, *arrays)})


def small_variance(net: Net, norm: int, rng: Random) -> Injected:
    gamma, beta, mean, variance = weights_of(net, norm)
    epsilon = float(net.nodes[norm].config.get("epsilon", 1e-3))
    return weighted(net, norm, gamma, beta, mean, variance * epsilon * 0.1)


def never_moved(net: Net, norm: int, rng: Random) -> Injected:
    gamma, beta, mean, variance = weights_of(net, norm)
    return weighted(net, norm, gamma, beta, np.zeros_like(mean), np.ones_like(variance))


def some_dead(net: Net, norm: int, rng: Random) -> Injected:
    gamma, beta, mean, variance = weights_of(net, norm)
    dead = rng.sample(range(len(gamma)), max(1, len(gamma) // 4))
    gamma[dead] = 0.0
    return weighted(net, norm, gamma, beta, mean, variance)


def scaled(net: Net) -> list[int]:
    """Norms with a gamma, of four channels and more."""
    return [n for n in net.maps if net.nodes[n].config.get("scale", True) and net.shape(n)[-1] >= 4]  # type: ignore[operator]


TRAINING = (
    Fault(
        "tiny-batch",
        "batches of 2 or 3",
        with_norms,
        lambda net, _, rng: trained(net, replace(USUAL, batch_size=rng.choice([2, 3]))),
        SMALL,
        everywhere=True,
    ),
    Fault(
        "last-batch-of-one",
        "a batch norm on vectors, and one sample left over",
        pooled,
        lambda net, pool, rng: replace(
            vector_norm(net, pool),
            training=replace(USUAL, samples=32 * rng.randint(2000, 4000) + 1),
        ),
        everywhere=True,
    ),
    Fault(
        "cold-statistics",
        "a training of 5 to 20 steps",
        with_norms,
        lambda net, _, rng: trained(net, replace(USUAL, samples=32, epochs=rng.randint(5, 20))),
        everywhere=True,
    ),
    Fault(
        "accumulated-batches",
        "batches of 2, accumulated",
        with_norms,
        lambda net, _, rng: trained(net, replace(USUAL, batch_size=2, accumulation=16)),
        SMALL,
        everywhere=True,
    ),
    Fault(
        "unsynced-replicas",
        "16 samples over 8 replicas",
        with_norms,
        lambda net, _, rng: trained(net, replace(USUAL, batch_size=16, replicas=8)),
        SMALL,
        everywhere=True,
    ),
    Fault(
        "decayed-affine",
        "weight decay on all variables",
        with_norms,
        lambda net, _, rng: trained(net, replace(USUAL, optimizer={"weight_decay": 1e-3})),
        everywhere=True,
    ),
    Fault("large-epsilon", "variances far below epsilon", lambda net: net.maps, small_variance),
    Fault("untouched-statistics", "statistics of 0 and 1", lambda net: net.maps, never_moved),
    Fault("dead-channels", "a quarter of the gammas zero", scaled, some_dead),
)

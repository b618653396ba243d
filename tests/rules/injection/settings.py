"""Normalizations of wrong settings, of a wrong kind, or called in a wrong way."""

from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

from normwise.graph.catalogue import Role
from normwise.graph.editing import Draft
from normwise.graph.graph import Graph, Node, Tensor, freeze
from tests.rules.injection.fault import Fault, Injected
from tests.rules.injection.net import BATCH, Net

RENORM = {"renorm": False, "renorm_clipping": None, "renorm_momentum": 0.99}


def set_to(net: Net, norm: int, **settings: Any) -> Injected:
    """Other settings of one norm."""
    layer = net.layer(norm)
    return Injected(net.edited(lambda draft: draft.configure(layer, **settings)), (layer,))


def kind_of(net: Net, norm: int, kind: str, **config: Any) -> Injected:
    """Another normalization in the place of one."""
    layer = net.layer(norm)
    settings = {"epsilon": 1e-3, "center": True, "scale": True, "trainable": True, **config}
    return Injected(net.edited(lambda draft: draft.exchange(norm, layer, kind, settings)), (layer,))


def with_nodes(net: Net, changed: dict[int, Node]) -> Graph:
    """The network with some calls replaced."""
    nodes = tuple(changed.get(i, node) for i, node in enumerate(net.nodes))
    return replace(net.graph, nodes=nodes)


def no_divisor(net: Net, norm: int, rng: Random) -> Injected:
    channels = int(net.shape(norm)[-1] or 0)
    groups = rng.choice([n for n in range(2, 2 * channels) if channels % n])
    return kind_of(net, norm, "GroupNormalization", groups=groups, axis=-1)


def pairs(net: Net) -> list[tuple[int, int]]:
    """Two batch norms of as many channels."""
    by_width: dict[int | None, list[int]] = {}
    for norm in net.norms:
        by_width.setdefault(net.shape(norm)[-1] if net.shape(norm) else None, []).append(norm)
    groups = (norms for width, norms in by_width.items() if width)
    return [pair for norms in groups for pair in pairwise(norms)]


def shared(net: Net, pair: tuple[int, int], rng: Random) -> Injected:
    """The second call made one of the first layer."""
    first, second = (net.nodes[i] for i in pair)
    again = replace(second, name=f"{first.layer}:1", layer=first.layer, config=first.config, call=1)
    return Injected(with_nodes(net, {pair[1]: again}), (first.layer,))


def called_off(net: Net, norm: int, rng: Random) -> Injected:
    node = replace(net.nodes[norm], kwargs=freeze({"training": False}))
    return Injected(with_nodes(net, {norm: node}), (net.layer(norm),))


def all_but_norms(net: Net, site: Any, rng: Random) -> Injected:
    """Every learned layer frozen but the last, and no norm."""
    linears = [i for i, role in enumerate(net.roles) if role is Role.LINEAR]
    behind = set(net.ends) | {linears[-1]}
    frozen = [i for i in linears if i not in behind]
    changed = {
        i: replace(net.nodes[i], config=freeze({**net.nodes[i].config, "trainable": False}))
        for i in frozen
    }
    first = next(block.norm for block in net.blocks if block.linear in changed)
    return Injected(with_nodes(net, changed), (net.layer(first),))


def pooled(net: Net) -> list[int]:
    """Global poolings, behind which there is one value a channel."""
    return [i for i, role in enumerate(net.roles) if role is Role.GLOBAL_POOL]


def of_single_values(net: Net, pool: int, rng: Random) -> Injected:
    config = {"groups": -1, "axis": -1, "epsilon": 1e-3}

    def change(draft: Draft) -> None:
        made = Tensor(pool)
        draft.insert(
            made, draft.readers(made), draft.free_name("injected"), "GroupNormalization", config
        )

    return Injected(net.edited(change), ("injected",))


def vector_norm(net: Net, pool: int) -> Injected:
    """A batch norm behind a global pooling."""

    def change(draft: Draft) -> None:
        made = Tensor(pool)
        draft.insert(
            made, draft.readers(made), draft.free_name("injected"), "BatchNormalization", BATCH
        )

    return Injected(net.edited(change), ("injected",))


def embeddings(net: Net) -> list[int]:
    """Embeddings of tokens that a convolution reads."""
    return [
        i
        for i, node in enumerate(net.nodes)
        if node.class_name == "Embedding"
        and any(net.nodes[r].class_name.startswith("Conv") for r in net.readers(i))
    ]


def masked(net: Net, index: int, rng: Random) -> Injected:
    layer = net.layer(index)
    norm = next(n for n in net.norms if n > index)
    graph = net.edited(lambda draft: draft.configure(layer, mask_zero=True))
    return Injected(graph, (net.layer(norm),))


def wide_maps(net: Net) -> list[int]:
    """Norms of maps with 16 pixels and more."""
    return [n for n in net.maps if net.shape(n)[1] * net.shape(n)[2] >= 16]  # type: ignore[operator]


def predicts_maps(net: Net) -> bool:
    """Whether the output is as large as the input."""
    sizes = {net.shape(t.node)[1:3] for t in net.graph.input_tensors}
    return any(len(net.shape(end)) == 4 and net.shape(end)[1:3] in sizes for end in net.ends)


def without_renorm(net: Net) -> Net:
    """The network as normwise writes it."""
    changed = {
        n: replace(
            net.nodes[n],
            config=freeze({k: v for k, v in net.nodes[n].config.items() if k not in RENORM}),
        )
        for n in net.norms
    }
    return Net(with_nodes(net, changed))


SETTINGS = (
    Fault(
        "wrong-axis",
        "a batch norm over rows or columns",
        lambda net: net.maps,
        lambda net, norm, rng: set_to(net, norm, axis=rng.choice([1, 2])),
    ),
    Fault(
        "layer-norm-axis",
        "layer norm over rows, columns and channels",
        wide_maps,
        lambda net, norm, rng: kind_of(net, norm, "LayerNormalization", axis=(1, 2, 3)),
    ),
    Fault(
        "single-element-statistics",
        "instance norm behind a global pooling",
        pooled,
        of_single_values,
    ),
    Fault(
        "groups-mismatch", "groups that don't divide the channels", lambda net: net.maps, no_divisor
    ),
    Fault("shared-batch-norm", "one batch norm at two places", pairs, shared),
    Fault("mask-dropped", "a mask before a convolution", embeddings, masked, everywhere=True),
    Fault(
        "frozen-batch-norm",
        "training=False in the call of a norm",
        lambda net: net.norms,
        called_off,
    ),
    Fault(
        "frozen-batch-norm",
        "all layers frozen but the norms",
        lambda net: [0] if len(net.blocks) >= 5 else [],
        all_but_norms,
        everywhere=True,
    ),
    Fault(
        "inverted-momentum",
        "a momentum of 0.1, 0.01 or 0",
        lambda net: net.norms,
        lambda net, norm, rng: set_to(net, norm, momentum=rng.choice([0.1, 0.01, 0.0])),
    ),
    Fault(
        "half-precision-norm",
        "a batch norm in float16",
        lambda net: net.norms,
        lambda net, norm, rng: set_to(net, norm, dtype=rng.choice(["float16", "bfloat16"])),
    ),
    Fault(
        "decayed-affine",
        "an L2 regularizer on gamma",
        lambda net: net.norms,
        lambda net, norm, rng: set_to(
            net, norm, gamma_regularizer={"class_name": "L2", "config": {"l2": 1e-4}}
        ),
    ),
    Fault(
        "tile-dependent-norm",
        "instance norm in a network that predicts maps",
        lambda net: net.maps if predicts_maps(net) else [],
        lambda net, norm, rng: kind_of(net, norm, "GroupNormalization", groups=-1, axis=-1),
    ),
    Fault(
        "newer-config",
        "the keys of batch renormalization in a file",
        lambda net: net.norms,
        lambda net, norm, rng: replace(set_to(without_renorm(net), norm, **RENORM), file=True),
    ),
)

"""Normalizations, activations and biases in the wrong place."""

from dataclasses import replace
from random import Random
from typing import Any

from normwise.graph.catalogue import CONVOLUTIONS, Role, activation_of
from normwise.graph.editing import ENDS, Draft
from normwise.graph.graph import Tensor
from tests.rules.injection.fault import Fault, Injected
from tests.rules.injection.net import BATCH, Block, Net

RELU = {"activation": "relu", "trainable": True}
NO_OFFSET = {"missing-bias": "the activation now comes right behind a layer without a bias"}
TWO_BEND = {"double-activation": "in this network another activation follows the block's"}


def put(draft: Draft, tensor: Tensor, readers: Any, kind: str, config: Any) -> Tensor:
    """A new layer behind a tensor."""
    return draft.insert(tensor, readers, draft.free_name("injected"), kind, config)


def act_behind(net: Net, block: Block, rng: Random) -> Injected:
    """A second activation, inside the layer or as one of its own."""

    def change(draft: Draft) -> None:
        if rng.random() < 0.5:
            draft.configure(net.layer(block.linear), activation="relu")
        else:
            put(draft, Tensor(block.linear), [block.norm], "Activation", RELU)

    linear = net.layer(block.linear)
    found = tuple(map(net.layer, (block.norm, block.act)))
    return Injected(net.edited(change), found, touched=(linear,))


def bare_before_act(net: Net, block: Block, rng: Random) -> Injected:
    """The norm behind the activation, although the layer has no bias."""

    def change(draft: Draft) -> None:
        draft.configure(net.layer(block.linear), use_bias=False)
        _behind_act(draft, block)

    norm = net.layer(block.norm)
    return Injected(net.edited(change), (net.layer(block.linear),), touched=(norm,))


def _behind_act(draft: Draft, block: Block) -> None:
    made = Tensor(block.act)
    draft.move(block.norm, made, draft.readers(made))


def needless_bias(net: Net, block: Block, rng: Random) -> Injected:
    layer = net.layer(block.linear)
    return Injected(net.edited(lambda draft: draft.configure(layer, use_bias=True)), (layer,))


def half_behind(net: Net, site: Any, rng: Random) -> Injected:
    """Half of the norms behind their activations."""
    moved = rng.sample(net.blocks, len(net.blocks) // 2)

    def change(draft: Draft) -> None:
        for block in moved:
            draft.configure(net.layer(block.linear), use_bias=True)
            _behind_act(draft, block)

    return Injected(net.edited(change), ())


def second_norm(net: Net, norm: int, rng: Random) -> Injected:
    def change(draft: Draft) -> None:
        made = Tensor(norm)
        put(draft, made, draft.readers(made), "BatchNormalization", BATCH)

    return Injected(net.edited(change), (net.layer(norm), "injected"))


def rows_of_layers(net: Net) -> list[list[list[int]]]:
    """Three learned layers in a row, each of the first two with all that lies before the next."""
    found = []
    for index in range(len(net.nodes)):
        parts, at = [], index
        while len(parts) < 2 and (way := _to_next_layer(net, at)):
            parts.append(way[:-1])
            at = way[-1]
        if len(parts) == 2:
            found.append([*parts, [at]])
    return found


def _is_learned(net: Net, index: int) -> bool:
    node = net.nodes[index]
    return (
        net.roles[index] is Role.LINEAR
        and net.once(index)
        and not node.class_name.startswith("Depthwise")
    )


def _to_next_layer(net: Net, index: int) -> list[int]:
    """A learned layer and all up to the next one, if nothing else reads what lies between."""
    way = [index] if _is_learned(net, index) else []
    while way and (at := net.reader(way[-1])) is not None:
        way.append(at)
        if _is_learned(net, at):
            return way
        if not (net.is_act(at) or net.is_batch(at) or net.roles[at] in (Role.PASS, Role.RESAMPLE)):
            break
    return []


def nothing_bends(net: Net, parts: list[list[int]], rng: Random) -> Injected:
    """The activations among three layers taken out."""
    between = [index for part in parts[:-1] for index in part]

    def change(draft: Draft) -> None:
        for index in between:
            if net.is_act(index):
                draft.remove(index)
            elif net.roles[index] is Role.LINEAR:
                draft.configure(net.layer(index), activation="linear")

    row = tuple(net.layer(part[0]) for part in parts)
    return Injected(net.edited(change), row, touched=tuple(map(net.layer, between)))


def skips(net: Net) -> list[tuple[int, int, int]]:
    """What joins a skip, its normalized tensor, and the raw tensor before its norm."""
    found = []
    for index, node in enumerate(net.nodes):
        joins = node.class_name in {"Concatenate", "Multiply"} and net.roles[index] is Role.MERGE
        if not joins or not _is_read_raw(net, index):
            continue
        for tensor in net.graph.producers[index]:
            raw = _raw(net, tensor)
            if raw is not None and len(net.readers(tensor)) > 1:
                found.append((index, tensor, raw))
    return found


def _is_read_raw(net: Net, join: int) -> bool:
    """Whether a learned layer reads the joined tensor without a norm; through a gate too."""
    if net.nodes[join].class_name == "Multiply":
        behind = net.reader(join)
        if behind is None or net.nodes[behind].class_name != "Concatenate":
            return False
        join = behind
    at = net.reader(join)
    while at is not None and (net.is_act(at) or net.roles[at] is Role.PASS):
        at = net.reader(at)
    return at is not None and net.roles[at] is Role.LINEAR


def _raw(net: Net, tensor: int) -> int | None:
    """The tensor before the norm that a tensor comes from, an activation at most between."""
    at = net.source(tensor) if net.is_act(tensor) else tensor
    return net.source(at) if at is not None and net.is_batch(at) else None


def raw_skip(net: Net, site: tuple[int, int, int], rng: Random) -> Injected:
    join, tensor, raw = site
    graph = net.edited(lambda draft: draft.reroute(Tensor(tensor), Tensor(raw), [join]))
    end = net.reader(join) if net.nodes[join].class_name == "Multiply" else join
    return Injected(graph, (net.layer(raw), net.layer(join if end is None else end)))


def hidden_blocks(net: Net) -> list[Block]:
    """Convolutions of maps whose activation another convolution alone reads."""
    return [
        block
        for block in net.blocks
        if net.nodes[block.linear].class_name in CONVOLUTIONS
        and net.is_map(block.linear)
        and (behind := net.reader(block.act)) is not None
        and net.nodes[behind].class_name in CONVOLUTIONS
    ]


def left_out(net: Net, block: Block, rng: Random) -> Injected:
    graph = net.edited(lambda draft: draft.remove(block.norm))
    return Injected(graph, (net.layer(block.linear),))


def norm_at_the_end(net: Net, end: int, rng: Random) -> Injected:
    """A norm before the last activation, or behind a linear output."""
    node, role = net.nodes[end], net.roles[end]
    act = activation_of(node)

    def change(draft: Draft) -> None:
        if role is Role.LINEAR and act:
            draft.configure(node.layer, activation="linear")
            made = put(draft, Tensor(end), [ENDS], "BatchNormalization", BATCH)
            put(draft, made, [ENDS], "Activation", {"activation": act})
        elif role is Role.ACTIVATION:
            put(draft, node.inputs[0], [end], "BatchNormalization", BATCH)
        else:
            put(draft, Tensor(end), [ENDS], "BatchNormalization", BATCH)

    return Injected(net.edited(change), ("injected",))


def ends(net: Net) -> list[int]:
    """Predictions: what only the model's user reads."""
    return [i for i in sorted(net.ends) if not net.readers(i) and net.roles[i] is not Role.NORM]


def norm_at_the_start(net: Net, entry: int, rng: Random) -> Injected:
    def change(draft: Draft) -> None:
        made = Tensor(entry)
        put(draft, made, draft.readers(made), "BatchNormalization", BATCH)

    return Injected(net.edited(change), ("injected",))


def padded(net: Net, norm: int, rng: Random) -> Injected:
    """Zeros before the norm, cropped behind it."""
    border = {"data_format": "channels_last"}
    frame = ((1, 1), (1, 1))

    def change(draft: Draft) -> None:
        tensor = net.nodes[norm].inputs[0]
        put(draft, tensor, [norm], "ZeroPadding2D", {"padding": frame, **border})
        made = Tensor(norm)
        put(draft, made, draft.readers(made), "Cropping2D", {"cropping": frame, **border})

    return Injected(net.edited(change), (net.layer(norm), "injected"))


def before_pools(net: Net) -> list[Block]:
    """Blocks that a pooling alone reads."""
    return [
        b
        for b in net.blocks
        if (behind := net.reader(b.act)) is not None
        and net.roles[behind] is Role.POOL
        and net.shape(behind)[1:3] != net.shape(b.act)[1:3]
    ]


def norm_then_pool(net: Net, block: Block, rng: Random) -> Injected:
    pool = net.reader(block.act)
    graph = net.edited(lambda draft: _behind_act(draft, block))
    found = (net.layer(block.norm), net.layer(pool or 0))
    return Injected(graph, found, touched=(net.layer(block.linear),))


def trunks(net: Net) -> list[int]:
    """Sums that are an addend of the next one, an activation at most between."""

    def is_sum(index: int) -> bool:
        return net.nodes[index].class_name == "Add" and net.roles[index] is Role.MERGE

    found = []
    for index in filter(is_sum, range(len(net.nodes))):
        near = net.readers(index)
        far = [r for reader in near if net.is_act(reader) for r in net.readers(reader)]
        if any(map(is_sum, (*near, *far))):
            found.append(index)
    return found


def norm_on_trunk(net: Net, total: int, rng: Random) -> Injected:
    def change(draft: Draft) -> None:
        made = Tensor(total)
        put(draft, made, draft.readers(made), "BatchNormalization", BATCH)

    return Injected(net.edited(change), (net.layer(total), "injected"))


def self_normalizing(net: Net, block: Block, rng: Random) -> Injected:
    layer = net.layer(block.act)
    config = {"activation": "selu", "trainable": True}
    graph = net.edited(lambda draft: draft.exchange(block.act, layer, "Activation", config))
    return Injected(graph, (net.layer(block.norm),))


def dropped(net: Net, block: Block, rng: Random) -> Injected:
    """Dropout right before the norm, or before the layer that it reads."""
    config = {"rate": rng.choice([0.1, 0.25, 0.5]), "noise_shape": None}

    def change(draft: Draft) -> None:
        if rng.random() < 0.5:
            put(draft, Tensor(block.linear), [block.norm], "Dropout", config)
        else:
            tensor = net.nodes[block.linear].inputs[0]
            put(draft, tensor, [block.linear], "Dropout", config)

    return Injected(net.edited(change), (net.layer(block.norm), "injected"))


PLACEMENT = (
    Fault(
        "redundant-bias",
        "a bias before a batch norm",
        lambda net: [b for b in net.blocks if not net.has_bias(b.linear)],
        needless_bias,
    ),
    Fault(
        "missing-bias",
        "no bias, and the norm behind the activation",
        lambda net: net.blocks,
        bare_before_act,
        TWO_BEND,
    ),
    Fault(
        "mixed-order",
        "half of the norms moved behind their activations",
        lambda net: [0] if len(net.blocks) * 2 > len(net.norms) > 9 else [],
        half_behind,
        everywhere=True,
    ),
    Fault(
        "double-activation",
        "a relu before a norm and its activation",
        lambda net: net.blocks,
        act_behind,
        NO_OFFSET,
    ),
    Fault("stacked-norm", "a second batch norm behind one", lambda net: net.norms, second_norm),
    Fault(
        "affine-chain",
        "the activations among three layers taken out",
        rows_of_layers,
        nothing_bends,
        {"dropout-before-norm": "a dropout among them reaches the next norm without a bend"},
    ),
    Fault(
        "unnormalized-skip",
        "a skip from before the norm",
        skips,
        raw_skip,
        {"affine-chain": "from before the norm is from before the activation, too"},
    ),
    Fault(
        "partial-coverage", "the norm of a hidden convolution taken out", hidden_blocks, left_out
    ),
    Fault(
        "norm-on-output",
        "a norm at the output",
        ends,
        norm_at_the_end,
        {"dropout-before-norm": "a dropout stands before the last layer"},
    ),
    Fault(
        "norm-on-input",
        "a batch norm at the input",
        lambda net: [t.node for t in net.graph.input_tensors if len(net.shape(t.node)) > 2],
        norm_at_the_start,
    ),
    Fault("padding-before-norm", "zeros padded before a norm", lambda net: net.maps, padded),
    Fault(
        "norm-before-pool",
        "the norm moved right before a pooling",
        before_pools,
        norm_then_pool,
        NO_OFFSET,
    ),
    Fault(
        "norm-on-residual-trunk",
        "a norm behind a residual sum",
        trunks,
        norm_on_trunk,
        {"stacked-norm": "the branch behind the sum begins with a norm of its own"},
    ),
    Fault("selu-with-norm", "SELU behind a norm", lambda net: net.blocks, self_normalizing),
    Fault("dropout-before-norm", "dropout before a norm", lambda net: net.blocks, dropped),
    Fault(
        "unfoldable-norm",
        "a relu before a norm and its activation",
        lambda net: net.blocks,
        lambda net, block, rng: replace(
            act_behind(net, block, rng), layers=(net.layer(block.norm),)
        ),
        {"double-activation": "it is the same fault", **NO_OFFSET},
    ),
)

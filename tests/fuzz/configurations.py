"""Breaks model configurations: what a person, a bug or an attacker could have written."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from functools import cache
from random import Random
from typing import Any

MOST_COPIED = 200_000
"""Characters of JSON that a mutation copies; more than one copy in itself would fill the disk."""

KEYS = frozenset({
    "activation", "alpha", "args", "axis", "batch_input_shape", "batch_shape", "block_size",
    "build_config", "center", "class_name", "config", "cropping", "data_format",
    "depth_multiplier", "dilation_rate", "dtype", "epsilon", "filters", "function", "groups",
    "inbound_nodes", "input_layers", "kernel_size", "keras_history", "keepdims", "kwargs",
    "layers", "module", "momentum", "name", "output_layers", "output_padding", "padding",
    "pool_size", "rate", "renorm", "scale", "shape", "size", "strides", "target_shape",
    "trainable", "units", "use_bias", "value",
})  # fmt: skip
"""What the reader and the rules look at; half of all mutations go there."""

CLASSES = (
    "Add", "Activation", "AveragePooling2D", "BatchNormalization", "Concatenate", "Conv1D",
    "Conv2D", "Conv2DTranspose", "Cropping2D", "Dense", "DepthToSpace", "DepthwiseConv2D",
    "Dropout", "Embedding", "Flatten", "Functional", "GlobalAveragePooling2D",
    "GroupNormalization", "InputLayer", "LayerNormalization", "Mean", "Multiply", "Normalization",
    "PReLU", "Pad", "Permute", "ReLU", "Reshape", "Resizing", "SeparableConv2D", "Sequential",
    "TFOpLambda", "TimeDistributed", "UpSampling2D", "ZeroPadding2D", "__keras_tensor__",
    "__tuple__", "function",
)  # fmt: skip

_INPUT = {
    "class_name": "InputLayer",
    "name": "in",
    "config": {"name": "in", "batch_shape": [None, 4, 4, 1]},
    "inbound_nodes": [],
}
_CONV = {
    "class_name": "Conv2D",
    "name": "c",
    "config": {"name": "c", "filters": 2, "kernel_size": [3, 3], "strides": [0, -1]},
    "inbound_nodes": [
        {"args": [{"class_name": "__keras_tensor__", "config": {"keras_history": ["in", 0, 0]}}],
         "kwargs": {}}
    ],
}  # fmt: skip
_MODEL = {
    "class_name": "Functional",
    "config": {
        "name": "m",
        "layers": [_INPUT, _CONV],
        "input_layers": [["in", 0, 0]],
        "output_layers": [["c", 0, 0]],
    },
}


def nested(depth: int, kind: type = list) -> Any:
    """Lists in lists, or mappings in mappings."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if kind is list else {"a": value}
    return value


VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 7, 2**31, 2**63, 10**18, -(10**18), 10**400, 10**4000,
    0.5, -3.5, 1e308, 5e-324, float("nan"), float("inf"), float("-inf"),
    "", "x", "x" * 100_000, "\ud800", "[bold]x[/]", "[/]", "a\\", "\x1b[2J", "a\nb", "a/b", "a:1",
    "same", "valid", "channels_first", "mixed_float16", "Ones", "__CONSTANT_VALUE",
    [], {}, [None], [[]], [0], [-1], [0, 0], [1, 1], [2, 2], [-2, 3], [10**18, 10**18], [1] * 1000,
    [None, 10**18, 10**18, 10**18], [None, 0, 0, 0], [None] * 50, ["a", 0, 0], [["in", 0, 0]],
    ["in", -1, -1], ["in", 10**18, 10**18], [["_CONSTANT_VALUE", -1, 2.0, {}]],
    nested(50), nested(250), nested(50, dict), nested(200, dict),
    {"class_name": "__keras_tensor__"}, {"class_name": "__tuple__"},
    {"class_name": "__tuple__", "config": {"value": 3}}, {"class_name": ["Conv2D"]},
    {"class_name": "__keras_tensor__", "config": {"keras_history": ["in", 0, 10**9]}},
    {"class_name": "DTypePolicy", "config": {"name": 3}}, {"config": {"layers": []}},
    _CONV, _MODEL, [_CONV, _CONV], [_MODEL, _MODEL],
)  # fmt: skip
"""What is put in the place of something else."""

Path = tuple[Any, ...]


@cache
def places(text: str) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """The places in a configuration, and those under `KEYS`."""
    found = tuple(_places(json.loads(text), ()))
    return found, tuple(path for path in found if path[-1] in KEYS) or found


def _places(part: Any, path: Path) -> Iterator[Path]:
    keys = part if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ()
    for key in keys:
        yield (*path, key)
        yield from _places(part[key], (*path, key))


def broken(text: str, choose: Random) -> str:
    """A configuration with one to six mutations."""
    config = json.loads(text)
    everywhere, told = places(text)
    if not everywhere:
        return text  # broken already
    for _ in range(choose.choice((1, 1, 1, 2, 3, 6))):
        path = choose.choice(told if choose.random() < 0.5 else everywhere)
        other = choose.choice(told if choose.random() < 0.5 else everywhere)
        holder, giver = _holder(config, path), _holder(config, other)
        if holder is not None and giver is not None:
            choose.choice(CHANGES)(holder, path[-1], giver[other[-1]], choose)
    return _written(config)


def _written(config: Any) -> str:
    try:
        return json.dumps(config)
    except (RecursionError, ValueError):
        return '{"class_name": "Functional", "config": ' + "[" * 900 + "]" * 900 + "}"


def _holder(config: Any, path: Path) -> Any:
    """What holds a place, None where an earlier mutation has taken it away."""
    for key in path[:-1]:
        config = _inside(config, key)
    return config if _inside(config, path[-1]) is not _GONE else None


_GONE = object()


def _inside(part: Any, key: Any) -> Any:
    if isinstance(part, dict):
        return part.get(key, _GONE)
    if isinstance(part, list) and isinstance(key, int) and key < len(part):
        return part[key]
    return _GONE


def _put(holder: Any, key: Any, given: Any, choose: Random) -> None:
    holder[key] = copy.deepcopy(choose.choice(VALUES))


def _delete(holder: Any, key: Any, given: Any, choose: Random) -> None:
    del holder[key]


def _give(holder: Any, key: Any, given: Any, choose: Random) -> None:
    """A copy of something else in the file: a layer in a layer, a name in a shape."""
    text = _written(given)
    if len(text) < MOST_COPIED:
        holder[key] = json.loads(text)


def _swap_class(holder: Any, key: Any, given: Any, choose: Random) -> None:
    """Another class, of a layer or of what stands here."""
    part = holder[key] if isinstance(holder[key], dict) else holder
    if isinstance(part, dict):
        part["class_name"] = choose.choice(CLASSES)


def _again(holder: Any, key: Any, given: Any, choose: Random) -> None:
    """An element twice: a layer, a call, an input, a dimension."""
    if isinstance(holder, list) and len(_written(holder[key])) < MOST_COPIED:
        holder.insert(key, copy.deepcopy(holder[key]))


def _shuffle(holder: Any, key: Any, given: Any, choose: Random) -> None:
    if isinstance(holder, list):
        choose.shuffle(holder)


def _wrap(holder: Any, key: Any, given: Any, choose: Random) -> None:
    holder[key] = [holder[key]] if choose.random() < 0.5 else {"value": holder[key]}


def _count(holder: Any, key: Any, given: Any, choose: Random) -> None:
    """A number a little beside what it was."""
    if isinstance(holder[key], (int, float)):
        holder[key] += choose.choice((-1, 1, 1000, 10**12))
    elif isinstance(holder[key], list):
        holder[key] *= choose.choice((0, 2, 3))


Change = Callable[[Any, Any, Any, Random], None]
CHANGES: tuple[Change, ...] = (
    _put, _put, _put, _delete, _give, _give, _swap_class, _again, _shuffle, _wrap, _count,
)  # fmt: skip

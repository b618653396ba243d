"""Statistics in half precision.

## What it does
Finds batch norms whose variables are of 16 bits (the pure policies `float16` and `bfloat16`), and
normalizations of other origin that compute in float16 with an epsilon below 1e-5 (bfloat16 has the
range of float32). Keras' own norms
under `mixed_float16` and `mixed_bfloat16` are right: they compute in 32 bits. Norms with
`trainable=False` are exempt.

## Why is this bad
A moving average adds small steps to a large number, which 16 bits round away, so that it stalls;
and a small epsilon, or the square of a value, is outside of what float16 can hold.

## Evidence
- Measured on Keras 3.15.1: under the pure policy `bfloat16` the moving statistics of a batch norm
  stall.
- Read in the source of Keras: batch, group and layer normalization compute in float32 under mixed
  policies.
- keras issue 22586 and pull request 22589: group normalization overflowed in float16 until 2026.
- tensorflow issue 24979: batch normalization in float16.

## Example
```python
keras.config.set_dtype_policy("bfloat16")
```

## Use instead
```python
keras.config.set_dtype_policy("mixed_bfloat16")  # variables stay float32
```

## Fix safety
Outputs change by rounding.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from normwise.graph.catalogue import Role
from normwise.norms.mends import configure
from normwise.rules.context import Context
from normwise.rules.context.batch_statistics import learning
from normwise.rules.context.numbers import number
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_by_itself
from normwise.rules.sketches import Sketch
from normwise.rules.words import counted

_HALVES = frozenset({"float16", "bfloat16"})
SMALLEST_EPSILON = 1e-5


def _look(context: Context) -> Iterator[Spot]:
    stalling = [i for i in learning(context, renorm=True) if _policy(context, i) in _HALVES]
    if stalling:
        yield each_by_itself(context, stalling, lambda some: _of_statistics(context, some))
    for layer in context.layers(context.of_role(Role.OTHER)):
        index = context.graph.calls[layer][0]
        node, policy = context.nodes[index], _policy(context, index)
        epsilon = number(node.config.get("epsilon"))
        if epsilon is None or not _normalizes(context, index):
            continue
        if policy.removeprefix("mixed_") == "float16" and 0 <= epsilon < SMALLEST_EPSILON:
            yield Spot(
                (layer,),
                f"{layer}, a {node.class_name}, computes in float16 with epsilon={epsilon:g}, "
                "unless it changes the type itself.",
            )


def _of_statistics(context: Context, stalling: Sequence[int]) -> Spot:
    keeps = "keeps" if len(stalling) == 1 else "keep"
    return Spot(
        context.layers(stalling),
        f"{counted(len(stalling), 'batch normalization')} {keeps} moving statistics in "
        f"{_policy(context, stalling[0])}, where small steps are rounded away.",
        mends=tuple(
            configure(context.layer(i), {"dtype": f"mixed_{_policy(context, i)}"}) for i in stalling
        ),
    )


def _normalizes(context: Context, index: int) -> bool:
    """Whether a layer that isn't Keras' own seems to be a normalization."""
    node = context.nodes[index]
    return "norm" in node.class_name.lower() and node.config.get("trainable") is not False


def _policy(context: Context, index: int) -> str:
    """The name of a layer's dtype policy; empty where its configuration says none."""
    told = context.nodes[index].config.get("dtype")
    if isinstance(told, Mapping):
        settings = told.get("config")
        told = settings.get("name") if isinstance(settings, Mapping) else None
    return told if isinstance(told, str) else ""


def _named(name: str) -> Mapping[str, object]:
    """A policy as Keras 3 writes it."""
    return {"module": "keras", "class_name": "DTypePolicy", "config": {"name": name}}


def _of(class_name: str, **config: Any) -> Context:
    """A normalization of some class."""
    net = Sketch()
    x = net.add(class_name, net.conv(8, net.input(32, 32, 3)), name="norm", **config)
    return net.context(net.conv(1, net.relu(x)))


def _pure() -> Context:
    """A batch norm under the policy `bfloat16`."""
    return _of("BatchNormalization", dtype=_named("bfloat16"))


def _pure_in_keras_2() -> Context:
    """The same as Keras 2 writes it, in float16."""
    return _of("BatchNormalization", dtype="float16")


def _own_class() -> Context:
    """A normalization of the user's own under `mixed_float16`."""
    return _of("FilterResponseNorm", dtype=_named("mixed_float16"), epsilon=1e-6)


def _mixed() -> Context:
    """A batch norm under a mixed policy."""
    return _of("BatchNormalization", dtype=_named("mixed_bfloat16"))


def _of_each_input() -> Context:
    """A layer norm in float16: Keras computes in float32, and there is nothing that could stall."""
    return _of("LayerNormalization", dtype=_named("float16"), epsilon=1e-6)


def _frozen() -> Context:
    """A frozen batch norm in float16, as for inference."""
    return _of("BatchNormalization", dtype=_named("float16"), trainable=False)


def _own_class_in_full() -> Context:
    """Normalizations of the user's own in float32, in bfloat16, or with a larger epsilon."""
    net = Sketch()
    x = net.add("FilterResponseNorm", net.conv(8, net.input(32, 32, 3)), epsilon=1e-6)
    x = net.add("FilterResponseNorm", x, epsilon=1e-3, dtype=_named("mixed_float16"))
    x = net.add("FilterResponseNorm", x, epsilon=1e-6, dtype=_named("mixed_bfloat16"))
    return net.context(net.conv(1, x))


RULE = Rule(
    code="NW211",
    name="half-precision-norm",
    severity=Severity.WARNING,
    document=__doc__,
    look=_look,
    fix='Use a mixed policy, or dtype="float32" for these layers.',
    keeps_outputs=False,
    by_hand="the layer is not one of Keras' own.",
    invalid=(
        Invalid(_pure, ("norm",)),
        Invalid(_pure_in_keras_2, ("norm",)),
        Invalid(_own_class, ("norm",)),
    ),
    valid=(_mixed, _of_each_input, _frozen, _own_class_in_full),
)

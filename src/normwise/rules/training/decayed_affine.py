"""Weight decay on gamma and beta.

## What it does
Looks at the optimizer's `weight_decay`, where it is known, and whether gamma and beta are left out
of it (`exclude_from_weight_decay`; a model's file says the decay that it was compiled with, and not
what was left out), and at norms with an L2 regularizer on gamma or beta. An L1
regularizer on gamma, which prunes channels, and layers with `trainable=False` are exempt.

## Why is this bad
Decay pulls gamma towards 0 and so shrinks every feature, for which the next layer's weights only
make up; on beta it does the same to the offset that decides what an activation passes on.

## Evidence
- He et al. 2019 (Bag of Tricks for Image Classification with CNNs), section 3.1: weight decay on
  kernels alone, without gamma, beta and biases.
- van Laarhoven 2017 (L2 Regularization versus Batch and Weight Normalization): on a kernel before a
  norm decay only sets the effective learning rate.
- Read in the source of Keras 3.15.1: `weight_decay` acts on every trainable variable that isn't
  excluded before the optimizer is built.
- The effect is usually small: a note.

## Example
```python
optimizer = keras.optimizers.AdamW(weight_decay=0.05)
```

## Use instead
```python
optimizer = keras.optimizers.AdamW(weight_decay=0.05)
optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])  # before it is built
```
On TensorFlow these names are searched in `layer/gamma`, on JAX and PyTorch in `gamma` alone; what
one of them leaves out is not reported. The parameter of RMS normalization is called `scale`.

## Fix safety
The model stays as it is; training changes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from normwise.norms.mends import configure
from normwise.rules.context import Context, Training
from normwise.rules.context.numbers import number
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_by_itself
from normwise.rules.sketches import Sketch
from normwise.rules.words import counted

_AFFINE = {"gamma": "scale", "beta": "center"}
_PARAMETERS = {"RMSNormalization": {"scale": "scale"}}
"""Norms with other parameters: the name of each variable, and the setting that it needs."""
_NONE = {"gamma_regularizer": None, "beta_regularizer": None}


def _look(context: Context) -> Iterator[Spot]:
    norms = [i for i in context.norms if not context.is_frozen(i)]
    regularized = [i for i in norms if any(_is_squared(context, i, name) for name in _AFFINE)]
    if regularized:
        yield each_by_itself(context, regularized, lambda some: _of_regularizers(context, some))
    decay = number(context.training.optimizer.get("weight_decay"))
    spared = _spared(context.training.optimizer.get("exclude_from_weight_decay"))
    decayed = [i for i in norms if decay and any(_learned(context, i, spared))]
    if decayed:
        yield each_by_itself(context, decayed, lambda some: _of_decay(context, some, decay or 0.0))


def _of_regularizers(context: Context, norms: Sequence[int]) -> Spot:
    layers = context.layers(norms)
    return Spot(
        layers,
        f"{counted(len(layers), 'normalization')} with an L2 regularizer on gamma or beta.",
        fix="Leave out gamma_regularizer and beta_regularizer.",
        mends=tuple(configure(layer, _NONE) for layer in layers),
    )


def _of_decay(context: Context, norms: Sequence[int], decay: float) -> Spot:
    layers = context.layers(norms)
    # Keras 3 writes an optimizer's settings without them.
    unless = ", unless they were left out, which no file says" if context.training.read else ""
    return Spot(
        layers,
        f"The optimizer's weight decay of {decay:g} also pulls at gamma and beta of "
        f"{counted(len(layers), 'normalization')}{unless}.",
    )


def _spared(names: object) -> re.Pattern[str] | None:
    """What Keras makes of `var_names`: a pattern that is searched in a variable's name."""
    told = [names] if isinstance(names, str) else names if isinstance(names, Iterable) else ()
    texts = [name for name in told if isinstance(name, str)]
    if not texts:
        return None
    try:
        return re.compile("|".join(texts))
    except re.error:
        return re.compile("|".join(map(re.escape, texts)))


def _learned(context: Context, index: int, spared: re.Pattern[str] | None) -> Iterator[str]:
    """The affine parameters that decay acts on."""
    node = context.nodes[index]
    for name, setting in _PARAMETERS.get(node.class_name, _AFFINE).items():
        there = node.config.get(setting, True) is not False
        # TensorFlow searches in the second, the others in the first.
        names = (name, f"{node.layer}/{name}")
        if there and not (spared and any(map(spared.search, names))):
            yield name


def _is_squared(context: Context, index: int, name: str) -> bool:
    """Whether a regularizer of gamma or beta is of squares."""
    told = context.nodes[index].config.get(f"{name}_regularizer")
    if not isinstance(told, Mapping):
        return isinstance(told, str) and told.lower() == "l2"
    settings = told.get("config")
    if not isinstance(settings, Mapping):
        return False
    # Of both kinds it is the L1 that is meant.
    return bool(number(settings.get("l2"))) and not number(settings.get("l1"))


def _trained(optimizer: Mapping[str, Any], **config: object) -> Context:
    """A batch norm, and the optimizer's settings."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3)), name="norm", **config))
    return net.context(net.conv(1, x), training=Training(optimizer=optimizer))


def _trained_rms(optimizer: Mapping[str, Any]) -> Context:
    """An RMS normalization, and the optimizer's settings."""
    net = Sketch()
    x = net.add("RMSNormalization", net.dense(8, net.input(4)), name="norm")
    return net.context(net.dense(1, net.relu(x)), training=Training(optimizer=optimizer))


def _decay_on_all() -> Context:
    """AdamW as it comes."""
    return _trained({"weight_decay": 0.004})


def _beta_decays() -> Context:
    """Gamma is left out, beta isn't."""
    return _trained({"weight_decay": 0.004, "exclude_from_weight_decay": ["gamma"]})


def _regularized() -> Context:
    """An L2 regularizer on gamma, as some networks have it on all variables."""
    squared = {"class_name": "L2", "config": {"l2": 1e-4}}
    return _trained({}, gamma_regularizer=squared)


def _left_out() -> Context:
    """Gamma, beta and biases are left out."""
    names = ["gamma", "beta", "bias"]
    return _trained({"weight_decay": 0.004, "exclude_from_weight_decay": names})


def _left_out_by_layer() -> Context:
    """The norms are left out by the layers' names, which TensorFlow looks at."""
    return _trained({"weight_decay": 0.004, "exclude_from_weight_decay": ["norm"]})


def _scale_of_rms() -> Context:
    """RMS normalization, whose parameter is called `scale`."""
    names = ["gamma", "beta", "bias"]
    return _trained_rms({"weight_decay": 0.004, "exclude_from_weight_decay": names})


def _left_out_by_patterns() -> Context:
    """Patterns that fit a variable's own name, which JAX and PyTorch look at."""
    names = ["^gamma$", "^beta$"]
    return _trained({"weight_decay": 0.004, "exclude_from_weight_decay": names})


def _scale_left_out() -> Context:
    """RMS normalization, with its parameter left out."""
    return _trained_rms({"weight_decay": 0.004, "exclude_from_weight_decay": ["scale"]})


def _read_from_a_file() -> Context:
    """A file tells the decay, and not what was left out of it."""
    context = _trained({"weight_decay": 0.004})
    return replace(context, training=replace(context.training, read=True))


def _no_decay() -> Context:
    """No weight decay, or nobody said."""
    return _trained({"weight_decay": None, "learning_rate": 1e-3})


def _pruned() -> Context:
    """An L1 regularizer on gamma prunes channels: it is meant."""
    return _trained({}, gamma_regularizer={"class_name": "L1", "config": {"l1": 1e-4}})


def _pruned_and_decayed() -> Context:
    """Both regularizers: of the two it is the L1 that is meant."""
    both = {"class_name": "L1L2", "config": {"l1": 1e-4, "l2": 1e-5}}
    return _trained({}, gamma_regularizer=both)


def _nothing_to_decay() -> Context:
    """A norm without gamma and beta."""
    return _trained({"weight_decay": 0.004}, scale=False, center=False)


def _frozen() -> Context:
    """A frozen norm."""
    return _trained({"weight_decay": 0.004}, trainable=False)


RULE = Rule(
    code="NW208",
    name="decayed-affine",
    severity=Severity.INFO,
    document=__doc__,
    look=_look,
    fix='Call optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"]) before it '
    "is built.",
    keeps_outputs=True,
    by_hand="the optimizer has to change, not the model.",
    invalid=(
        Invalid(_decay_on_all, ("norm",)),
        Invalid(_beta_decays, ("norm",)),
        Invalid(_scale_of_rms, ("norm",)),
        Invalid(_read_from_a_file, ("norm",)),
        Invalid(_regularized, ("norm",)),
    ),
    valid=(
        _left_out, _left_out_by_layer, _left_out_by_patterns, _scale_left_out, _no_decay,
        _pruned, _pruned_and_decayed, _nothing_to_decay, _frozen,
    ),
)  # fmt: skip

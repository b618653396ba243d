"""Moving statistics that never moved in a trained model.

## What it does
Finds batch norms whose moving mean is exactly 0 and moving variance exactly 1 although their gamma
or beta have left their initial values. Where both are as they began the norm may be new, and the
rule stays silent; norms with `trainable=False`, which may serve as fixed scales, are exempt.

## Why is this bad
In inference the norm leaves its input as it is, but the layers after it were trained on normalized
values, so that predictions have little to do with what was trained.

## Evidence
- The mechanism: training loops that call the model without `training=True`, a momentum of 1,
  weights that were loaded by name or converted without the statistics.
- pytorch2keras issue 70: a converted momentum of 1.

## Example
```python
with tf.GradientTape() as tape:
    loss = loss_of(model(x), y)
```

## Use instead
```python
with tf.GradientTape() as tape:
    loss = loss_of(model(x, training=True), y)
```

## Fix safety
Outputs change, which is the point: `normwise recalibrate` measures the statistics on data.
"""

from collections.abc import Iterator, Mapping, Sequence

from normwise.rules.context import Context
from normwise.rules.context.batch_statistics import learning
from normwise.rules.context.numbers import number
from normwise.rules.rule import Invalid, Rule, Severity, Spot, each_by_itself
from normwise.rules.sketches import Sketch, SketchedWeights, Values
from normwise.rules.words import counted

UNTRAINED = 2e-3
"""What a gamma is off by that makes up for another epsilon, and was never trained."""
_INITIAL = {"Zeros": 0.0, "Ones": 1.0}


def _look(context: Context) -> Iterator[Spot]:
    norms = [index for index in learning(context, renorm=True) if _is_untouched(context, index)]
    if norms:
        yield each_by_itself(context, norms, lambda some: _spot(context, some))


def _spot(context: Context, norms: Sequence[int]) -> Spot:
    has = "has" if len(norms) == 1 else "have"
    return Spot(
        context.layers(norms),
        f"{counted(len(norms), 'batch normalization')} {has} a moving mean of 0 and a moving "
        "variance of 1 in every channel, while gamma or beta were trained.",
    )


def _is_untouched(context: Context, index: int) -> bool:
    weights, config = context.weights_of(index), context.nodes[index].config
    if weights is None or not weights.has_initial_statistics:
        return False
    return _has_moved(weights.gamma, config.get("gamma_initializer", "Ones")) or _has_moved(
        weights.beta, config.get("beta_initializer", "Zeros")
    )


def _has_moved(values: Sequence[float] | None, initializer: object) -> bool:
    """Whether an affine parameter left its initial value; no where that isn't known."""
    start = _start(initializer)
    if values is None or start is None:
        return False
    return any(abs(value - start) > UNTRAINED for value in values)


def _start(initializer: object) -> float | None:
    if isinstance(initializer, str):
        return _INITIAL.get(initializer.capitalize())
    if not isinstance(initializer, Mapping):
        return None
    name, settings = str(initializer.get("class_name")), initializer.get("config")
    if name == "Constant" and isinstance(settings, Mapping):
        return number(settings.get("value"))
    return _INITIAL.get(name)


def _of(*values: Values, **config: object) -> Context:
    """A batch norm with some weights: mean and variance, or gamma, beta, mean and variance."""
    net = Sketch()
    x = net.relu(net.norm(net.conv(8, net.input(32, 32, 3)), name="norm", **config))
    return net.context(net.conv(1, x), weights=SketchedWeights.of_norms(norm=values))


_TRAINED = (0.9, 1.1, 1.0, 1.2, 0.8, 1.0, 1.0, 1.3)


def _never_moved() -> Context:
    """Trained gammas, statistics of 0 and 1."""
    return _of(_TRAINED, 0.0, 0.0, 1.0)


def _beta_alone() -> Context:
    """A trained beta, and a gamma that began at zero and stayed there."""
    return _of(0.0, 0.3, 0.0, 1.0, gamma_initializer={"class_name": "Zeros", "config": {}})


def _new() -> Context:
    """A model that was never trained, or a norm that was added to one that was."""
    return _of(0.0, 1.0)


def _new_residual() -> Context:
    """A new norm with a gamma that begins at zero, at the end of a residual branch."""
    return _of(0.0, 0.0, 0.0, 1.0, gamma_initializer={"class_name": "Zeros", "config": {}})


def _made_up() -> Context:
    """A new norm whose gamma makes up for another epsilon, as surgery leaves it."""
    return _of(0.9995, 0.0, 0.0, 1.0)


def _random_gamma() -> Context:
    """A gamma that begins at random, as in some generative networks."""
    return _of(_TRAINED, 0.0, 0.0, 1.0, gamma_initializer={"class_name": "RandomNormal"})


def _trained() -> Context:
    """A trained norm."""
    return _of(_TRAINED, 0.1, 0.3, 0.7)


def _centred() -> Context:
    """A trained norm of values whose mean is exactly zero."""
    return _of(_TRAINED, 0.1, 0.0, 0.7)


def _frozen() -> Context:
    """A frozen norm as a fixed scale and shift."""
    return _of(_TRAINED, 0.2, 0.0, 1.0, trainable=False)


RULE = Rule(
    code="NW209",
    name="untouched-statistics",
    severity=Severity.ERROR,
    document=__doc__,
    look=_look,
    fix="Measure the statistics (normwise recalibrate); mend the training loop if it is yours.",
    keeps_outputs=False,
    by_hand="data are needed: `normwise recalibrate` measures the statistics.",
    invalid=(Invalid(_never_moved, ("norm",)), Invalid(_beta_alone, ("norm",))),
    valid=(
        _new, _new_residual, _made_up, _random_gamma, _trained, _centred, _frozen,
    ),
)  # fmt: skip

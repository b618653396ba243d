"""AdamW with a linear warm-up and a cosine decay, and weight decay on kernels only."""

from collections.abc import Iterable
from typing import Any, Final

import keras

from normwise.training.recipe import TrainingSettings

_UNDECAYED: Final = frozenset({"gamma", "beta", "bias"})


def make_optimizer(
    settings: TrainingSettings, total_steps: int, variables: Iterable[Any]
) -> keras.optimizers.AdamW:
    """The optimizer of a run.

    Gamma, beta and biases are left out of the weight decay: a decayed gamma or bias only moves
    a normalized tensor (He et al. 2019, arXiv:1812.01187, section 3.1). Keras wants that said
    before the optimizer is built, so it is built here.

    Args:
        settings: Learning rate, warm-up and weight decay.
        total_steps: Steps of the whole run, warm-up included.
        variables: The trainable variables.

    Returns:
        An optimizer with its slots, ready for `compile` and for `load_checkpoint`.
    """
    variables = list(variables)
    optimizer = keras.optimizers.AdamW(
        learning_rate=learning_rate_schedule(settings, total_steps),
        weight_decay=settings.weight_decay,
    )
    undecayed = [variable for variable in variables if not decays(variable)]
    optimizer.exclude_from_weight_decay(var_list=undecayed)
    optimizer.build(variables)
    return optimizer


def decays(variable: Any) -> bool:
    """Whether weight decay acts on a variable: on kernels, not on scales and offsets.

    Vectors never decay, whatever a custom layer calls them; the names catch the gammas of
    higher rank, such as those of a layer norm over rows, columns and channels.
    """
    return len(variable.shape) > 1 and variable.name not in _UNDECAYED


def learning_rate_schedule(
    settings: TrainingSettings, total_steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Linear up to `learning_rate` over the share `warmup` of all steps, then a half cosine to 0.

    The first step already moves the weights: the warm-up starts at one step's share of the
    rate, not at 0.
    """
    peak = settings.learning_rate
    warmup_steps = min(round(settings.warmup * total_steps), total_steps - 1)
    if warmup_steps < 1:
        return keras.optimizers.schedules.CosineDecay(peak, max(total_steps, 1))
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=peak / (warmup_steps + 1),
        decay_steps=total_steps - warmup_steps,
        warmup_target=peak,
        warmup_steps=warmup_steps,
    )

"""AdamW by the recipe: schedule, clipping, accumulation, averaged weights, scaled losses."""

from typing import Any, Final

import keras

from normwise.training.averaging import AveragingAdamW, statistics_of
from normwise.training.schedule import learning_rate_schedule
from normwise.training.training_settings import TrainingSettings

UNDECAYED: Final = frozenset({"gamma", "beta", "bias"})
"""Names of variables that weight decay leaves alone."""


def make_optimizer(
    settings: TrainingSettings, total_steps: int, model: keras.Model, schedule: Any = None
) -> keras.optimizers.Optimizer:
    """The optimizer of a run.

    Gamma, beta and biases are left out of the weight decay: a decayed gamma or bias only moves
    a normalized tensor (He et al. 2019, arXiv:1812.01187, section 3.1). Keras wants that said
    before the optimizer is built, so it is built here.

    With `mixed_float16` small gradients would vanish: the loss is scaled up and the gradients
    down again, by a factor that finds itself; a step whose gradients overflow is skipped.

    Args:
        settings: Learning rate, warm-up, weight decay, clipping, accumulation and averaging.
        total_steps: Steps of the whole run, warm-up included.
        model: The model that will train.
        schedule: A schedule of the learning rate in place of the recipe's.

    Returns:
        An optimizer with its slots, ready for `compile` and for `load_checkpoint`.
    """
    variables = list(model.trainable_variables)
    schedule = schedule or learning_rate_schedule(settings, total_steps)
    optimizer = _adamw(settings, schedule, statistics_of(model))
    undecayed = [variable for variable in variables if not decays(variable)]
    optimizer.exclude_from_weight_decay(var_list=undecayed)
    if settings.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(variables)
    return optimizer


def _adamw(
    settings: TrainingSettings, schedule: Any, statistics: list[Any]
) -> keras.optimizers.AdamW:
    options: dict[str, Any] = {
        "learning_rate": schedule,
        "weight_decay": settings.weight_decay,
        "global_clipnorm": settings.clip_norm,
        "gradient_accumulation_steps": settings.accumulate if settings.accumulate > 1 else None,
    }
    if settings.ema is None:
        return keras.optimizers.AdamW(**options)
    return AveragingAdamW(settings.ema, statistics, **options)


def decays(variable: Any) -> bool:
    """Whether weight decay acts on a variable: on kernels, not on scales and offsets.

    Vectors never decay, whatever a custom layer calls them; the names catch the gammas of
    higher rank, such as those of a layer norm over rows, columns and channels.
    """
    return len(variable.shape) > 1 and variable.name not in UNDECAYED

"""How long: epochs, the steps of each, and where the run ends in any case."""

from typing import Final

from normwise.training.configure.network import PLANNED
from normwise.training.configure.situation import Chosen, Situation, pixels_of_step, steps_of

_ALWAYS_ENOUGH: Final = 3000
_MOST_PASSES: Final = 300
"""How often each training pixel may be seen where that takes more steps than `_ALWAYS_ENOUGH`."""
_EPOCHS: Final = 25
_FEWEST_EPOCHS: Final = 5
_VALIDATING: Final = 0.15
"""Share of the budget that validation may take, beside the steps that are planned."""
_MOST_VALIDATING: Final = 0.6
"""Share that the fewest epochs may take: beyond it nearly nothing would be left to train in."""
_VALIDATED: Final = 2 / 3
"""Of the time of a training step, pixel by pixel: no way back, but larger tiles, and metrics."""


def epochs(situation: Situation, chosen: Chosen) -> tuple[int, str]:
    """How often the model is validated."""
    each, fitting = _validation_seconds(situation, chosen), _fitting_epochs(situation, chosen)
    bearable = _bearable(_VALIDATING, situation, each)
    fewest = min(_FEWEST_EPOCHS, max(1, _bearable(_MOST_VALIDATING, situation, each)))
    found = max(fewest, bearable)
    if fitting < found:
        return max(1, fitting), _why_so_few(situation, chosen, fitting)
    if found == _EPOCHS:
        return found, "validated often enough to keep the best, rarely enough to cost little"
    seconds = f"{each:.0f}" if each >= 10 else f"{each:.2g}"
    return found, (
        f"to validate takes about {seconds} s: more often would leave too little of the "
        f"{situation.budget:.0f} s to training"
    )


def _why_so_few(situation: Situation, chosen: Chosen, fitting: int) -> str:
    given = "a single step"
    if "training.steps" in chosen:
        given = f"{steps_of(situation, chosen)} steps, as you said,"
    one = f"{'' if fitting else 'not even '}1 epoch of {given} fits"
    said = one if fitting < 2 else f"{fitting} epochs of {given} fit"
    return f"{said} into the {situation.budget:.0f} s"


def _bearable(share: float, situation: Situation, each: float) -> int:
    """How many validations fit into a share of the budget; no more than are wanted."""
    return min(_EPOCHS, int(share * situation.budget / each)) if each > 0 else _EPOCHS


def _fitting_epochs(situation: Situation, chosen: Chosen) -> int:
    """How many epochs fit into the time, of the steps that are told or else of a single one."""
    each = steps_of(situation, chosen) if "training.steps" in chosen else 1
    training = each * _step_seconds(situation, chosen)
    both = training + _validation_seconds(situation, chosen)
    planned = situation.budget * PLANNED
    return int(min(planned / training, (planned + _VALIDATING * situation.budget) / both))


def steps(situation: Situation, chosen: Chosen) -> tuple[int, str]:
    """Steps of an epoch: the time, divided."""
    seconds, times = _step_seconds(situation, chosen), chosen["training.epochs"]
    validating = times * _validation_seconds(situation, chosen)
    beyond = max(0.0, validating - _VALIDATING * situation.budget)
    fitting = (situation.budget * PLANNED - beyond) / seconds
    each = max(1, int(min(fitting, _most_steps(situation, chosen))) // times)
    return each, _why_so_many(situation, chosen, each * times, fitting, validating)


def _why_so_many(
    situation: Situation, chosen: Chosen, total: int, fitting: float, validating: float
) -> str:
    """What bounds the steps: the time, the data, or that an epoch has one step at least."""
    seconds, given = _step_seconds(situation, chosen), f"{situation.budget:.0f} s"
    told = f"{seconds:.3g} s a step measured; {total} steps in {total * seconds:.0f} s"
    if total * seconds + validating > situation.budget:
        return f"{told} and {validating:.0f} s of validation, the fewest, are more than the {given}"
    if fitting <= _most_steps(situation, chosen):
        return f"{told}, the rest of the {given} is for validation and the machine's other work"
    seen = total * pixels_of_step(chosen) / situation.fingerprint.pixels
    return (
        f"{told}; more would fit into the {given}, but each training pixel is seen about "
        f"{seen:.0f} times in these, and what is seen yet more often is rather learned by heart"
    )


def _most_steps(situation: Situation, chosen: Chosen) -> float:
    """Steps beyond which a network mostly sees again what it has seen often."""
    passes = _MOST_PASSES * situation.fingerprint.pixels / pixels_of_step(chosen)
    return max(_ALWAYS_ENOUGH, passes)


def _step_seconds(situation: Situation, chosen: Chosen) -> float:
    return situation.cost(chosen["network.filters"], chosen).seconds


def _validation_seconds(situation: Situation, chosen: Chosen) -> float:
    """About how long it takes to validate once."""
    share = situation.validating / pixels_of_step(chosen)
    return _VALIDATED * share * _step_seconds(situation, chosen)


def budget(situation: Situation, chosen: Chosen) -> tuple[float, str]:
    """Where the run ends in any case."""
    return situation.budget, "no epoch starts after it, should the machine be slower than measured"

"""The network, its size and its normalization."""

from typing import Final

from normwise.training.configure.situation import Chosen, Situation, pixels_of

_COARSEST: Final = 8
_DEEPEST: Final = 4
_WIDTHS: Final = (32, 24, 16, 12, 8)
_MEASURED: Final = 16
_ENOUGH_STEPS: Final = 1200
PLANNED: Final = 0.7
"""Share of the budget that steps are planned for."""
_RESIDUAL: Final = 0.5
_BATCH: Final = 8
_SMALL_PATCH: Final = 64 * 64
_OF_MEMORY: Final = 0.5
_FEW_FOR_BATCH_NORM: Final = 4
_LEFT: Final = 0.01


def name(situation: Situation, chosen: Chosen) -> tuple[str, str]:
    """The network."""
    return "unet", "details by its skips, context by its depth; it trains fast on few images"


def depth(situation: Situation, chosen: Chosen) -> tuple[int, str]:
    """Down-sampling steps."""
    side, deepest = min(chosen["data.patch"]), 1
    while (
        deepest < _DEEPEST
        and side % 2 ** (deepest + 1) == 0
        and (side // 2 ** (deepest + 1) >= _COARSEST)
    ):
        deepest += 1
    left = side // 2**deepest
    return deepest, f"{left} pixels remain of a patch's {side} at the coarsest resolution"


def batch_size(situation: Situation, chosen: Chosen) -> tuple[int, str]:
    """Patches a step, as many as the memory holds."""
    wanted = 2 * _BATCH if pixels_of(chosen["data.patch"]) < _SMALL_PATCH else _BATCH
    needed = situation.cost(_MEASURED, {**chosen, "training.batch_size": 1}).bytes_a_patch
    fitting = max(1, int(situation.memory * _OF_MEMORY / max(needed, 1)))
    megabytes, free = needed / 2**20, situation.memory / 2**30
    told = f"about {megabytes:.0f} MB a patch, {free:.1f} GB are free"
    if fitting < wanted:
        return fitting, f"{told}: more would not fit into half of it"
    return wanted, f"{told}; enough for statistics of a batch, small enough for many steps"


def filters(situation: Situation, chosen: Chosen) -> tuple[int, str]:
    """Channels of the first level: as wide as data and time allow."""
    most, why = _by_data(situation.fingerprint.pixels)
    measured = situation.cost(_MEASURED, chosen).seconds
    usable = situation.budget * PLANNED
    for width in _WIDTHS:
        # Between the cost of convolutions (squared) and of everything else (linear).
        ratio = width / _MEASURED
        seconds = measured * (0.4 * ratio + 0.6 * ratio**2)
        if width <= most and usable / seconds >= _ENOUGH_STEPS:
            steps = int(usable / seconds)
            limit = why if width == most else f"wider ones leave fewer than {_ENOUGH_STEPS} steps"
            return width, f"{limit}; about {steps} steps fit into the time"
    return _WIDTHS[-1], "the time is short: even the narrowest leaves few steps"


def _by_data(pixels: int) -> tuple[int, str]:
    millions = f"{pixels / 1e6:.2g} million training pixels"
    if pixels < 3e5:
        return 16, f"{millions} don't fill a wider network"
    if pixels < 2e6:
        return 24, f"{millions} fill a network of middle width"
    return 32, f"{millions} fill a wide network"


def input_residual(situation: Situation, chosen: Chosen) -> tuple[bool, str]:
    """Whether the network predicts what a linear function of the input leaves."""
    if situation.segmentation:
        return False, "classes are no values that could be added to"
    told = f"the pixel's own channels explain {situation.linear:.1%} of the targets' variance"
    if situation.linear >= _RESIDUAL:
        return True, f"{told}: the network predicts what they leave"
    return False, told


def norm(situation: Situation, chosen: Chosen) -> tuple[str, str]:
    """The norm plan, with a momentum for the number of steps."""
    batch, steps = chosen["training.batch_size"], chosen["training.steps"]
    if batch < _FEW_FOR_BATCH_NORM:
        return "group(groups=4)@pre-activation", (
            f"batches of {batch} are too small for statistics of a batch"
        )
    momentum = round(min(0.99, max(0.8, _LEFT ** (1 / steps))), 2)
    left, usual = momentum**steps, 0.99**steps
    return f"batch(momentum={momentum:g})@pre-activation", (
        f"batch norm predicts tiles without seams; {left:.1%} of the initial statistics are left "
        f"after the {steps} steps of an epoch (at 0.99 it would be {usual:.0%})"
    )

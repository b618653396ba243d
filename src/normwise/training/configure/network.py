"""The network, its size and its normalization."""

from typing import Any, Final

from normwise.networks import options_of
from normwise.training.configure.implied import has_several_outputs
from normwise.training.configure.situation import Chosen, Situation, pixels_of
from normwise.training.configure.structure import (
    depth_told,
    least_depth,
    network_for,
    own_options,
)

_COARSEST: Final = 8
_DEEPEST: Final = 4
_WIDTHS: Final = (64, 48, 32, 24, 16, 12, 8)
_MEASURED: Final = 16
_ENOUGH_STEPS: Final = 1200
PLANNED: Final = 0.75
"""Share of the budget that steps are planned for."""
_RESIDUAL: Final = 0.5
_BATCH: Final = 8
_SMALL_PATCH: Final = 64 * 64
_OF_MEMORY: Final = 0.5


def name(situation: Situation, chosen: Chosen) -> tuple[str, str]:
    """The network."""
    found = network_for(chosen)
    if found not in (None, "unet"):
        options = [option for option in own_options(chosen) if option not in options_of("unet")]
        return str(found), f"the first network with {', '.join(options)}"
    return "unet", "details by its skips, context by its depth; it trains fast on few images"


def depth(situation: Situation, chosen: Chosen) -> tuple[int, str]:
    """Down-sampling steps."""
    if (told := depth_told(chosen)) is not None:
        return told[1], f"{told[0]} has a number for each of {told[1] + 1} levels"
    sides, deepest = chosen["data.patch"], least_depth(chosen)
    while (
        deepest < _DEEPEST
        and all(side % 2 ** (deepest + 1) == 0 for side in sides)
        and min(sides) // 2 ** (deepest + 1) >= _COARSEST
    ):
        deepest += 1
    left = min(sides) // 2**deepest
    return deepest, f"{left} pixels remain of a patch's {min(sides)} at the coarsest resolution"


def batch_size(situation: Situation, chosen: Chosen) -> tuple[int, str]:
    """Patches a step, as many as the memory holds."""
    wanted = 2 * _BATCH if pixels_of(chosen["data.patch"]) < _SMALL_PATCH else _BATCH
    width = chosen.get("network.filters") or _MEASURED
    needed = _bytes_a_patch(situation, chosen, width)
    fitting = int(_bytes_to_use(situation) / max(needed, 1))
    megabytes, memory = needed / 2**20, situation.memory / 2**30
    told = f"about {megabytes:.0f} MB a patch with {width} filters, {memory:.1f} GB to use"
    if fitting < 1:
        return 1, f"{told}: not even one fits into half of it"
    if fitting < wanted:
        return fitting, f"{told}: more would not fit into half of it"
    return wanted, f"{told}; enough for statistics of a batch, small enough for many steps"


def _bytes_a_patch(situation: Situation, chosen: Chosen, width: Any) -> int:
    return situation.cost(width, {**chosen, "training.batch_size": 1}).bytes_a_patch


def _bytes_to_use(situation: Situation) -> float:
    return situation.memory * _OF_MEMORY


def filters(situation: Situation, chosen: Chosen) -> tuple[int, str]:
    """Channels of the first level: as wide as data, time and memory allow."""
    most, limit = _by_data(situation.fingerprint.pixels)
    measured = situation.cost(_MEASURED, chosen)
    usable = situation.budget * PLANNED
    for width in (width for width in _WIDTHS if width <= most):
        # Between the cost of convolutions (squared) and of everything else (linear).
        ratio = width / _MEASURED
        steps = int(usable / (measured.seconds * (0.4 * ratio + 0.6 * ratio**2)))
        if steps < _ENOUGH_STEPS:
            limit = f"wider ones leave fewer than {_ENOUGH_STEPS} steps"
            short = f"the time is short: even the narrowest leaves only about {steps} steps"
        elif not _fits(situation, chosen, width, measured.bytes_a_patch):
            limit = "batches of wider ones don't fit into half of the memory"
            short = "not even a batch of the narrowest fits into half of the memory"
        else:
            return width, f"{limit}; about {steps} steps fit into the time"
    return _WIDTHS[-1], short


def _fits(situation: Situation, chosen: Chosen, width: int, measured: int) -> bool:
    """Whether a batch of a width fits into the memory; `measured` are the bytes of `_MEASURED`."""
    patches: float = _bytes_to_use(situation) / chosen["training.batch_size"]
    # Bytes grow with the width, and those of input and output don't: they need at most so many.
    if measured * max(1.0, width / _MEASURED) <= patches:
        return True
    return _bytes_a_patch(situation, chosen, width) <= patches


def _by_data(pixels: int) -> tuple[int, str]:
    millions = f"{pixels / 1e6:.2g} million training pixels"
    if pixels < 3e5:
        return 16, f"{millions} don't fill a wider network"
    if pixels < 2e6:
        return 24, f"{millions} fill a network of middle width"
    if pixels < 2e7:
        return 32, f"{millions} fill a wide network"
    return (48 if pixels < 1e8 else 64), f"{millions} fill a very wide network"


def input_residual(situation: Situation, chosen: Chosen) -> tuple[bool, str]:
    """Whether the network predicts what a linear function of the input leaves."""
    if situation.segmentation:
        return False, "classes are no values that could be added to"
    told = f"the pixel's own channels explain {situation.linear:.1%} of the targets' variance"
    if chosen.get("network.deep_supervision") is True:
        return False, "with deep supervision there are several heads"
    if has_several_outputs(chosen["training.loss"], chosen):
        return False, f"the loss {chosen['training.loss']} has several outputs for each target"
    if situation.linear >= _RESIDUAL:
        return True, f"{told}: the network predicts what they leave"
    return False, told

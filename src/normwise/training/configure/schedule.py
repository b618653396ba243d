"""Loss, steps and rates."""

from math import prod
from typing import Any, Final

from normwise.training.configure.implied import implied_loss, needs
from normwise.training.configure.network import PLANNED
from normwise.training.configure.situation import Chosen, Situation
from normwise.training.losses.expression import parse_loss
from normwise.training.metrics import default_metric

_MOST_STEPS: Final = 3000
_FEWEST_STEPS: Final = 200
_EPOCHS: Final = 25
_FEWEST_EPOCHS: Final = 5
_VALIDATING: Final = 0.15
"""Share of the budget that validation may take, beside the steps that are planned."""
_VALIDATED: Final = 2 / 3
"""Of the time of a training step, pixel by pixel: no way back, but larger tiles, and metrics."""
_RARE: Final = 0.05
_RARE_OF_TWO: Final = 0.02
_HEAVIEST: Final = 10.0
_FAR: Final = 50.0
_WIDE: Final = 24
_IN_EVERY_IMAGE: Final = 0.95
"""An image without foreground has no IoU of its own, or 0 for one wrong pixel."""
_OF_AREAS: Final = frozenset({"dice", "tversky"})
# Of all steps, an average is over one twentieth.
_AVERAGED: Final = 20
_SHORTEST_AVERAGE: Final = 0.9
_LONGEST_AVERAGE: Final = 0.999


def loss(situation: Situation, chosen: Chosen) -> tuple[str, str]:
    """The loss."""
    if (asked := implied_loss(chosen, situation.fingerprint.task)) is not None:
        return asked, f"{' and '.join(needs(chosen))} asks for it"
    if situation.segmentation:
        rarest = min(part.share for part in situation.fingerprint.classes)
        return "cross-entropy+dice", (
            f"the rarest class has {rarest:.1%} of the pixels: Dice counts areas, cross-entropy "
            "keeps gradients smooth"
        )
    far = max(
        (max(t.maximum - t.mean, t.mean - t.minimum) / t.std if t.std > 0 else 0.0)
        for t in situation.fingerprint.targets
    )
    told = f"the farthest target value is {far:.0f} standard deviations out"
    if far > _FAR:
        return "huber", f"{told}: single values must not rule"
    return "mean-squared", f"{told}; R2 and RMSE are about squares"


def class_weights(situation: Situation, chosen: Chosen) -> tuple[Any, str]:
    """Weights of the classes, by the square root of their rarity."""
    terms = {term.name for term in parse_loss(chosen["training.loss"])}
    if len(situation.fingerprint.classes) == 2 and terms <= _OF_AREAS:
        return None, f"{chosen['training.loss']} of two classes counts the foreground alone"
    shares = [part.share for part in situation.fingerprint.classes]
    present = [share for share in shares if share > 0]
    limit = _RARE_OF_TWO if len(shares) == 2 else _RARE
    if not present or min(present) >= limit:
        return None, f"no class has less than {limit:.0%} of the pixels"
    raw = [min(share, 1.0) ** -0.5 if share > 0 else 0.0 for share in shares]
    mean = sum(weight * share for weight, share in zip(raw, shares, strict=True))
    weights = [round(min(w / mean, _HEAVIEST), 3) if w else 1.0 for w in raw]
    return weights, (
        f"the rarest class has {min(present):.2%}: weights by the root of rarity, which lift it "
        "without drowning the others"
    )


def metric(situation: Situation, chosen: Chosen) -> tuple[str, str]:
    """The metric that decides which epoch is kept."""
    classes = len(situation.fingerprint.classes)
    found = default_metric(situation.fingerprint.task, classes)
    if not situation.segmentation:
        return found, "can be averaged over targets of unlike units"
    if classes != 2:
        return found, "every class counts alike"
    images = situation.fingerprint.classes[1].objects.images
    if images < _IN_EVERY_IMAGE:
        return found, f"the foreground's, pooled: it stands in {images:.0%} of the images"
    return "mean_image_iou", (
        f"the foreground stands in {images:.0%} of the images: each counts alike, so that the few "
        "with most of it don't decide alone"
    )


def epochs(situation: Situation, chosen: Chosen) -> tuple[int, str]:
    """How often the model is validated."""
    each = _validation_seconds(situation, chosen)
    bearable = int(_VALIDATING * situation.budget / each) if each > 0 else _EPOCHS
    if bearable >= _EPOCHS:
        return _EPOCHS, "validated often enough to keep the best, rarely enough to cost little"
    return max(_FEWEST_EPOCHS, bearable), (
        f"to validate takes about {each:.2g} s: more often would leave too little of the "
        f"{situation.budget:.0f} s to training"
    )


def steps(situation: Situation, chosen: Chosen) -> tuple[int, str]:
    """Steps of an epoch: the time, divided."""
    seconds, times = _step_seconds(situation, chosen), chosen["training.epochs"]
    validating = times * _validation_seconds(situation, chosen)
    usable = situation.budget * PLANNED - max(0.0, validating - _VALIDATING * situation.budget)
    total = int(min(max(usable / seconds, _FEWEST_STEPS), _MOST_STEPS))
    each = max(1, total // times)
    return each, (
        f"{seconds:.3g} s a step measured; {each * times} steps in {each * times * seconds:.0f} s, "
        f"the rest of the {situation.budget:.0f} s is for validation and the machine's other work"
    )


def _step_seconds(situation: Situation, chosen: Chosen) -> float:
    return situation.cost(chosen["network.filters"], chosen).seconds


def _validation_seconds(situation: Situation, chosen: Chosen) -> float:
    """About how long it takes to validate once."""
    images = situation.fingerprint.images
    pixels = situation.fingerprint.pixels * images["val"] / max(images["train"], 1)
    of_a_step: int = prod(chosen["data.patch"]) * chosen["training.batch_size"]
    return _VALIDATED * pixels / of_a_step * _step_seconds(situation, chosen)


def learning_rate(situation: Situation, chosen: Chosen) -> tuple[float, str]:
    """The highest rate."""
    filters = chosen["network.filters"]
    if (filters if isinstance(filters, int) else filters[0]) >= _WIDE:
        return 1e-3, "AdamW's usual rate"
    return 2e-3, "a narrow normalized network bears twice AdamW's usual rate"


def weight_decay(situation: Situation, chosen: Chosen) -> tuple[float, str]:
    """Decay of kernels."""
    return 0.01, "AdamW's usual decay; Keras multiplies it by the learning rate"


def ema(situation: Situation, chosen: Chosen) -> tuple[float, str]:
    """The decay of averaged weights."""
    total = chosen["training.steps"] * chosen["training.epochs"]
    decay = round(min(_LONGEST_AVERAGE, max(_SHORTEST_AVERAGE, 1 - _AVERAGED / total)), 3)
    window = min(total, 1 / (1 - decay))
    return decay, (
        f"averaged over about the last {window:.0f} of {total} steps, and batch statistics with "
        "them: steadier than the last ones"
    )


def budget(situation: Situation, chosen: Chosen) -> tuple[float, str]:
    """Where the run ends in any case."""
    return situation.budget, "no epoch starts after it, should the machine be slower than measured"

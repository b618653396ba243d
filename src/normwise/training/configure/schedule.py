"""Loss, rates and averages."""

from typing import Any, Final

from normwise.training.configure.implied import implied_loss, needs
from normwise.training.configure.situation import Chosen, Situation, steps_of
from normwise.training.losses.expression import parse_loss
from normwise.training.metrics import default_metric

_RARE: Final = 0.05
_RARE_OF_TWO: Final = 0.02
_HEAVIEST: Final = 10.0
_FAR: Final = 50.0
_WIDE: Final = 24
_IN_EVERY_IMAGE: Final = 0.95
"""An image without foreground has no IoU of its own, or 0 for one wrong pixel."""
_FEW_VALIDATE: Final = 5
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
    absent = len(shares) - len(present)
    occurs = f" that occurs ({absent} of {len(shares)} {_does(absent)} not)" if absent else ""
    if not present or min(present) >= limit:
        return None, f"no class{occurs} has less than {limit:.0%} of the pixels"
    raw = [min(share, 1.0) ** -0.5 if share > 0 else 0.0 for share in shares]
    mean = sum(weight * share for weight, share in zip(raw, shares, strict=True))
    weights = [round(min(w / mean, _HEAVIEST), 3) if w else 1.0 for w in raw]
    return weights, (
        f"the rarest class{occurs} has {min(present):.2%}: weights by the root of rarity, which "
        "lift it without drowning the others"
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


def keep(situation: Situation, chosen: Chosen) -> tuple[str, str]:
    """Whether validation tells which epoch is the best, or the schedule's end is taken."""
    images = situation.fingerprint.images["val"]
    patience = chosen.get("training.early_stopping")
    if images >= _FEW_VALIDATE:
        return "best", f"{images} images validate: the best epoch by {chosen['training.metric']}"
    if patience is not None:
        return "best", "your early_stopping looks for the best epoch"
    if chosen.get("training.schedule", "cosine") == "constant":
        return "best", "at a constant rate no epoch is the one to end with"
    number = "only one image validates" if images == 1 else f"only {images} images validate"
    return "last", f"{number}: chance would choose the epoch; at the last one the rate is lowest"


def learning_rate(situation: Situation, chosen: Chosen) -> tuple[float, str]:
    """The highest rate."""
    if chosen["network.name"] == "encoder":
        if chosen.get("network.weights") is None or chosen.get("network.frozen"):
            return 1e-3, "AdamW's usual rate"
        return 3e-4, "a third of AdamW's usual rate: pretrained weights are to be kept, not lost"
    filters = chosen["network.filters"]
    if (filters if isinstance(filters, int) else filters[0]) >= _WIDE:
        return 1e-3, "AdamW's usual rate"
    return 2e-3, "a narrow normalized network bears twice AdamW's usual rate"


def weight_decay(situation: Situation, chosen: Chosen) -> tuple[float, str]:
    """Decay of kernels."""
    return 0.01, "AdamW's usual decay; Keras multiplies it by the learning rate"


def ema(situation: Situation, chosen: Chosen) -> tuple[float, str]:
    """The decay of averaged weights; an average moves with each update of the weights."""
    accumulate = chosen.get("training.accumulate", 1)
    total = steps_of(situation, chosen) * chosen["training.epochs"] / accumulate
    what = "steps" if accumulate == 1 else "updates"
    decay = round(min(_LONGEST_AVERAGE, max(_SHORTEST_AVERAGE, 1 - _AVERAGED / total)), 3)
    window = min(total, 1 / (1 - decay))
    statistics = ", and batch statistics with them" if "batch" in str(chosen["norm"]) else ""
    return decay, (
        f"averaged over about the last {window:.0f} of {total:.0f} {what}{statistics}: steadier "
        "than the last ones"
    )


def _does(count: int) -> str:
    return "does" if count == 1 else "do"

"""Scaling, validation, patches and augmentation."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from normwise.training.configure.situation import Chosen, Situation
from normwise.training.configure.structure import stride_told

MANY_VALIDATE: Final = 0.15
_MANY: Final = 50
_UNEVEN: Final = 5.0
_FEWEST_IMAGES: Final = 8
_MOST_FLAT: Final = 0.05
_LARGEST_PATCH: Final = {2: 128, 3: 48}
_SMALLEST_PATCH: Final = {2: 32, 3: 8}
_LARGE_PATCH: Final = 256
_SMALL_STEP: Final = 8
_OBJECTS_IN_A_PATCH: Final = 2.5
_LINEAR: Final = 0.5
_MOST_INTENSITY: Final = 0.1
_OF_OWN: Final = 0.25
_RIDGE: Final = 1e-4
_PLACED: Final = 0.95
_MANY_PLACES: Final = 1000
_FULL_TURN: Final = 180.0
_MOST_SCALE: Final = 0.2
_BLURS: Final = "the targets follow the channels' values, and resampling would blur their detail"


def scaling(situation: Situation, chosen: Chosen) -> tuple[str, str]:
    """By the data set's statistics, or each image by its own percentiles."""
    if "data.percentiles" in chosen:
        return "percentiles", "you named the percentiles"
    contrasts = [part.contrast for part in situation.fingerprint.exposure]
    known = sorted(value for value in contrasts if value is not None)
    if not situation.segmentation:
        return "per-channel", "the targets have units, so the images' own levels mean something"
    if situation.fingerprint.images["train"] < _FEWEST_IMAGES or not known:
        return "per-channel", "too few images with contrast to tell that their exposure differs"
    middle, flat = known[len(known) // 2], max(p.flat for p in situation.fingerprint.exposure)
    seen = f"the contrast of images spreads {middle:.1f}-fold"
    if flat > _MOST_FLAT:
        return "per-channel", f"{flat:.0%} of images have a constant channel, so levels mean a lot"
    if middle >= _UNEVEN:
        return "percentiles", f"exposure is uneven: {seen} ({_UNEVEN:g} or more)"
    return "per-channel", f"exposure is even enough: {seen} (less than {_UNEVEN:g})"


def validation(situation: Situation, chosen: Chosen) -> tuple[float, str]:
    """The share of training images that validate where no split says which do."""
    images = situation.fingerprint.images
    total = images["train"] + images["val"]
    share = validation_share(total)
    if share == MANY_VALIDATE:
        return share, f"{total} images: a smaller share still tells epochs apart"
    return share, f"{total} images to train and validate with"


def validation_share(images: int) -> float:
    """The share of so many images that validates."""
    return MANY_VALIDATE if images >= _MANY else 0.2


def patch(situation: Situation, chosen: Chosen) -> tuple[tuple[int, ...], str]:
    """Three quarters of the usual image, so that places vary, up to a size that trains fast."""
    sizes, axes = situation.fingerprint.median, len(situation.fingerprint.median)
    usual = largest = _LARGEST_PATCH[axes]
    if axes == 2 and situation.segmentation and _widest_object(situation) > largest:
        largest = _LARGE_PATCH
    stride = stride_told(chosen)[1]
    step = math.lcm(_SMALLEST_PATCH[axes], stride)
    sides = tuple(_side(size, largest, step, stride) for size in sizes)
    told = "" if step == _SMALLEST_PATCH[axes] else f", by the network's total stride of {stride}"
    most = f"{largest}, as objects are large" if max(sides) > usual < largest else f"{usual}"
    reason = _why_so_large(sizes, step, most)
    return sides, f"{reason} (median {' x '.join(map(str, sizes))}){told}"


def _why_so_large(sizes: Sequence[int], step: int, most: str) -> str:
    whole = f"all of a median image where it has fewer than {step} pixels, rounded up"
    if max(sizes) < step:
        return whole
    quarters = f"three quarters of a median image in steps of {step}, at least one, up to {most}"
    return f"{quarters}; {whole}" if min(sizes) < step else quarters


def _side(size: int, largest: int, step: int, stride: int) -> int:
    if size >= step:
        return max(step, min(largest, size * 3 // 4) // step * step)
    # As small as the stride allows: what a patch has beyond the image is made up.
    finest = stride if size < _SMALL_STEP else math.lcm(_SMALL_STEP, stride)
    return -(-size // finest) * finest


def _widest_object(situation: Situation) -> float:
    """How wide a patch would hold the usual foreground object with its surroundings."""
    medians = [part.objects.median for part in situation.fingerprint.classes[1:]]
    return _OBJECTS_IN_A_PATCH * math.sqrt(max(medians, default=0.0))


def intensity(situation: Situation, chosen: Chosen) -> tuple[float, str]:
    """How much gain and offset of each channel vary."""
    if not situation.segmentation and situation.linear >= _LINEAR:
        return 0.0, "the targets follow the channels' values, which must stay as they are"
    own = _own_share(situation)
    value = round(min(_MOST_INTENSITY, _OF_OWN * own), 2)
    if value == _MOST_INTENSITY:
        return value, "small changes of gain and offset, as between two exposures"
    return value, (
        f"each channel changes on its own, and beside the others it has only {own:.0%} of its "
        "standard deviation of its own: a quarter of that"
    )


def offset(situation: Situation, chosen: Chosen) -> tuple[tuple[float, ...] | None, str]:
    """An offset for channels that tell images apart and little else, such as the elevation.

    A network learns by heart what it finds at a place where it has been, and knows nothing of
    others (Meyer et al. 2019, doi:10.1016/j.ecolmodel.2019.108815).
    """
    shares = [part.between for part in situation.fingerprint.exposure]
    placed = [share >= _PLACED for share in shares]
    if chosen["data.scaling"] != "per-channel":
        return None, "each image has its own scaling"
    if not situation.segmentation and situation.linear >= _LINEAR:
        return None, "the targets follow the channels' values, which must stay as they are"
    if not any(placed) or all(placed):
        return None, f"no channel differs by {_PLACED:.0%} between images while others don't"
    if situation.fingerprint.images["train"] >= _MANY_PLACES:
        return None, f"{_MANY_PLACES} images and more are too many to be learned by heart"
    channels = zip(situation.fingerprint.channels, placed, strict=True)
    which = ", ".join(channel.name for channel, own in channels if own)
    return tuple(float(own) for own in placed), (
        f"{which}: nearly all of its variance is between images, so that its level tells which "
        "image it is; its slopes stay"
    )


def _own_share(situation: Situation) -> float:
    """What the middle channel has of its own: the root of what the others leave of its variance.

    Constant channels have nothing to go with and don't count.
    """
    correlation = np.asarray(situation.fingerprint.correlation)
    varying = np.isfinite(np.diag(correlation))
    if not varying.any():
        return 1.0
    found, directions = np.linalg.eigh(correlation[np.ix_(varying, varying)])
    # On the diagonal of the inverse stands 1 / (1 - R2) of each channel given the others. Rounding
    # makes eigenvalues of channels that are alike negative, and the ridge alone would not mend it.
    given = (directions**2 / (np.maximum(found, 0) + _RIDGE)).sum(1)
    return float(np.median(given**-0.5))


def flips(situation: Situation, chosen: Chosen) -> tuple[bool, str]:
    """Whether patches are mirrored."""
    return True, "nothing in the data tells an up or a left; say false if yours has one"


def rotations(situation: Situation, chosen: Chosen) -> tuple[bool, str]:
    """Whether patches are turned by quarters."""
    return True, "as for flips"


def angle(situation: Situation, chosen: Chosen) -> tuple[float, str]:
    """How far patches are turned beyond quarters, in degrees."""
    if not chosen["data.augmentation.rotations"]:
        return 0.0, "patches are not turned by quarters either"
    if _follows_input(situation, chosen):
        return 0.0, _BLURS
    return _FULL_TURN, "with any angle no patch is seen twice, which a few images need most"


def scale(situation: Situation, chosen: Chosen) -> tuple[float, str]:
    """How much the size of what is seen changes."""
    if _follows_input(situation, chosen):
        return 0.0, _BLURS
    return _MOST_SCALE, "things of one kind differ in size at least by so much"


def _follows_input(situation: Situation, chosen: Chosen) -> bool:
    """Whether the targets are the input's values with more detail."""
    told = chosen.get("network.input_residual")
    return bool(told) or (not situation.segmentation and situation.linear >= _LINEAR)


def percentiles(situation: Situation, chosen: Chosen) -> tuple[Any, str]:
    """Which percentiles become 0 and 1."""
    return (1.0, 99.8), "the background's level and all but the brightest few pixels"

"""How the finished model is applied."""

from normwise.inference.views import Views
from normwise.training.configure.situation import Chosen, Situation


def tta(situation: Situation, chosen: Chosen) -> tuple[Views, str]:
    """Which views are averaged: those that training has shown."""
    if not chosen["data.augmentation.flips"]:
        return "none", "training shows no flipped images"
    volumes = len(situation.fingerprint.median) > 2
    if volumes or not chosen["data.augmentation.rotations"]:
        return "flips", "the mean of several views is steadier; each costs a prediction"
    return "flips-and-turns", (
        "the mean of eight views is steadier than one, in eight times the time; `--tta none` "
        "predicts one"
    )

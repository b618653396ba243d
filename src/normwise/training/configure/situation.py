"""What choices are made from: the data's fingerprint, the machine and the time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, prod
from typing import Any

from normwise.data.fingerprint import Fingerprint

Chosen = Mapping[str, Any]
"""The choices so far, by their dotted keys in a recipe."""


@dataclass(frozen=True)
class Choice:
    """One setting of a recipe.

    Args:
        key: The dotted key, such as `training.batch_size`.
        value: What was chosen.
        reason: Why, in a sentence.
    """

    key: str
    value: Any
    reason: str


@dataclass(frozen=True)
class Cost:
    """What a training step costs on this machine.

    Args:
        seconds: Of one step.
        bytes_a_patch: About how much memory each patch of a batch needs.
    """

    seconds: float
    bytes_a_patch: int


@dataclass(frozen=True)
class Situation:
    """What choices are made from.

    Args:
        fingerprint: What the data are like.
        budget: Seconds that the whole training may take.
        memory: Bytes that the training may use.
        cost: Measures a training step, given filters and the choices so far.
        validating: Pixels of the images that validate.
    """

    fingerprint: Fingerprint
    budget: float
    memory: int
    cost: Callable[[Any, Chosen], Cost]
    validating: int

    @property
    def segmentation(self) -> bool:
        """Whether the labels are classes."""
        return self.fingerprint.task == "segmentation"

    @property
    def linear(self) -> float:
        """The share of the targets' variance that the pixel's own channels explain; the mean."""
        shares = [target.linear for target in self.fingerprint.relations]
        return sum(shares) / len(shares) if shares else 0.0


def pixels_of(patch: Any) -> int:
    """Pixels of a patch."""
    return prod(int(side) for side in patch)


def pixels_of_step(chosen: Chosen) -> int:
    """Pixels of a step's patches."""
    return pixels_of(chosen["data.patch"]) * int(chosen["training.batch_size"])


def steps_of(situation: Situation, chosen: Chosen) -> int:
    """Steps of an epoch; where none are told (null), about as many as go over all images once."""
    if (told := chosen["training.steps"]) is not None:
        return int(told)
    return ceil(situation.fingerprint.pixels / pixels_of_step(chosen))

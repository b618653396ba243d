"""Whether trials that are paired were measured on the same images."""

from collections.abc import Mapping, Sequence

from normwise.comparison.outcome import Outcome
from normwise.errors import RunError


def refuse_unpaired(outcomes: Mapping[str, Sequence[Outcome]]) -> None:
    """Refuses trials of one seed and fold that were measured on different images.

    Args:
        outcomes: For each variant's name what its trials gave, in the same order.

    Raises:
        RunError: If there are any.
    """
    for block in zip(*outcomes.values(), strict=True):
        (first, one), *others = zip(outcomes, block, strict=True)
        for name, other in others:
            if (one.split, one.images.key) != (other.split, other.images.key):
                seed = one.recipe["training"]["seed"]
                raise RunError(
                    f"“{first}” and “{name}” were measured on different images with seed {seed}, "
                    "so that their difference would not be one of the variants alone. Name another "
                    "folder, or make all trials anew (`--overwrite`)."
                )

"""Which images validate in which fold of a cross-validation."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from normwise.errors import DataError


def folds_of(groups: Mapping[str, str], folds: int, seed: int) -> dict[str, int]:
    """Gives every image the fold in which it validates.

    Images of one group stay together. The groups are shuffled by the seed and dealt out, largest
    first, each to the fold that has the fewest images so far.

    Args:
        groups: From the name of each image to its group; an image that belongs to no group is
            one by itself.
        folds: How many folds, 2 or more.
        seed: For the shuffling. The same seed gives the same folds, in whatever order the images
            are named.

    Returns:
        From name to fold, counted from 1. Every fold has an image.

    Raises:
        DataError: If there are fewer groups than folds, or fewer than 2 folds.
    """
    sizes = Counter(groups.values())
    if len(sizes) < 2:
        raise DataError(
            f"{folds} folds: found {len(sizes)}, expected 2 or more images (or groups of images) "
            "that don't test. Add some, or train without folds."
        )
    if not 2 <= folds <= len(sizes):
        raise DataError(
            f"{folds} folds: expected from 2 to {len(sizes)}, the number of "
            f"{'images' if len(sizes) == len(groups) else 'groups of images'} that don't test."
        )
    shuffled = np.random.default_rng(np.random.SeedSequence([seed, folds])).permutation(
        sorted(sizes)
    )
    held = dict.fromkeys(range(1, folds + 1), 0)
    chosen: dict[str, int] = {}
    for group in sorted(shuffled.tolist(), key=lambda name: -sizes[name]):
        emptiest = min(held, key=held.__getitem__)
        chosen[group] = emptiest
        held[emptiest] += sizes[group]
    return {name: chosen[group] for name, group in groups.items()}

"""What the name of a loss tells of the output that it judges."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final


class LossKind(Enum):
    """What a loss takes an output for."""

    EMBEDDING = auto()
    PROBABILITIES = auto()


_LONGEST: Final = 200
"""Characters of a name; a file can hold any text."""
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_KINDS: Final = {
    LossKind.EMBEDDING: re.compile(
        r"cosine|triplet|contrastive|embedding|(?<![a-z])n_?pairs?(?![a-z])|info_?nce|nt_?xent"
        r"|(arc|cos|sphere|mag)_?face|ada_?cos|lifted_?struct|multi_?similarity"
        r"|proxy_?(anchor|nca)|sup_?con(?![a-z])|sim_?clr|sim_?siam|byol|barlow|vic_?reg"
        r"|^circle(_?loss)?$"
    ),
    LossKind.PROBABILITIES: re.compile(
        r"cross_?entropy|tversky|jaccard|lovasz"
        r"|(?<![a-z])(bce|cce|scce|dice|iou|focal|ctc)(loss)?(?![a-z])"
    ),
}
"""Names in small letters, their words joined by `_`."""


def loss_kind(name: str | None) -> LossKind | None:
    """What a loss takes an output for, by its name; None where that tells nothing, or both.

    Args:
        name: Keras' name or class, a function's, or a recipe's sum such as `0.5*focal+dice`. A
            package before `>`, as Keras registers classes, doesn't count.

    Example:
        >>> loss_kind("CategoricalCrossentropy")
        <LossKind.PROBABILITIES: 2>
    """
    if name is None or len(name) > _LONGEST:
        return None
    words = "_".join(word.lower() for word in _WORD.findall(name.rpartition(">")[2]))
    found = [kind for kind, pattern in _KINDS.items() if pattern.search(words)]
    return found[0] if len(found) == 1 else None

"""Input number n: always the same bytes for the same corpus."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tests.fuzz import contents, hdf5


def made(corpus: Sequence[tuple[str, bytes]], number: int) -> tuple[str, bytes]:
    """Suffix and bytes of an input."""
    choose = Random(number)
    suffix, original = choose.choice(corpus)
    if choose.random() < 0.02:  # an ending that isn't that of its form
        return choose.choice((".keras", ".h5", ".json")), contents.broken(original, choose)
    make = {".keras": contents.archive, ".json": contents.text, ".h5": hdf5.broken}[suffix]
    return suffix, make(original, choose)

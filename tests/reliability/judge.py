"""What may come of a broken input: a clear error and no output, or the output of what is in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

import normwise as nw
from normwise.errors import NormwiseError
from normwise.rasters.output_records import FOLDER
from normwise.rasters.partial import partial_folder
from tests.reliability import independent
from tests.reliability.corruptions import Broken
from tests.reliability.healthy import MEAN, magnitudes, network

Array = npt.NDArray[Any]

REFUSED, SAME = "refused", "same as read independently"
LONGEST_MESSAGE: Final = 1200
ROUNDING: Final = 1e-5
"""Of the sums' magnitude; the order in which they are added differs with the size of tiles."""
BEYOND: Final = 1e30
"""Sums of larger numbers overflow in one order and not in another: they are not compared."""


class FaultError(AssertionError):
    """A wrong output, or an error that says nothing."""


@dataclass(frozen=True)
class Judge:
    """Predicts inputs and compares what comes of it.

    Args:
        model: From `healthy.network`.
        twin: From `healthy.magnitudes`.
    """

    model: Any
    twin: Any

    @classmethod
    def of(cls, seed: int = 0) -> Judge:
        """A judge with a network of its own."""
        model = network(seed)
        return cls(model, magnitudes(model))

    def judge(self, case: Broken, folder: Path) -> str:
        """Predicts a broken input and says what came of it.

        Args:
            case: The input.
            folder: An empty folder for its output.

        Raises:
            FaultError: A wrong output or one that should not be, an unclear error, litter.
            Exception: Whatever nobody foresaw.
        """
        out = folder / f"out{case.out}"
        try:
            nw.predict(self.model, case.path, out, tile=case.tile)
        except NormwiseError as error:
            _check_refusal(case, out, str(error))
            return REFUSED
        _check_rest(folder, {out.name})
        try:
            seen = independent.read(case.path)
        except Exception as error:
            raise FaultError(f"predicted, but it can't be read: {error!r}") from error
        self.compare(independent.read(out).pixels, seen)
        return SAME

    def compare(self, found: Array, seen: independent.Seen) -> None:
        """Compares an output with what the network makes of an input.

        Args:
            found: The output, shape (rows, columns, outputs).
            seen: The input.

        Raises:
            FaultError: They differ.
        """
        filled = np.where(seen.missing, np.asarray(MEAN, np.float32), seen.pixels)
        with np.errstate(over="ignore"):
            batch = filled.astype(np.float32)[None]
        wanted, bound = (
            np.asarray(one.predict_on_batch(batch))[0] for one in (self.model, self.twin)
        )
        empty = seen.missing.all(axis=-1)
        if found.shape != wanted.shape:
            raise FaultError(f"the output has the shape {found.shape}, not {wanted.shape}")
        if not np.array_equal(np.isnan(found[empty]), np.ones_like(found[empty], bool)):
            raise FaultError("pixels without data have values")
        judged = ~empty[..., None] & (bound < BEYOND)  # False for NaN, too
        off = np.abs(found[judged] - wanted[judged])
        if not (off <= ROUNDING * (1 + bound[judged])).all():
            raise FaultError(f"the output is off by {off.max():.3g}")


def _check_refusal(case: Broken, out: Path, message: str) -> None:
    if out.exists():
        raise FaultError(f"refused, and yet there is an output: {message}")
    if case.path.name not in message:
        raise FaultError(f"the error doesn't name the file: {message}")
    if len(message) > LONGEST_MESSAGE:
        raise FaultError(f"the error has {len(message)} characters: {message[:200]}")
    _check_rest(out.parent, {partial_folder(out).name})


def _check_rest(folder: Path, allowed: set[str]) -> None:
    allowed = allowed | {FOLDER}
    rest = {path.name for path in folder.iterdir()} - allowed if folder.is_dir() else set()
    if rest:
        raise FaultError(f"left behind: {', '.join(sorted(rest))}")

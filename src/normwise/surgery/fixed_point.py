"""Looks for numbers that a function leaves as they are, with few evaluations of it.

A batch normalization that reads its own results (a shared one, called several times in a row) is
right when it holds the statistics of all that it reads while it holds them: its calls' values
pooled. Such numbers exist. The first call doesn't read them, so what is read keeps some variance,
and no call's mean is farther from the pooled one than some standard deviations; normalized values
are bounded then, and so is all that follows from them: a continuous map of a bounded convex set
into itself, which leaves a point where it is (Brouwer). Whether it is found by putting in again
and again what came out is another matter: behind some calls in a row that turns in circles, or
takes very many passes over the data.

Anderson mixing takes the combination of the last points from which, by what was seen of the
function between them, nothing would move (Anderson 1965; Walker & Ni 2011, "Anderson Acceleration
for Fixed-Point Iterations", algorithm AA).
"""

from __future__ import annotations

from typing import final

import numpy as np

from normwise.surgery.moments import Doubles

MEMORY = 5
"""Differences of points that are combined."""

FARTHEST = 2.0
"""How far from what came out the next try may be: what is seen from afar may be far off."""


@final
class FixedPoint:
    """One search. The scale of the coordinates matters: their steps should be about alike."""

    def __init__(self) -> None:
        self._points: list[Doubles] = []
        self._moves: list[Doubles] = []

    def following(self, point: Doubles, image: Doubles) -> Doubles:
        """The point to try next.

        Args:
            point: The one that was tried.
            image: What the function made of it.
        """
        self._points = [*self._points, point][-MEMORY - 1 :]
        self._moves = [*self._moves, image - point][-MEMORY - 1 :]
        if len(self._points) == 1:
            return image
        points = np.diff(np.stack(self._points, axis=1))
        moves = np.diff(np.stack(self._moves, axis=1))
        shares = np.linalg.lstsq(moves, image - point, rcond=1e-8)[0]
        away = (points + moves) @ shares
        return np.asarray(image - np.clip(away, -FARTHEST, FARTHEST))

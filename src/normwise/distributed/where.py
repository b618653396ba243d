"""Where the parts of a large piece of work are done, as users say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from normwise.errors import DistributionError

HERE: Final = "here"
PROCESSES: Final = "processes"
RAY: Final = "ray"
TWO: Final = 2
"""Processes at once where nobody says how many."""


@dataclass(frozen=True)
class Where:
    """Where parts are done.

    Attributes:
        kind: `here` (this process, one after another), `processes` or `ray`.
        address: Of a Ray cluster, `HOST:PORT` or `auto`; None for a local one.
        at_once: How many parts at the same time; None for as many as there is room for.
    """

    kind: str = HERE
    address: str | None = None
    at_once: int | None = None

    @property
    def words(self) -> list[str]:
        """The options of the command line that say so."""
        found = [] if self.kind in (HERE, PROCESSES) else ["--on", self._on]
        return found + (["--processes", str(self.at_once)] if self.at_once else [])

    @property
    def _on(self) -> str:
        return self.kind if self.address is None else f"{self.kind}={self.address}"


def where_of(on: str | None, processes: int | None, allowed: Sequence[str]) -> Where:
    """What `--on` and `--processes` ask for.

    Args:
        on: `"processes"`, `"ray"` (a local cluster) or `"ray=ADDRESS"`; None for this process, with
            `processes` for processes where those are allowed.
        processes: How many at once.
        allowed: The kinds that there are for this work.

    Raises:
        DistributionError: There is no such place, or a number that can't be.
    """
    if processes is not None and (isinstance(processes, bool) or processes < 1):
        raise DistributionError(f"processes is {processes!r}; expected a whole number from 1 on.")
    if on is None:
        if processes is not None and PROCESSES not in allowed:
            raise DistributionError("--processes belongs to --on ray, which is missing.")
        return Where() if processes is None else Where(PROCESSES, at_once=processes)
    kind, equals, address = on.partition("=")
    if kind not in allowed or (equals and (kind != RAY or not address)):
        named = [name if name != RAY else "ray, ray=HOST:PORT, ray=auto" for name in allowed]
        raise DistributionError(f"on: received {on!r}; allowed: {', '.join(named)}.")
    if kind == PROCESSES:
        return Where(PROCESSES, at_once=processes or TWO)
    return Where(RAY, address or None, processes)

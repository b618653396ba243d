"""The ways of connections in a network drawing: straight, round one corner, or over the boxes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Way = Literal["straight", "late", "early", "over", "return"]

APART = 0.004
"""Between the ends of two connections on one track."""


EXIT, ENTRY = 0.8, 0.3
"""Shares of a box's width at which connections leave and enter it from above."""


@dataclass(frozen=True)
class BoxSpan:
    """Where a box stands before heights are known."""

    row: int
    lane: int
    left: float
    right: float

    def at(self, share: float) -> float:
        """A share of the width from the left end."""
        return self.left + share * (self.right - self.left)


@dataclass(frozen=True)
class Route:
    """The way of one connection.

    Attributes:
        source: Node that is read.
        target: Node that reads it.
        way: `straight` in its lane; `late` leaves in the source's lane and turns at the target;
            `early` turns at the source; `over` goes above the boxes of the source's row;
            `return` goes below them to the begin of a later row.
        track: For `over`: which of the parallel tracks above the row.
        entry: Share of the target's width at which it enters from above.
    """

    source: int
    target: int
    way: Way
    track: int = 0
    entry: float = ENTRY


def routes_of(
    places: Sequence[BoxSpan], producers: Sequence[Sequence[int]], folded: bool
) -> tuple[Route, ...]:
    """A way for every connection; those above one row take tracks that don't overlap.

    Args:
        places: Where each node's box stands.
        producers: The nodes that each node reads.
        folded: Whether every row begins at the left again.
    """
    lanes: dict[tuple[int, int], list[BoxSpan]] = {}
    for place in places:
        lanes.setdefault((place.row, place.lane), []).append(place)
    ends = [(source, target) for target, read in enumerate(producers) for source in read]
    ways = {
        (source, target): "return"
        if folded and places[source].row != places[target].row
        else _way(places[source], places[target], lanes)
        for source, target in ends
    }
    tracks = _tracks(places, [ends for ends, way in ways.items() if way == "over"])
    return tuple(
        Route(
            source,
            target,
            way,
            tracks.get((source, target), 0),
            _entry(source, places, [s for s in producers[target] if ways[s, target] == "over"]),
        )
        for (source, target), way in ways.items()
    )


def lane_counts(places: Sequence[BoxSpan]) -> dict[int, int]:
    """Number of lanes in each row."""
    counts: dict[int, int] = {}
    for place in places:
        counts[place.row] = max(counts.get(place.row, 0), place.lane + 1)
    return counts


def track_counts(places: Sequence[BoxSpan], routes: Sequence[Route]) -> dict[int, int]:
    """Number of tracks above each row that has any."""
    counts: dict[int, int] = {}
    for route in routes:
        if route.way == "over":
            row = places[route.source].row
            counts[row] = max(counts.get(row, 0), route.track + 1)
    return counts


def _way(source: BoxSpan, target: BoxSpan, lanes: dict[tuple[int, int], list[BoxSpan]]) -> Way:
    leaving, arriving = lanes[source.row, source.lane], lanes[target.row, target.lane]
    if (source.row, source.lane) == (target.row, target.lane):
        return "straight" if _clear(leaving, source.right, target.left) else "over"
    if _clear(leaving, source.right, target.at(0.5)):
        return "late"
    return "early" if _clear(arriving, source.right, target.left) else "over"


def _clear(lane: Sequence[BoxSpan], start: float, end: float) -> bool:
    return all(place.right <= start or place.left >= end for place in lane)


def _tracks(
    places: Sequence[BoxSpan], ends: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], int]:
    """Short connections next to the boxes, longer ones above them."""

    def span(pair: tuple[int, int]) -> tuple[float, float]:
        return places[pair[0]].at(EXIT), places[pair[1]].at(ENTRY)

    found: dict[tuple[int, int], int] = {}
    taken: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for pair in sorted(ends, key=lambda p: (span(p)[1] - span(p)[0], p)):
        row, (left, right) = places[pair[0]].row, span(pair)
        track = next(
            track
            for track in range(len(ends))
            if all(right + APART < a or b + APART < left for a, b in taken.get((row, track), ()))
        )
        found[pair] = track
        taken.setdefault((row, track), []).append((left, right))
    return found


def _entry(source: int, places: Sequence[BoxSpan], sources: Sequence[int]) -> float:
    """The nearest source enters leftmost, so that no connection crosses another."""
    if len(sources) < 2 or source not in sources:
        return ENTRY
    nearest = sorted(sources, key=lambda s: -places[s].left)
    return 0.75 * (nearest.index(source) + 1) / (len(sources) + 1)

"""The engines that compute a scene, decided by one process and taken by all others.

An engine is compared with Keras, and timed, on the first tile that has data. Workers of a cluster
would each find out for themselves, and the tiles of a scene come from different engines.
"""

from __future__ import annotations

import socket
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from normwise.environment import installed
from normwise.errors import DistributionError
from normwise.inference.formats.format import FORMATS
from normwise.workflows.predicted_files import values_here
from normwise.workflows.prediction_images import Image
from normwise.workflows.predictor import Predictor

if TYPE_CHECKING:
    from normwise.inference.tiled import Piece, Tiles

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Decided:
    """What computes for each model.

    Attributes:
        names: As `Predictor.engines` gives them; None where no data were seen.
        versions: Of the packages that convert and run models for them.
    """

    names: tuple[str | None, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


def decided_by(predictor: Predictor) -> Decided:
    """What a process has decided."""
    names = tuple(predictor.engines)
    formats = [FORMATS.get(name.split()[0]) for name in names if name is not None]
    used = {package for form in formats if form is not None for package in form.packages}
    return Decided(names, _versions(frozenset(used)) if used else {})


@lru_cache(maxsize=4)
def _versions(packages: frozenset[str]) -> Mapping[str, str]:
    """Of packages; asked for once, for each image of a folder tells them to its worker."""
    return {name: told for name, told in installed().items() if name in packages}


def take(predictor: Predictor, decided: Decided) -> None:
    """Has a worker compute with what was decided elsewhere, whatever is faster or agrees here.

    Raises:
        DistributionError: It can't.
    """
    if not any(decided.names):
        return
    found = installed()
    others = [
        f"{name} {found.get(name, 'is missing')}, here {told}"
        for name, told in decided.versions.items()
        if found.get(name) != told
    ]
    if others or not predictor.keep_engines(decided.names):
        named = ", ".join(filter(None, decided.names))
        why = f" ({'; '.join(others)})" if others else ""
        raise DistributionError(
            f"The worker on {socket.gethostname()} can't compute with {named} as this machine "
            f"does{why}. Install the same versions on all machines of the cluster, or name an "
            "engine that all have, for example --engine keras."
        )


def deciding(
    predictor: Predictor, image: Image, tiles: Tiles, pieces: Iterator[Piece]
) -> Generator[tuple[Piece, Array], None, None]:
    """Predicts the first pieces here, until it is decided what computes; mostly that is one.

    Args:
        predictor: What predicts them.
        image: The image.
        tiles: How it is cut.
        pieces: Of these tiles; those that are predicted are taken.

    Yields:
        As `values_here`.
    """
    if not predictor.undecided:
        return
    read = predictor.reader(image)
    while predictor.undecided and (piece := next(pieces, None)) is not None:
        yield from values_here(tiles, read, [piece])

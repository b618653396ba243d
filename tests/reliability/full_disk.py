"""A disk that gets full while an output is written, in a process of its own.

    python -m tests.reliability.full_disk limit FOLDER      a limit of the size of files
    python -m tests.reliability.full_disk disk FOLDER       FOLDER is a small disk

The limit (RLIMIT_FSIZE) needs no rights, and every file that is written meets it; the disk, a
tmpfs, is what a full disk is, and is filled by another file. Prints a line of JSON for each trial.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

import normwise as nw
from normwise.errors import NormwiseError
from normwise.rasters.output_records import FOLDER
from tests.reliability import healthy
from tests.reliability.trees import content_of

SIZE: Final = (300, 260)
TILE: Final = 64
SUFFIXES: Final = (".tif", ".npy", ".zarr")
SHARES: Final = (0.0, 0.02, 0.3, 0.7, 0.95, 1.4, 2.6, 6.0)
"""How much may be written, beside the size of the pixels of the output."""

Narrow = Callable[[int], Any]
"""Gives a context in which only so many bytes can be written."""


def trials(folder: Path, narrow: Narrow, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Predicts with too little room, then with enough.

    Args:
        folder: An empty folder; outputs go there.
        narrow: See `Narrow`.
        seed: Of the image and the network.

    Yields:
        For each trial what came of it: `whole` (there was room), `refused`, or a `fault`.
    """
    model = healthy.network(seed)
    pixels = healthy.pixels_of(np.random.default_rng(seed), "float32", SIZE)
    for suffix in SUFFIXES:
        for tile in (TILE, None):
            wanted = _wanted(model, pixels, folder, suffix, tile)
            for share in SHARES:
                room = int(share * pixels[..., :2].nbytes)
                told = {"suffix": suffix, "tiles": tile is not None, "room": room}
                case = _Case(model, folder / "scene.npy", folder / f"out{suffix}", tile, wanted)
                yield {**told, **_tried(case, narrow, room)}


class _Case:
    """One output."""

    def __init__(
        self, model: Any, scene: Path, out: Path, tile: int | None, wanted: dict[str, bytes]
    ) -> None:
        self.model, self.scene, self.out, self.tile, self.wanted = model, scene, out, tile, wanted

    def predict(self, resume: bool) -> None:
        nw.predict(self.model, self.scene, self.out, tile=self.tile, resume=resume)

    def litter(self) -> list[str]:
        """What stands beside the image, the output and records."""
        own = {
            self.scene.name,
            self.out.name,
            FOLDER,
            *(f"out{suffix}.json" for suffix in SUFFIXES),
        }
        folder = self.out.parent
        there = [*folder.iterdir(), *(folder / FOLDER).glob("*")]
        return sorted(str(p.relative_to(folder)) for p in there if p.name not in own)


def _wanted(
    model: Any, pixels: Any, folder: Path, suffix: str, tile: int | None
) -> dict[str, bytes]:
    np.save(folder / "scene.npy", pixels)
    out = folder / f"out{suffix}"
    nw.predict(model, folder / "scene.npy", out, tile=tile)
    found = content_of(out)
    _remove(out)
    return found


def _tried(case: _Case, narrow: Narrow, room: int) -> dict[str, str]:
    """One trial, which leaves nothing."""
    try:
        try:
            with narrow(room):
                case.predict(resume=False)
            came = "whole"
        except NormwiseError as error:
            came = "refused"
            fault = _fault_of_refusal(case, str(error))
            if fault:
                return {"came": "fault", "fault": fault}
            case.predict(resume=True)
        if content_of(case.out) != case.wanted:
            return {"came": "fault", "fault": f"{came}, and the output is another one"}
        if case.litter():
            return {"came": "fault", "fault": f"left behind: {', '.join(case.litter())}"}
        return {"came": came}
    except Exception as error:
        return {"came": "fault", "fault": repr(error)}
    finally:
        _remove(case.out)
        for name in case.litter():
            _remove(case.out.parent / name)


def _fault_of_refusal(case: _Case, message: str) -> str:
    if case.out.exists():
        return f"refused, and yet there is an output: {message}"
    if case.out.name not in message:
        return f"the error doesn't name the output: {message}"
    others = [name for name in case.litter() if name != f".{case.out.name}.parts"]
    return f"left behind: {', '.join(others)}" if others else ""


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def limit(room: int) -> Iterator[None]:
    """No file may be larger. Python ignores the signal, so that writing fails with an error."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def disk(folder: Path) -> Narrow:
    """A small disk of which a file takes all but some room.

    Args:
        folder: A folder on it; the other file stands beside it.
    """

    @contextmanager
    def narrow(room: int) -> Iterator[None]:
        filler = folder.parent / "filler"
        free = shutil.disk_usage(folder).free
        with filler.open("wb") as file:
            file.write(bytes(max(0, free - room)))
        try:
            yield
        finally:
            filler.unlink()

    return narrow


def main(way: str, folder: Path) -> None:
    """Prints what came of each trial."""
    work = folder / "work"
    work.mkdir()
    for told in trials(work, limit if way == "limit" else disk(work)):
        print(json.dumps({"way": way, **told}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

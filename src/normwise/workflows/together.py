"""Training by several devices and processes: the same program in each, one of which writes."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from normwise.backend import chosen_backend
from normwise.distributed.processes import ProcessRank, rank_of, refuse_other_backends, start
from normwise.errors import DistributionError

if TYPE_CHECKING:
    from normwise.training.finished_run import Run
    from normwise.training.recipe import Recipe

JAX: Final = "jax-distributed"


def place_of(on: str | ProcessRank | None) -> ProcessRank | None:
    """Where this process stands; None if it trains by itself.

    Raises:
        DistributionError: If there is no such way to train.
    """
    if on is None or isinstance(on, ProcessRank):
        return on
    if on != JAX:
        raise DistributionError(f"on: received {on!r}; allowed: {JAX}.")
    return rank_of()


def place_from(
    on: str | None, coordinator: str | None, processes: int | None, process: int | None
) -> ProcessRank | None:
    """As `place_of`, from the options of the command line."""
    if on is None:
        given = {"coordinator": coordinator, "processes": processes, "process": process}
        if wrong := [f"--{name}" for name, value in given.items() if value is not None]:
            raise DistributionError(f"{', '.join(wrong)}: belongs to --on {JAX}, which is missing.")
        return None
    return rank_of(coordinator, processes, process) if on == JAX else place_of(on)


def train_together(
    recipe: Recipe,
    folder: Path,
    where: ProcessRank,
    resume: bool,
    overwrite: bool,
    progress: bool,
    reasons: Mapping[str, str] | None = None,
) -> Run:
    """Trains as one of several processes.

    Args:
        recipe: The recipe, the same in all of them.
        folder: The run folder, the same in all of them; process 0 writes it.
        where: Where this process stands.
        resume: Go on with the run in that folder.
        overwrite: Replace the run in that folder.
        progress: Whether process 0 says how it goes.
        reasons: Why settings are as they are, by dotted key; they stay with the run.
    """
    keras = sys.modules.get("keras")
    loaded = hasattr(keras, "backend")
    refuse_other_backends(keras.backend.backend() if keras and loaded else chosen_backend())
    from normwise.training.run import train  # noqa: PLC0415 - light start-up
    from normwise.training.run_folder import refuse_existing  # noqa: PLC0415

    # Before the processes meet: a refusal of one would leave the others waiting.
    refuse_existing(folder, resume, overwrite)
    start(where)
    with _own_folder(folder, where, resume) as own:
        run = train(
            recipe,
            out=own,
            resume=resume,
            overwrite=overwrite,
            progress=progress and where.process == 0,
            reasons=reasons,
        )
    return replace(run, folder=folder)


@contextmanager
def _own_folder(folder: Path, where: ProcessRank, resume: bool) -> Iterator[Path]:
    """The run folder for process 0; for the others one that is thrown away."""
    if where.process == 0:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="normwise-") as temporary:
        own = Path(temporary) / folder.name
        if resume:
            shutil.copytree(folder, own)
        yield own

"""Data-parallel training over all devices of one or several processes, with JAX.

Every process runs the same program on the same data and seed. A step's batch is shared out among
the devices; losses, gradients and the statistics of batch normalization are over the whole batch,
as on one device. Everything else (validation, evaluation, pictures) each process does by itself,
and only process 0 writes the run folder.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from normwise.errors import DistributionError, RecipeError

ADDRESS: Final = "KERAS_DISTRIBUTION_JOB_ADDRESSES"
PROCESSES: Final = "KERAS_DISTRIBUTION_NUM_PROCESSES"
PROCESS: Final = "KERAS_DISTRIBUTION_PROCESS_ID"


@dataclass(frozen=True)
class ProcessRank:
    """Where this process stands among those that train together.

    Args:
        address: Host and port of process 0, such as `127.0.0.1:23456`; None for a single process.
        processes: How many there are.
        process: The number of this one, from 0.
    """

    address: str | None = None
    processes: int = 1
    process: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.process < self.processes:
            raise DistributionError(
                f"process: received {self.process}; with {self.processes} processes allowed: "
                f"0 to {self.processes - 1}. Give --processes and --process, or {PROCESSES} and "
                f"{PROCESS}."
            )
        if self.processes > 1 and not self.address:
            raise DistributionError(
                f"{self.processes} processes need the address of process 0: give --coordinator "
                f"HOST:PORT, or {ADDRESS}."
            )


def rank_of(
    address: str | None = None, processes: int | None = None, process: int | None = None
) -> ProcessRank:
    """Where this process stands; what is not given is read from Keras' environment variables.

    Raises:
        DistributionError: If a number or the address is missing or can't be.
    """
    address = address or os.environ.get(ADDRESS) or None
    count = _number(PROCESSES, 1) if processes is None else processes
    return ProcessRank(address, count, _number(PROCESS, 0) if process is None else process)


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable, "")
    if text and not text.isdecimal():
        raise DistributionError(f"{variable}: received {text!r}; allowed: a number from 0.")
    return int(text) if text else default


class Devices:
    """The devices of all processes; made by `start`, which must come before any computation."""

    def __init__(self, where: ProcessRank) -> None:
        import keras  # noqa: PLC0415 - only where it was asked for

        if where.processes > 1:
            keras.distribution.initialize(where.address, where.processes, where.process)
        self.where = where
        self.layout = keras.distribution.DataParallel(auto_shard_dataset=False)
        self.count = len(keras.distribution.list_devices())


_started: list[Devices] = []


def refuse_other_backends(backend: str) -> None:
    """Refuses backends on which Keras would ignore the other devices.

    Args:
        backend: The Keras backend that is loaded or would be.

    Raises:
        DistributionError: If it isn't JAX.
    """
    if backend != "jax":
        raise DistributionError(
            f"--on jax-distributed needs the JAX backend; this is {backend}, on which Keras would "
            "ignore the other devices. Set KERAS_BACKEND=jax (pip install 'normwise[jax]')."
        )
    os.environ["KERAS_BACKEND"] = backend


def start(where: ProcessRank) -> None:
    """Joins the other processes; waits until all of them are there.

    Args:
        where: Where this process stands.

    Raises:
        DistributionError: If the processes don't meet, or this one has joined others before.
    """
    if _started:
        if _started[0].where != where:
            raise DistributionError(f"This process has joined as {_started[0].where} before.")
        return
    try:
        _started.append(Devices(where))
    except (RuntimeError, ValueError) as error:
        raise DistributionError(
            f"Process {where.process} of {where.processes} can't join at {where.address}: {error}"
        ) from None


def is_distributed() -> bool:
    """Whether training is shared out among devices."""
    return bool(_started)


def is_first() -> bool:
    """Whether this process speaks for all; a single one does."""
    return not _started or _started[0].where.process == 0


@contextmanager
def all_devices() -> Iterator[None]:
    """What is made and trained in here is shared out among all devices, if there is a start."""
    if not _started:
        yield
        return
    with _started[0].layout.scope():
        yield


def own_part(batch: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
    """This process' part of the images, labels and weights of a batch."""
    if not _started:
        return batch
    images, labels, weights = batch
    where = _started[0].where
    size = len(images) // where.processes
    own = slice(where.process * size, (where.process + 1) * size)
    return images[own], labels[own], weights[own]


def check_batch_size(batch_size: int) -> None:
    """Refuses a batch that can't be shared out evenly.

    Raises:
        RecipeError: If the number of devices doesn't divide it.
    """
    count = _started[0].count if _started else 1
    if batch_size % count:
        raise RecipeError(
            f"training.batch_size: received {batch_size}; allowed with {count} devices: multiples "
            f"of {count}, for example {-(-batch_size // count) * count}."
        )


def agreed(row: Mapping[str, float]) -> Mapping[str, float]:
    """The numbers of process 0, so that all processes decide alike.

    Seconds differ between them, and a budget decides by them.
    """
    if not _started or _started[0].where.processes == 1:
        return row
    from jax.experimental.multihost_utils import broadcast_one_to_all  # noqa: PLC0415

    # As bits: JAX would round 64 bits to 32.
    bits = np.array(list(row.values()), np.float64).view(np.uint32)
    values = np.asarray(broadcast_one_to_all(bits)).view(np.float64)
    return dict(zip(row, values.tolist(), strict=True))

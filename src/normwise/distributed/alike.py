"""What makes a process elsewhere compute the same bits: its environment, threads and versions.

Another number of threads adds in another order, so that predictions and trainings differ in their
last bits. A worker gets the threads of the process that asks for the work, however many processors
its machine has.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from normwise.backend import require_backend
from normwise.errors import DistributionError

PREFIXES: Final = ("KERAS_", "TF_", "XLA_", "JAX_", "OMP_", "MKL_", "OPENBLAS_")
THREADS: Final = (
    "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "NPROC", "PJRT_NPROC"
)  # fmt: skip
"""What TensorFlow, PyTorch and JAX take their numbers of threads from."""


@dataclass(frozen=True)
class Alike:
    """What workers must have in common with the process that asks.

    Attributes:
        threads: How many threads compute there.
        environment: The variables that shape how a backend computes, and no others of their kind.
        versions: Of what computes, by name; without any no backend is loaded.
    """

    threads: int = 1
    environment: Mapping[str, str] | None = None
    versions: Mapping[str, str] | None = None


def as_here() -> Alike:
    """What this process computes with; it loads the backend.

    Raises:
        BackendMissingError: No backend is installed.
    """
    backend = require_backend()
    threads = _threads(backend)
    kept = {name: value for name, value in os.environ.items() if _shapes(name)}
    unsaid = dict.fromkeys(THREADS, str(threads))
    return Alike(threads, {**unsaid, **kept, "KERAS_BACKEND": backend}, _versions(backend))


def become(alike: Alike) -> None:
    """Makes this worker, which has computed nothing of another kind yet, like the one that asks.

    Raises:
        DistributionError: It has other versions.
        BackendMissingError: It has no such backend.
    """
    if alike.environment is not None:
        for name in [name for name in os.environ if _shapes(name)]:
            if name not in alike.environment:
                del os.environ[name]
        os.environ.update(alike.environment)
    if alike.versions is None:
        return
    found = _versions(require_backend())
    wrong = [
        f"{name} {found.get(name, 'is missing')}, here {version}"
        for name, version in alike.versions.items()
        if found.get(name) != version
    ]
    if wrong:
        raise DistributionError(
            f"The worker on {socket.gethostname()} would not compute the same: {'; '.join(wrong)}. "
            "Install the same versions on all machines of the cluster."
        )


def usable_processors() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _shapes(name: str) -> bool:
    return name.startswith(PREFIXES) or name in THREADS


def _threads(backend: str) -> int:
    if backend == "torch":
        import torch  # noqa: PLC0415 - loaded already

        return int(torch.get_num_threads())
    names = THREADS[:1] if backend == "tensorflow" else THREADS[3:]
    told = [os.environ[name] for name in names if os.environ.get(name, "").isdecimal()]
    return next((int(text) for text in told if int(text)), usable_processors())


def _versions(backend: str) -> dict[str, str]:
    import keras  # noqa: PLC0415 - loaded already
    import numpy as np  # noqa: PLC0415

    import normwise  # noqa: PLC0415

    found = {"normwise": normwise.__version__, "keras": keras.__version__, "numpy": np.__version__}
    found["floatx"] = keras.config.floatx()
    return {**found, backend: str(getattr(sys.modules[backend], "__version__", "unknown"))}

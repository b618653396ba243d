"""The connection to a Ray cluster: one that runs already, or one on this machine for the moment."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from normwise.errors import DistributionError

LIMIT: Final = 60.0
"""Seconds in which a cluster must answer; Ray itself would try for minutes."""
_KNOCK: Final = 5.0
_AUTO: Final = "auto"
_ADDRESS: Final = re.compile(r"\[?([^\[\]/]+)\]?:(\d{1,5})")
_QUIET: Final[dict[str, Any]] = {"logging_level": logging.ERROR, "log_to_driver": False}
_SAID_BY_US: Final = r"A worker died or was killed|killed due to|has been marked dead"
"""Ray's own words for what is told to the user in ours; the variable is Ray's documented way."""
_TRY: Final = (
    "import logging, sys, ray; "
    "ray.init(address=sys.argv[1], logging_level=logging.ERROR, log_to_driver=False)"
)


@contextmanager
def connected(address: str | None, processors: int) -> Iterator[Any]:
    """The `ray` module, connected; what was connected here is left behind as it was.

    A process that is connected already stays connected.

    Args:
        address: `HOST:PORT` or `auto`; None for a cluster on this machine that ends with the block.
        processors: Of a cluster on this machine, as Ray counts them.

    Raises:
        DistributionError: Ray isn't installed, the cluster doesn't answer, or this process is
            connected to another one.
    """
    ray = installed()
    if ray.is_initialized():
        _refuse_another(ray, address)
        yield ray
        return
    # Before Ray starts anything: nothing is to be reported to its makers.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address is not None:
        refuse_unreachable(address)
    with _same_signals():
        _connect(ray, address, processors)
        try:
            yield ray
        finally:
            ray.shutdown()


def installed() -> Any:
    """The `ray` module.

    Raises:
        DistributionError: It isn't installed.
    """
    # Read when Ray is loaded.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", _SAID_BY_US)
    try:
        import ray  # noqa: PLC0415 - an extra, and slow to load
    except ImportError as error:
        raise DistributionError(
            f"--on ray needs Ray, which can't be loaded ({error}). Install it with "
            "pip install 'normwise[ray]'."
        ) from error
    return ray


def refuse_unreachable(address: str, limit: float = LIMIT) -> None:
    """Makes sure that a cluster answers.

    Ray's own attempt can't be stopped, so another process tries first.

    Args:
        address: `HOST:PORT` or `auto`.
        limit: Seconds.

    Raises:
        DistributionError: It is no address, or no cluster answers there in time.
    """
    if address != _AUTO:
        _knock(address, min(_KNOCK, limit))
    command = [sys.executable, "-c", _TRY, address]
    try:
        tried = subprocess.run(
            command, capture_output=True, text=True, timeout=limit, check=False, errors="replace"
        )
    except subprocess.TimeoutExpired:
        raise DistributionError(
            f"--on ray={address}: no Ray cluster answers within {limit:g} s. {_HELP}"
        ) from None
    if tried.returncode:
        raise DistributionError(
            f"--on ray={address}: can't connect ({_reason(tried.stderr)}). {_HELP}"
        )


def _reason(said: str) -> str:
    """The first cause that a traceback names, such as a token that the cluster asks for."""
    causes = [line for line in said.splitlines() if _CAUSE.match(line)]
    return causes[0][:_LONGEST] if causes else said.strip()[-_LONGEST:] or "no reason"


_CAUSE: Final = re.compile(r"[\w.]+(Error|Exception): (?!.*Traceback)")
_LONGEST: Final = 500
_HELP: Final = (
    "Give the address that `ray start --head` printed, and call normwise on a machine of the "
    "cluster."
)


def _knock(address: str, limit: float) -> None:
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise DistributionError(
            f"--on ray={address}: expected HOST:PORT, for example ray=10.0.0.1:6379, or ray=auto "
            "for the cluster that runs on this machine. (ray:// can't be used: it is no machine of "
            "the cluster.)"
        )
    try:
        socket.create_connection((found[1], int(found[2])), timeout=limit).close()
    except (OSError, OverflowError) as error:
        raise DistributionError(
            f"--on ray={address}: nothing answers there ({error}). {_HELP}"
        ) from error


def _connect(ray: Any, address: str | None, processors: int) -> None:
    try:
        if address is None:
            ray.init("local", num_cpus=processors, include_dashboard=False, **_QUIET)
        else:
            ray.init(address, **_QUIET)
    except Exception as error:  # Ray raises many types here
        where = "on this machine" if address is None else f"at {address}"
        raise DistributionError(f"Ray can't start {where}: {error}") from error


def _refuse_another(ray: Any, address: str | None) -> None:
    own = ray.get_runtime_context().gcs_address
    if address not in (None, _AUTO, own):
        raise DistributionError(
            f"--on ray={address}: this process is connected to the cluster at {own} already. Call "
            "ray.shutdown() before, or give that address."
        )


@contextmanager
def _same_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, kept)

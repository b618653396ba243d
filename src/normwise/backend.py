"""Chooses and loads the Keras backend, as late as possible."""

import importlib.util
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from normwise.errors import BackendMissingError
from normwise.syntax_trees import guard_syntax_trees

PACKAGES = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}
"""Backends in the order of preference, with the package that each needs."""


def require_backend() -> str:
    """Makes sure that Keras loads with a backend that is installed.

    An unset KERAS_BACKEND becomes the first installed of TensorFlow, JAX and PyTorch. Call it
    before the first `import keras`.

    Returns:
        The backend's name.

    Raises:
        BackendMissingError: No backend is installed, or the one that KERAS_BACKEND names isn't.
    """
    guard_syntax_trees()  # before threads load data while the backend parses what it traces
    if "keras" in sys.modules and hasattr(sys.modules["keras"], "backend"):
        return str(sys.modules["keras"].backend.backend())
    os.environ["KERAS_BACKEND"] = wanted = chosen_backend()
    with _quiet_start(wanted):
        import keras  # noqa: PLC0415

        keras.ops.convert_to_tensor(0.0)  # finds the devices, which is as talkative as the import
    return wanted


def chosen_backend() -> str:
    """The backend that KERAS_BACKEND names, else the first installed; nothing is loaded.

    Raises:
        BackendMissingError: No backend is installed, or the one that KERAS_BACKEND names isn't.
    """
    wanted = os.environ.get("KERAS_BACKEND")
    if not wanted:
        return _first_installed()
    _refuse_missing(wanted)
    return wanted


def _refuse_missing(wanted: str) -> None:
    package = PACKAGES.get(wanted)
    if package is None:
        raise BackendMissingError(
            f"KERAS_BACKEND is {wanted!r}; normwise runs on {', '.join(PACKAGES)}. Set it to one "
            "of them, or unset it."
        )
    if importlib.util.find_spec(package) is None:
        raise BackendMissingError(
            f"KERAS_BACKEND is {wanted!r}, but {package} isn't installed. Install it with "
            f"pip install 'normwise[{wanted}]', or unset KERAS_BACKEND."
        )


def _first_installed() -> str:
    for backend, package in PACKAGES.items():
        if importlib.util.find_spec(package) is not None:
            return backend
    raise BackendMissingError(
        "this needs a Keras backend, and none is installed. Install one with "
        "pip install 'normwise[tensorflow]' (recommended on a CPU), 'normwise[jax]' or "
        "'normwise[torch]'."
    )


@contextmanager
def _quiet_start(backend: str) -> Iterator[None]:
    """Holds back TensorFlow's start-up messages; they are shown when the start fails.

    TF_CPP_MIN_LOG_LEVEL=0 asks for them.
    """
    if backend != "tensorflow" or os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0":
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Says each time that another model was traced: no news to somebody who runs several.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with held_stderr():
        yield


@contextmanager
def held_stderr() -> Iterator[None]:
    """Holds back what libraries print to standard error; it is shown when the block fails."""
    try:
        stderr = sys.stderr.fileno()
    except (OSError, ValueError, AttributeError):
        yield
        return
    kept = os.dup(stderr)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), stderr)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, stderr)
            os.close(kept)

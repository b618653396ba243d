"""An image of several that fails, whatever by, stops no other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from normwise.errors import NormwiseError, PredictionError
from normwise.rasters import ImageFiles


@contextmanager
def one_of_several(files: ImageFiles) -> Iterator[None]:
    """Turns what nobody foresaw, such as a lack of memory, into an error of this image alone.

    Args:
        files: Of the image.

    Raises:
        PredictionError: Something else than a NormwiseError was raised; it is the cause.
    """
    try:
        yield
    except NormwiseError:
        raise
    except Exception as error:
        path = files if isinstance(files, Path) else files[0]
        raise PredictionError(f"{path}: {_told(error)} (unexpected)") from error


def _told(error: Exception) -> str:
    """Its type and what it says, in one line; some say nothing."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

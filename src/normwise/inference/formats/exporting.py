"""A model exported to one file, which is compared with Keras before it gets its name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from normwise.errors import DeviationError
from normwise.files import whole_file, whole_folder
from normwise.inference.agreement import Array, deviation
from normwise.inference.formats.conversion import convert
from normwise.inference.formats.format import OPENVINO, Format
from normwise.inference.formats.runtimes import ports_of, runtime

_TURNS: Final = 3
_WEIGHTS: Final = ".bin"


@dataclass(frozen=True)
class Sample:
    """An input and what Keras makes of it.

    Attributes:
        name: What it is.
        inputs: An array for each input of the model.
        outputs: An array for each of its outputs.
    """

    name: str
    inputs: Sequence[Array]
    outputs: Sequence[Array]


@dataclass(frozen=True)
class Exported:
    """An exported file and what was found of it.

    Attributes:
        format: Name of the format.
        path: The file, or the folder; of OpenVINO the `.xml` file, beside which its `.bin` stands.
        size: Its bytes, None if it couldn't be exported.
        difference: The largest difference from Keras, as a share of the output's range.
        seconds: Of one prediction of the last sample.
        problem: Why it isn't there; empty if it is.
    """

    format: str
    path: Path
    size: int | None = None
    difference: float | None = None
    seconds: float | None = None
    problem: str = ""


def export_to(
    model: Any,
    path: Path,
    format: Format,
    samples: Sequence[Sample],
    tolerance: float,
    sizes: Sequence[int] | None = None,
    overwrite: bool = False,
) -> Exported:
    """Exports a model; the file appears only if it computes what Keras does.

    Args:
        model: A live model, folded already.
        path: Where to; it ends in the format's suffix.
        format: The format.
        samples: What is compared, at least one.
        tolerance: The largest difference that is accepted, as a share of an output's range.
        sizes: As for `convert`.
        overwrite: Whether what is there may be replaced.

    Raises:
        ExportError: The model can't be converted.
        DeviationError: The file can't be run, or computes something else.
        OutputExistsError: There is something already.
    """
    with _whole(path, format, overwrite) as temporary:
        convert(model, temporary, format, sizes)
        difference, seconds = _compared(model, temporary, format, samples)
        if not difference <= tolerance:
            raise DeviationError(
                f"{format.name}: the exported file differs from Keras by {difference:.1e} of an "
                f"output's range; {tolerance:.0e} would count as the same."
            )
        size = _size(temporary) + _size(temporary.with_suffix(_WEIGHTS))
    return Exported(format.name, path, size, difference, seconds)


def shortest(run: Callable[[], object]) -> float:
    """Seconds of the fastest of some calls, after one that isn't counted."""
    run()
    times = []
    for _ in range(_TURNS):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return min(times)


def _compared(
    model: Any, path: Path, format: Format, samples: Sequence[Sample]
) -> tuple[float, float]:
    try:
        run = runtime(format, path, ports_of(model))
        difference = max(deviation(one.outputs, run(one.inputs)) for one in samples)
        return difference, shortest(lambda: run(samples[-1].inputs))
    except Exception as error:
        # Whatever a runtime raises, a file that it can't run is no export.
        first = next((line for line in str(error).splitlines() if line.strip()), "")
        raise DeviationError(
            f"{format.name}: the exported file can't be run: "
            f"{first.strip() or type(error).__name__}"
        ) from error


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size if path.exists() else 0
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


@contextmanager
def _whole(path: Path, format: Format, overwrite: bool) -> Iterator[Path]:
    """A temporary path that becomes the file or folder when the block ends without an error."""
    if not format.suffix:
        with whole_folder(path, overwrite, format.signs or ()) as temporary:
            yield temporary
    elif format is OPENVINO:
        with _whole_pair(path, overwrite) as temporary:
            yield temporary
    else:
        with whole_file(path, overwrite) as temporary:
            yield temporary


@contextmanager
def _whole_pair(path: Path, overwrite: bool) -> Iterator[Path]:
    """The same of a file with its weights beside it; the file comes last, and goes first."""
    with (
        whole_file(path, overwrite) as temporary,
        whole_file(path.with_suffix(_WEIGHTS), overwrite) as weights,
    ):
        written = temporary.with_suffix(_WEIGHTS)
        try:
            yield temporary
            written.replace(weights)
            path.unlink(missing_ok=True)
        finally:
            written.unlink(missing_ok=True)

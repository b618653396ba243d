"""Exporting a model to the formats of other runtimes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normwise.backend import require_backend
from normwise.errors import (
    DeviationError,
    ExportError,
    NetworkError,
    NormwiseError,
    SurgeryError,
)
from normwise.files import refuse_existing
from normwise.inference.agreement import TOLERANCE
from normwise.inference.formats.format import FORMATS, OPENVINO, Format, format_named, require
from normwise.rules import Report, Severity
from normwise.workflows.check import check
from normwise.workflows.fold import fold
from normwise.workflows.models import is_callable_name, live_model, refuse_missing

if TYPE_CHECKING:
    from normwise.inference.formats.exporting import Exported, Sample


@dataclass(frozen=True)
class Export:
    """What became of an export.

    Attributes:
        files: An entry for each format, in the order in which they were asked for.
        findings: What `check` finds in the model.
        keras_seconds: Of one prediction of the same sample by Keras, None if it can't.
        notes: What else the reader should know, one line each.
    """

    files: tuple[Exported, ...]
    findings: Report
    keras_seconds: float | None
    notes: tuple[str, ...]

    @property
    def failed(self) -> tuple[Exported, ...]:
        """The formats that aren't there."""
        return tuple(file for file in self.files if file.problem)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "files": [{**vars(file), "path": str(file.path)} for file in self.files],
            "findings": self.findings.to_dict(),
            "keras_seconds": self.keras_seconds,
            "notes": list(self.notes),
        }


def export(
    model: Any,
    out: str | PathLike[str],
    format: str | Sequence[str],
    *,
    size: int | Sequence[int] | None = None,
    data: str | PathLike[str] | None = None,
    overwrite: bool = False,
) -> Export:
    """Exports a model to one format or several.

    The model is checked, and its batch normalizations are folded where that is exact. Each file is
    run by the format's own runtime on random input, and on a real image where there is one, and
    compared with Keras; one that differs by more than 1e-4 of an output's range is not left behind.
    Formats go through TensorFlow, for a model of another backend in a process of its own.

    Args:
        model: A live model, model file or run folder; it is not changed. What the exported file
            takes and gives is what the model does: of a run, raw pixel values.
        out: The file; for `savedmodel` a folder. Of several formats it is the name to which each
            adds its suffix: `.onnx`, `.xml` (with `.bin` beside it), `.tflite`, none.
        format: `"savedmodel"`, `"onnx"`, `"openvino"` or `"litert"`, or several of them.
        size: Pixels along each axis that the file shall be for, one number or one for each axis;
            by default a model that takes any size stays one.
        data: A folder of images for the comparison; by default that of the model's run.
        overwrite: Whether existing files may be replaced.

    Returns:
        What was exported, how large it is, how far it is from Keras and how long a prediction
        takes.

    Raises:
        EngineMissingError: A format's packages aren't installed; nothing is done then.
        OutputExistsError: A file exists and `overwrite` is False; nothing is done then.
        ExportError: A format can't be written; the others are, and stand in `.result`.
        DeviationError: The same, where what was written computes something else.
        ModelReadError: The model can't be read.

    Example:
        ```python
        nw.export("runs/rivers", "rivers.onnx", "onnx").files[0].difference
        ```
    """
    formats = _formats([format] if isinstance(format, str) else format)
    targets = _targets(Path(fspath(out)), formats, overwrite)
    refuse_missing(model)
    require_backend()
    live = live_model(model)
    named = isinstance(model, (str, PathLike)) and not is_callable_name(model)
    findings = check(model if named else live)
    sizes = _sizes(size, live)
    folded, notes = _folded(live)
    from normwise.workflows.export_samples import (  # noqa: PLC0415 - needs the backend
        described,
        samples_of,
        time_prediction,
    )

    samples, of_samples = samples_of(model, live, sizes, data)
    seconds = time_prediction(live, samples[-1].inputs)
    notes += [*of_samples, *described(live)]
    files = [
        _exported(folded, target, form, samples, sizes, overwrite)
        for form, target in zip(formats, targets, strict=True)
    ]
    done = Export(tuple(file for file, _ in files), findings, seconds, tuple(notes))
    _refuse_failed(done, [error for _, error in files if error is not None], live, sizes)
    return done


def _formats(names: Sequence[str]) -> list[Format]:
    found = [format_named(name) for name in dict.fromkeys(names)]
    if not found:
        raise NormwiseError(f"no format is named; expected some of {', '.join(FORMATS)}.")
    for one in found:
        require(one)
    return found


def _targets(out: Path, formats: Sequence[Format], overwrite: bool) -> list[Path]:
    """Where each format goes.

    Raises:
        NormwiseError: The name has the suffix of another format, or is none.
        OutputExistsError: There is something, and it may not be replaced; of a folder that is no
            SavedModel not even with `overwrite`.
    """
    if out.name in ("", ".."):
        example = os.path.join(out, "model")  # noqa: PTH118 - a Path would drop the ./
        raise NormwiseError(f"{out}: is a folder; name the file in it, for example {example}.")
    known = {form.suffix: form.name for form in FORMATS.values() if form.suffix}
    suffix = out.suffix if out.suffix in known else ""
    if suffix and (len(formats) > 1 or formats[0].suffix != suffix):
        raise NormwiseError(
            f"{out}: names a file of the format {known[suffix]}, and "
            f"{', '.join(form.name for form in formats)} is asked for. Leave the suffix out: each "
            "format adds its own."
        )
    base = out.with_name(out.name.removesuffix(suffix))
    found = [base.with_name(base.name + form.suffix) for form in formats]
    for path, form in zip(found, formats, strict=True):
        refuse_existing(path, overwrite, form.signs)
        if form is OPENVINO:
            refuse_existing(path.with_suffix(".bin"), overwrite)
    return found


def _sizes(size: int | Sequence[int] | None, live: Any) -> tuple[int, ...] | None:
    from normwise.inference.tile_size import pixels_of  # noqa: PLC0415 - needs the backend

    if size is None:
        return None
    fixed = tuple(live.inputs[0].shape[1:-1])
    sizes = pixels_of(size, len(fixed))
    if sizes is None or any(
        known not in (None, own) for known, own in zip(fixed, sizes, strict=True)
    ):
        taken = "x".join("any" if side is None else str(side) for side in fixed)
        raise NetworkError(f"size is {size!r}, but model {live.name!r} takes {taken} pixels.")
    return sizes


def _folded(live: Any) -> tuple[Any, list[str]]:
    from normwise.surgery.statistics import batch_norms  # noqa: PLC0415 - needs the backend

    if not batch_norms(live):
        return live, []
    try:
        done = fold(live)
    except SurgeryError as error:
        return live, [f"not folded: {error}"]
    return done.model, [done.report.notes[0]]


def _exported(
    model: Any,
    path: Path,
    form: Format,
    samples: Sequence[Sample],
    sizes: Sequence[int] | None,
    overwrite: bool,
) -> tuple[Exported, ExportError | None]:
    from normwise.inference.formats.exporting import Exported, export_to  # noqa: PLC0415
    from normwise.workflows.export_samples import coarseness  # noqa: PLC0415

    tolerance = max(TOLERANCE, coarseness(model))
    try:
        return export_to(model, path, form, samples, tolerance, sizes, overwrite), None
    except ExportError as error:
        return Exported(form.name, path, problem=str(error)), error


def _refuse_failed(
    done: Export, errors: Sequence[ExportError], live: Any, sizes: Sequence[int] | None
) -> None:
    if not errors:
        return
    kind = DeviationError if all(isinstance(e, DeviationError) for e in errors) else ExportError
    lines = [f"{len(done.files) - len(errors)} of {len(done.files)} formats exported."]
    lines += [f"  - {file.path} isn't written. {file.problem}" for file in done.failed]
    free = any(None in tensor.shape[1:-1] for tensor in live.inputs)
    if sizes is None and free and kind is ExportError:  # a file that differs does so at any size
        lines.append("The model takes any size; for one size more can be converted: --size 512.")
    raise kind("\n".join(lines), done)


def lines_of(done: Export) -> list[str]:
    """What there is to say beside the table: the worse findings, and the notes."""
    worse = done.findings.at_least(Severity.WARNING)
    found = [f"check: {f.severity} {f.code} {f.name}: {f.message}" for f in worse]
    return [*found, *done.notes]

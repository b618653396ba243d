"""Mending what `check` finds: the fixes that keep outputs and, on demand, those that don't."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normwise.backend import require_backend
from normwise.keras_format.archive import read_keras_version
from normwise.keras_format.live_compiled import compiled_live
from normwise.keras_format.reading import model_file, read_compiled
from normwise.rules import Finding
from normwise.rules.allowing import Allowance, allowed
from normwise.workflows.check import check, running_keras
from normwise.workflows.check_training import Told
from normwise.workflows.fixed import Fixed
from normwise.workflows.mending import Mending
from normwise.workflows.models import architecture_of, is_callable_name, live_model, refuse_missing

if TYPE_CHECKING:
    from normwise.keras_format.compiled import Compiled

ONLY_IN_FILES = "newer-config"
"""The rule that looks at what a file says, which a loaded model says otherwise."""


def fix(  # noqa: PLR0913 - as for `check`
    model: Any,
    *,
    unsafe: bool = False,
    ignore: Sequence[str | Allowance] = (),
    batch_size: int | None = None,
    samples: int | None = None,
    epochs: int | None = None,
    loss: Any = None,
    replicas: int = 1,
    accumulation: int | None = None,
    optimizer: Mapping[str, Any] | None = None,
) -> Fixed:
    """Mends the normalization mistakes that `check` finds in a model, as far as surgery can.

    Fixes that keep the outputs in inference are made and verified on randomized statistics; those
    that change them only if asked for. The result is checked again: a fix that would bring about
    a warning or an error that wasn't there is not made.

    Args:
        model: As for `place`. It stays as it is.
        unsafe: Whether to make fixes that change the outputs, too; the model has to be trained
            again after them.
        ignore: Rules to leave out, where wanted for layers of a pattern: `"wrong-axis:audio_*"`.
        batch_size: Samples of a training batch; this and what follows as for `check`.
        samples: Training samples of an epoch.
        epochs: Their number.
        loss: Name of the loss, a Keras loss or a function.
        replicas: Devices that share a batch.
        accumulation: Batches whose gradients are added before a step.
        optimizer: Settings of the optimizer in Keras' names.

    Returns:
        The mended model as `.model`, what was mended, and what was left with the reason.

    Raises:
        ModelReadError: The model can't be read or built.
        CheckError: An impossible training set-up, or an unknown rule.
        SurgeryError: A layer can't be copied, or nothing can be verified.
        PromiseError: The outputs of a fix that keeps them aren't kept.

    Example:
        ```python
        done = nw.fix("model.keras")
        for one in done.left:
            print(one.finding.name, one.reason)
        ```
    """
    told = Told(batch_size, samples, epochs, loss, replicas, accumulation, optimizer)
    allowances = [a if isinstance(a, Allowance) else Allowance.parse(a) for a in ignore]
    refuse_missing(model)
    in_file = _only_in_file(model, allowances)
    require_backend()
    live = _live(model)
    training = told.training(*_compiled(model, live))
    mending = Mending(live, training, _version(model), _has_weights(model), allowances)
    mending.stage(True, in_file)
    if unsafe:
        # What changes outputs may leave what can be tidied, such as a bias without effect.
        mending.stage(False)
        mending.tidy()
    return mending.done(in_file)


def _is_file(model: Any) -> bool:
    return isinstance(model, (str, PathLike)) and not is_callable_name(model)


def _has_weights(model: Any) -> bool:
    return not (_is_file(model) and Path(fspath(model)).suffix.lower() == ".json")


def _live(model: Any) -> Any:
    return live_model(model) if _has_weights(model) else architecture_of(Path(fspath(model)))


def _version(model: Any) -> tuple[int, ...] | None:
    return read_keras_version(model_file(model)) if _is_file(model) else running_keras()


def _compiled(model: Any, live: Any) -> tuple[Compiled, bool]:
    """What a model was compiled with, and whether that is all of it."""
    if _is_file(model):
        return read_compiled(model_file(model))[1], False
    return compiled_live(live), True


def _only_in_file(model: Any, allowances: Sequence[Allowance]) -> tuple[Finding, ...]:
    """What only the file says, in the form in which it stands there."""
    if not _is_file(model):
        return ()
    found, _ = allowed(check(model), allowances)
    return tuple(f for f in found.findings if f.name == ONLY_IN_FILES)

"""Bringing a model to a norm plan."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normwise.backend import require_backend
from normwise.norms.plan import NormPlan
from normwise.workflows.faults import with_faults
from normwise.workflows.models import architecture_of, live_model, refuse_missing

if TYPE_CHECKING:
    from normwise.surgery.rewrite import Rewrite


def place(
    model: Any,
    plan: str | NormPlan,
    *,
    keep_outputs: bool = True,
    data: Any = None,
    layers: str | None = None,
    drop_bias: bool = False,
) -> Rewrite:
    """Makes a model follow a norm plan, with the fewest edits, and proves that its outputs stay.

    What is missing is inserted, what stands elsewhere is moved, kinds are swapped, and what the
    plan doesn't name is removed. Normalizations that no plan describes are left alone, and so are
    the head and the fixed scaling of an input unless the plan names them.

    Args:
        model: A live functional or Sequential model, a `.keras`, `.h5` or `.json` file, a run
            folder, or `"package.module:callable"`. It stays as it is.
        plan: What should hold, such as `"batch@pre-activation"`.
        keep_outputs: Whether an edit that would change the outputs in inference is skipped, with
            its reason in the report. New batch normalizations then start as the identity. An
            architecture without weights (`.json`) has no outputs to keep.
        data: A folder of images, or batches of raw input (arrays with the batch axis first, or the
            structure of arrays that the model takes) in something that can be iterated again, or
            one array. New batch normalizations start with their statistics: where outputs are kept,
            so that training starts unchanged too.
        layers: A pattern such as `"decoder_*"`: only edits for layers of such names are made.
        drop_bias: Whether biases that a normalization right after them cancels are dropped.

    Returns:
        The new model as `.model`, not compiled; `.report` has what was changed and skipped. A
        change that brings an error or warning of `check` has it in its `.faults`.

    Raises:
        PlanError: The plan can't hold in this network.
        ModelReadError: The model can't be read or built.
        SurgeryError: A layer can't be copied, or nothing can be verified.
        PromiseError: The outputs aren't kept.

    Example:
        ```python
        done = nw.place("model.keras", "batch@before-downsampling")
        done.model.save("placed.keras")
        ```
    """
    wanted = plan if isinstance(plan, NormPlan) else NormPlan.parse(plan)
    refuse_missing(model)
    require_backend()
    from normwise.surgery.place import place as rewrite  # noqa: PLC0415 - needs the backend
    from normwise.surgery.work import EditSettings  # noqa: PLC0415

    bare = _is_architecture(model)
    live = architecture_of(Path(fspath(model))) if bare else live_model(model)
    batches, measure = (None, None) if data is None else _data(model, live, data)
    settings = EditSettings(keep_outputs and not bare, drop_bias, measure)
    return with_faults(live, rewrite(live, wanted, settings, batches, layers))


def _data(model: Any, live: Any, data: Any) -> tuple[Any, Any]:
    """Batches, and how statistics of them are measured."""
    from normwise.surgery.batches import Missing  # noqa: PLC0415 - needs the backend
    from normwise.surgery.population import MeasureSettings, untracked  # noqa: PLC0415
    from normwise.workflows.model_images import fill_of, images_of_folder  # noqa: PLC0415
    from normwise.workflows.pass_progress import tracked  # noqa: PLC0415

    missing = Missing(None, fill_of(live, model))
    if not isinstance(data, (str, PathLike)):
        return data, MeasureSettings(False, missing, untracked)
    batches = images_of_folder(model, live, Path(fspath(data)), None, None, None)
    return batches, MeasureSettings(False, missing, tracked)


def _is_architecture(model: Any) -> bool:
    return isinstance(model, (str, PathLike)) and Path(fspath(model)).suffix.lower() == ".json"

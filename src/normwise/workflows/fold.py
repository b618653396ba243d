"""Folding batch normalizations into the layers beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from normwise.backend import require_backend
from normwise.workflows.models import live_model, refuse_missing

if TYPE_CHECKING:
    from normwise.surgery.rewrite import Rewrite


def fold(model: Any) -> Rewrite:
    """Folds every batch normalization that can be folded exactly.

    The outputs are the same in inference; that is checked, with randomized statistics and with
    the real ones, before anything is returned. For training the original is needed: a folded
    model has no statistics any more.

    Args:
        model: A live model, model file or run folder; it is not changed.

    Returns:
        The folded copy as `.model`; `.report` says what each norm became part of, and which stay
        for what reason.

    Raises:
        PromiseError: The outputs would differ.
        SurgeryError: The model can't be copied or run.
        ModelReadError: The model can't be read.

    Example:
        ```python
        folded = nw.fold("model.keras").model
        ```
    """
    refuse_missing(model)
    require_backend()
    from normwise.surgery.fold import fold as rewrite  # noqa: PLC0415 - needs the backend

    return rewrite(live_model(model))

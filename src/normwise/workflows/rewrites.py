"""Writing a rewritten model, once its promise has been kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from normwise.errors import NormwiseError
from normwise.files import refuse_existing

if TYPE_CHECKING:
    from normwise.surgery.rewrite import Rewrite

SUFFIX = ".keras"


def refuse_output(out: Path, overwrite: bool) -> None:
    """Says at once that a model can't be written there, before other work starts.

    Raises:
        OutputExistsError: The file exists and may not be replaced.
        NormwiseError: It doesn't end in `.keras`.
    """
    if out.suffix != SUFFIX:  # Keras takes no other case
        raise NormwiseError(f"{out}: models are written as {SUFFIX} files; name one that ends so.")
    refuse_existing(out, overwrite)


def write_rewrite(rewrite: Rewrite, out: Path, overwrite: bool) -> None:
    """Writes the new model, whole or not at all.

    Raises:
        OutputExistsError: The file exists and may not be replaced.
    """
    write_model(rewrite.model, out, overwrite)


def write_model(model: Any, out: Path, overwrite: bool) -> None:
    """Writes a model, whole or not at all.

    Raises:
        OutputExistsError: The file exists and may not be replaced.
        SurgeryError: The file couldn't be read, as a layer has no configuration or holds a lambda.
    """
    from normwise.keras_format.saving import (  # noqa: PLC0415 - light start-up
        refuse_lambdas,
        save_model,
    )

    refuse_output(out, overwrite)
    refuse_lambdas(model, out)
    save_model(model, out, overwrite=overwrite)

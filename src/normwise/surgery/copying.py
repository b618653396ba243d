"""From an edited graph to a model that has been held against the one it came from."""

from __future__ import annotations

import gc
from typing import Any

from normwise.errors import PromiseError
from normwise.graph.graph import Graph
from normwise.keras_format.replay import replay
from normwise.keras_format.replayed import Replayed
from normwise.surgery.verify import Verification, verify, verify_plain_copy
from normwise.surgery.work import Work


def copied(work: Work, edited: Graph, model: Any) -> Replayed:
    """The model that an edited graph describes, with what the rules make of the weights."""
    return replay(
        edited,
        model,
        work.rules(),
        original=work.source,
        names=work.names,
        parted=work.split_off,
    )


def verified_plain_copy(graph: Graph, model: Any) -> list[str]:
    """Compares a copy without edits, and is rid of it before the next one is made.

    Returns:
        What the comparison doesn't prove, for reports.

    Raises:
        PromiseError: The copy computes something else.
    """
    copy = replay(graph, model, original=graph)
    doubts = verify_plain_copy(graph, model, copy)
    del copy
    gc.collect()  # a Keras model refers to itself, and two copies of the weights are enough
    return doubts


def verified(graph: Graph, model: Any, copy: Replayed, edits: int) -> Verification:
    """Compares a model and its edited copy.

    Raises:
        PromiseError: The outputs differ; the first layer that does is named.
    """
    found = verify(graph, model, copy)
    if not found.kept:
        raise PromiseError(
            f"model {model.name!r}: the outputs should stay the same and differ by "
            f"{found.difference:.2g} of their largest value (allowed {found.tolerance:.0e}), first "
            f"at layer {found.layer!r}. Edits: {edits}."
        )
    return found

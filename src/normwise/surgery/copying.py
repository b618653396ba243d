"""From an edited graph to a model that has been held against the one it came from."""

from __future__ import annotations

import gc
from typing import Any

from normwise.errors import PromiseError
from normwise.graph.graph import Graph
from normwise.keras_format.replay import replay
from normwise.keras_format.replayed import Replayed
from normwise.surgery.amplified import advice
from normwise.surgery.running import Pair
from normwise.surgery.verify import Verification, compared_on, verify, verify_plain_copy
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
        SurgeryError: The model can't be run on inputs that are made up.
    """
    found = verify(graph, model, copy)
    if not found.kept:
        raise PromiseError(
            f"model {model.name!r}: the outputs should stay the same and differ by "
            f"{found.difference:.2g} of their largest value (allowed {found.tolerance:.0e}), first "
            f"at layer {found.layer!r}. Edits: {edits}.{advice(graph, model)}"
        )
    return found


def verified_on(graph: Graph, model: Any, copy: Replayed, inputs: Any) -> float:
    """Compares a model and its copy on one batch of data, with the weights that they have.

    Args:
        graph: The model's graph.
        model: The model.
        copy: Its copy, whose norms start from statistics of these data.
        inputs: The batch as the model takes it.

    Returns:
        The largest difference of an output, as a share of its largest value.

    Raises:
        PromiseError: The outputs differ; the first layer that does is named.
    """
    found = compared_on(Pair(graph, model, copy), inputs)
    if not found.kept:
        raise PromiseError(
            f"model {model.name!r}: with norms that start from the statistics of the data, the "
            f"outputs on their first batch differ by {found.difference:.2g} of their largest value "
            f"(allowed {found.tolerance:.0e}), first at layer {found.layer!r}. Without data they "
            "start as the identity."
        )
    return found.difference

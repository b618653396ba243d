"""The network of the question, and what is found in it: every number of the answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path

from normwise.graph.channels import channels_of
from normwise.graph.editing import Draft
from normwise.graph.flatten import flatten
from normwise.graph.graph import Graph, Tensor
from normwise.graph.parameters import total_parameters
from normwise.graph.regions import layout_of
from normwise.graph.shapes import with_shapes
from normwise.keras_format.reading import read_graph
from normwise.norms.plan import NormPlan
from normwise.norms.positions import Placement
from normwise.rules import Context, Finding, check
from normwise.rules.comparing import new_in
from normwise.surgery.edits import wants_of

NETWORK = Path(__file__).parents[1] / "networks" / "question.json"
"""The network as it was asked, as Keras writes it (tools/make_question.py)."""

BATCH = 8
PLANS = (
    "batch@encoder:post-activation/raw-skip",
    "batch@before-downsampling",
    "batch@pre-activation",
    "batch@input",
    "standardize@input",
    "group(groups=8)@before-downsampling",
    "instance@before-downsampling",
    "layer@before-downsampling",
)
"""As asked; as advised; before every activation; the two ways to scale the input; and the kinds
that need no batches, at the places of the advice."""
_WITH_STATISTICS = frozenset({"batch", "standardize"})
"""Kinds that keep a mean and a variance of each channel."""


@dataclass(frozen=True)
class Cost:
    """What the normalizations of a plan cost.

    Attributes:
        plan: The plan.
        norms: Their number.
        trained: Parameters that are learned.
        kept: Statistics that are not.
        values: Values that they normalize for each image.
    """

    plan: str
    norms: int
    trained: int
    kept: int
    values: int


@dataclass(frozen=True)
class Question:
    """The network of the question, and what is found in it."""

    graph: Graph

    @classmethod
    def read(cls) -> Question:
        """The network as it was asked, from the file that ships; no backend is loaded."""
        return cls(read_graph(NETWORK))

    @cached_property
    def context(self) -> Context:
        """It as rules see it."""
        return Context(self.graph)

    @cached_property
    def findings(self) -> Sequence[Finding]:
        """What `check` finds."""
        return check(self.context).findings

    @cached_property
    def placement(self) -> Placement:
        """Where its normalizations stand."""
        return Placement(layout_of(flatten(self.graph)))

    @cached_property
    def parameters(self) -> int:
        """All of its parameters."""
        counted = total_parameters(self.graph)
        assert counted is not None
        return counted.total

    def of_rule(self, name: str) -> list[Finding]:
        """The findings of one rule."""
        return [finding for finding in self.findings if finding.name == name]

    def names(self, indices: Iterable[int]) -> str:
        """Names of calls, outputs left out."""
        return ", ".join(self.graph.nodes[i].name for i in indices)

    def before_downsampling(self) -> str:
        """The layers whose results are the last of a resolution."""
        wants = wants_of(self.placement, NormPlan.parse("batch@before-downsampling"))
        return self.names(want.tensor for want in wants)

    def cost(self, plan: str) -> Cost:
        """What a plan's normalizations cost in this network."""
        placement, parsed = self.placement, NormPlan.parse(plan)
        wants = wants_of(placement, parsed)
        widths = [channels_of(placement.graph, want.tensor) or 0 for want in wants]
        shapes = [placement.graph.nodes[want.tensor].shape or () for want in wants]
        (kind,) = {clause.spec.kind for clause in parsed.clauses}
        trained = 0 if kind == "standardize" else 2 * sum(widths)
        kept = 2 * sum(widths) if kind in _WITH_STATISTICS else 0
        values = sum(prod(size or 1 for size in shape[1:]) for shape in shapes)
        return Cost(plan, len(wants), trained, kept, values)

    def with_norm_behind(self, layer: str) -> Sequence[Finding]:
        """The faults that a batch norm behind one layer would bring about."""
        draft, tensor = Draft(self.graph), Tensor(self.graph.calls[layer][0])
        name, readers = draft.free_name(f"{layer}_norm"), draft.readers(tensor)
        draft.insert(tensor, readers, name, "BatchNormalization", {"axis": -1})
        after = check(Context(with_shapes(draft.freeze())))
        return new_in(after, check(self.context))

"""Outputs keep their names, also in a model that is saved and loaded.

Keras calls an output by the layer that makes it, and losses and metrics in dictionaries go by that
name. Before: `mask` makes an output of that name. After an edit that ends the model with another
layer: `mask_linear -> ... -> mask`, where the new `mask` does nothing and the layer that was called
so is the same with another name. Where an edit took out the layer itself, its name is free.

Conditions: the model is no Sequential one, which names no outputs; the layer is no input, whose
name the model's inputs go by, and no nested model, after which the layers in it are called; and it
stands in no other model, in which it would have to be called otherwise, too.
"""

from __future__ import annotations

from normwise.graph.catalogue import Role, role_of
from normwise.graph.graph import Node, tensors_in
from normwise.surgery.rewrite import Change
from normwise.surgery.work import Work


def keep_output_names(work: Work) -> list[Change]:
    """Ends the outermost model with layers of the names that its outputs had."""
    draft = work.levels.root
    if draft.graph.class_name == "Sequential":
        return []
    before = [draft.graph.nodes[tensor.node].layer for tensor in draft.graph.output_tensors]
    now = [draft.nodes[tensor.node].layer for tensor in tensors_in(draft.outputs)]
    standing = {node.layer: node for node in draft.nodes.values()}
    changes = []
    for name in dict.fromkeys(old for old, new in zip(before, now, strict=True) if old != new):
        if name in standing:
            if role_of(standing[name]) is Role.INPUT or standing[name].model is not None:
                continue
            if name in work.shared:
                continue
            called = _other_name(work, standing[name])
            work.rename(name, called)
            changes.append(Change(called, f"was called {name}, which names an output"))
        ends = [position for position, old in enumerate(before) if old == name]
        draft.end(name, ends, work.policy_of(draft.spec(ends[0])))
        changes.append(Change(name, f"a layer that does nothing keeps the output's name {name!r}"))
    return changes


def _other_name(work: Work, node: Node) -> str:
    suffix = "linear" if role_of(node) is Role.LINEAR else "raw"
    return work.levels.root.free_name(f"{node.layer}_{suffix}")

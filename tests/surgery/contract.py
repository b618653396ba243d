"""What holds of every pass on every model, and passes that have something to do on each."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from normwise.errors import PlanError
from normwise.graph.flatten import flatten
from normwise.keras_format import read_graph
from normwise.norms import NormPlan
from normwise.surgery.differences import COARSE
from normwise.surgery.fold import fold
from normwise.surgery.place import place
from normwise.surgery.recalibrate import recalibrate
from normwise.surgery.rewrite import Promise, Rewrite
from normwise.surgery.work import EditSettings
from tests.surgery.models import each_weight, fit_once, inputs_of, outputs_of, weights_of

EVERYTHING = os.environ.get("NORMWISE_ZOO") == "all"
"""Whether each model gets each pass, and not some of them in turns."""

SAME = 1e-5
"""The largest difference of outputs, as a share of their largest value, in float32."""
STATISTICS = ("moving_mean", "moving_variance", "moving_stddev", "renorm_mean", "renorm_stddev")
Pass = Callable[[Any], Rewrite]

STARTS = ("pre-activation", "post-activation", "input", "after-merge")
"""Positions of which nearly every network has one."""


def placed(plan: str, *, keep: bool = True) -> Pass:
    return lambda model: place(model, NormPlan.parse(plan), EditSettings(keep=keep))


def recalibrated(data: Any) -> Pass:
    return lambda model: recalibrate(model, [data])


def inserted(model: Any) -> tuple[Rewrite, str] | None:
    """Batch norms where a network takes some without any edit left out; None if nowhere."""
    for position in STARTS:
        try:
            done = placed(f"batch@{position}")(model)
        except PlanError:
            continue
        if not done.report.skipped and norms_of(done.model):
            return done, position
    return None


def passes_at(position: str, data: Any) -> Mapping[str, Pass]:
    """Every pass on a model with batch norms at one position; `data` is a batch for it."""
    elsewhere = "input" if position in ("post-activation", "after-merge") else "post-activation"
    return {
        "swap": placed(f"batch-renorm(epsilon=0.01)@{position}"),
        "remove": placed("none"),
        "move": placed(f"batch@{elsewhere}", keep=False),
        "fold": fold,
        "recalibrate": recalibrated(data),
    }


@dataclass(frozen=True)
class Before:
    """A model as it is before a pass."""

    inputs: Any
    outputs: list[Any]
    weights: list[Any]
    layers: Mapping[str, list[tuple[str, Any]]]

    @classmethod
    def of(cls, model: Any) -> Before:
        inputs = inputs_of(model)
        outputs = outputs_of(model, inputs)
        # An activation that is a layer inside a layer gets its weights in the first call.
        weights = weights_of(model)
        known = {id(v): array for v, array in zip(model.variables, weights, strict=True)}
        return cls(inputs, outputs, weights, layer_weights(model, known))


def check_pass(model: Any, rewrite: Pass, path: Any = None, *, trains: bool = True) -> Rewrite:
    """Runs a pass and holds it to its contract.

    Args:
        model: The source.
        rewrite: The pass.
        path: Where the result may be saved, None where Keras can't write it.
        trains: Whether copy and source are trained, too.
    """
    before = Before.of(model)
    done = rewrite(model)
    assert_untouched(model, before)
    found = outputs_of(done.model, before.inputs)
    same = max([SAME, *(COARSE.get(layer.compute_dtype, 0) for layer in model.layers)])
    if done.report.promise is not Promise.NOT_KEPT:
        assert (done.report.max_difference or 0) <= same
        for a, b in zip(before.outputs, found, strict=True):
            far = np.abs(a.astype("float64") - b.astype("float64")).max()
            assert far <= same * max(np.abs(a).max(), 1e-6)
    assert_names_kept(model, done)
    assert_old_weights_kept(before, done)
    assert_report_is_the_difference(model, done)
    if path is not None:
        assert_saved(done, before.inputs, found, path)
    assert_second_run_changes_nothing(done, rewrite)
    if trains:
        assert_trains(model, done.model, before)
    return done


def assert_untouched(model: Any, before: Before) -> None:
    for a, b in zip(before.weights, each_weight(model), strict=True):
        np.testing.assert_array_equal(a, b)


def assert_names_kept(model: Any, done: Rewrite) -> None:
    copy = done.model
    assert [i.name for i in copy.inputs] == [i.name for i in model.inputs]
    assert [tuple(i.shape) for i in copy.inputs] == [tuple(i.shape) for i in model.inputs]
    if not isinstance(model, keras.Sequential):
        keras.tree.assert_same_structure(copy.input, model.input)
        keras.tree.assert_same_structure(copy.output, model.output)
        assert copy.output_names == model.output_names


def assert_old_weights_kept(before: Before, done: Rewrite) -> None:
    """Every layer that the report doesn't name has the weights that it had."""
    named = {name.rpartition("/")[2] for name in mentioned(done, before.layers)}
    for name, arrays in layer_weights(done.model).items():
        if name not in before.layers or name in named:
            continue
        for (n, a), (m, b) in zip(before.layers[name], arrays, strict=True):
            # Without a name of its own a variable gets the next number of the process.
            assert n == m or (n + m).replace("_", "").startswith("variable")
            np.testing.assert_array_equal(a, b, err_msg=f"{name}/{n}")


def assert_report_is_the_difference(model: Any, done: Rewrite) -> None:
    old, new = layers_of(model), layers_of(done.model)
    named = mentioned(done, old | new)
    differs = {name for name in old | new if old.get(name) != new.get(name)}
    unexplained = differs - named
    assert not unexplained, (unexplained, done.report.changed)
    for change in done.report.changed:
        moved = change.action.startswith("moved") or "old mean" in change.action
        assert moved or change.layer in differs or _reweighted(model, done.model, change.layer)
    inserted_, removed = ({c.layer for c in done.report.changed if f" {what}" in c.action}
                          for what in ("inserted ", "removed"))  # fmt: skip
    assert inserted_ <= new.keys() - old.keys() and removed & new.keys() == set()


def assert_saved(done: Rewrite, inputs: Any, outputs: list[Any], path: Any) -> None:
    done.model.save(path)
    loaded = keras.saving.load_model(path)
    for a, b in zip(outputs, outputs_of(loaded, inputs), strict=True):
        np.testing.assert_array_equal(a, b)
    names = [output._keras_history.operation.name for output in done.model.outputs]
    noted = any("once the model is saved and loaded" in note for note in done.report.notes)
    if noted or isinstance(loaded, keras.Sequential):
        return
    # An input that is an output keeps its name; then the model had other names in a file already.
    assert loaded.output_names == done.model.output_names or named_otherwise(done.model, names)


def named_otherwise(model: Any, names: list[str]) -> bool:
    """Whether an output of an input, normalized before, is called by the input's name."""
    inputs = {i.name for i in model.inputs}
    differ = [a for a, b in zip(model.output_names, names, strict=True) if a != b]
    return bool(differ) and set(differ) <= inputs


def assert_second_run_changes_nothing(done: Rewrite, rewrite: Pass) -> None:
    again = rewrite(done.model)
    measured = any("old mean" in change.action for change in done.report.changed)
    if not measured:
        assert not again.report.changed
        # What no plan describes any more, now that others are gone, is left alone without a word.
        left = {skip.layer for skip in done.report.skipped}
        assert {skip.layer for skip in again.report.skipped} <= left
    for a, b in zip(each_weight(done.model), each_weight(again.model), strict=True):
        if a.dtype.kind == "f":
            # A norm that reads its own results has settled at 1e-4 of its deviation.
            near = 2e-3 if measured else 1e-5
            np.testing.assert_allclose(a, b, rtol=near, atol=near)


def assert_trains(model: Any, copy: Any, before: Before) -> None:
    fit_once(copy, before.inputs, eagerly=True)
    assert_untouched(model, before)
    after = weights_of(copy)
    fit_once(model, before.inputs, eagerly=True)
    for a, b in zip(after, each_weight(copy), strict=True):
        np.testing.assert_array_equal(a, b)


def norms_of(model: Any) -> set[str]:
    return {name for name, (kind, _) in layers_of(model).items() if "Normalization" in kind}


def layers_of(model: Any) -> dict[str, tuple[str, Any]]:
    """Class and settings of every layer, by path."""
    return {
        node.layer: (node.class_name, {k: v for k, v in node.config.items() if k != "name"})
        for node in flatten(read_graph(model)).nodes
        if node.class_name not in {"InputLayer", "NotEqual", "Any"}  # each call makes masks anew
    }


def layer_weights(
    model: Any, known: Mapping[int, Any] | None = None
) -> dict[str, list[tuple[str, Any]]]:
    """Arrays by layer, with the name of the variable; `known` ones by the variable's `id`."""
    read = known or {}
    found: dict[str, list[tuple[str, Any]]] = {}
    for layer in model._flatten_layers():
        if not layer._layers:
            for v in layer.variables:
                array = read.get(id(v))
                if array is None:
                    array = np.array(keras.ops.convert_to_numpy(v.value), copy=True)
                found.setdefault(layer.name, []).append((v.name, array))
    return found


def mentioned(done: Rewrite, names: Collection[str]) -> set[str]:
    """The layers that a report names; `names` may hold some of several words."""
    long = {n for n in names if " " in n and any(n in c.action for c in done.report.changed)}
    words = {word.strip(",;'") for change in done.report.changed for word in change.action.split()}
    return {change.layer for change in done.report.changed} | words | long


def _reweighted(model: Any, copy: Any, path: str) -> bool:
    name = path.rpartition("/")[2]
    old, new = layer_weights(model).get(name, []), layer_weights(copy).get(name, [])
    return any(not np.array_equal(a, b) for (_, a), (_, b) in zip(old, new, strict=False))

"""Assertions for your own tests: what the normalization of a model has to be.

They raise `AssertionError` with a readable message and need no plug-in:

    import normwise as nw

    def test_the_normalization_of_our_network():
        nw.testing.assert_plan(build(), "batch@pre-activation")
        nw.testing.assert_no_findings(build(), batch_size=8)

Of files neither of them loads Keras, and nothing in a file runs.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from inspect import signature
from os import PathLike
from textwrap import indent
from typing import TYPE_CHECKING, Any

from normwise.errors import CheckError, did_you_mean
from normwise.norms.plan import NormPlan
from normwise.rules.rule import Severity

if TYPE_CHECKING:
    from normwise.rules import Finding

__all__ = ["assert_no_findings", "assert_plan"]


def assert_plan(model: Any, plan: str | NormPlan, *, outside: Collection[str] = ()) -> None:
    """Fails unless a model follows a norm plan: all that it names is there, and nothing else.

    Args:
        model: A live functional or Sequential model, a `.keras`, `.h5` or `.json` file, a run
            folder, or `"package.module:callable"`.
        plan: What should hold, such as `"batch@pre-activation"`; arguments that it doesn't state
            may be any. Where several plans describe the network, each of them holds.
        outside: Patterns of layer paths, such as `"projection/*"`, of normalizations that may stand
            outside of the plan.

    Raises:
        AssertionError: The model departs from the plan. The message says wanted and found plan,
            and what departs, layer by layer.
        PlanError: The text is no plan.
        ModelReadError: The model can't be read.

    Example:
        ```python
        nw.testing.assert_plan("model.keras", "batch@before-downsampling")
        ```
    """
    from normwise.norms.inference import infer_plan  # noqa: PLC0415 - light start-up
    from normwise.workflows.models import graph_of  # noqa: PLC0415
    from normwise.workflows.plan_differences import plan_differences  # noqa: PLC0415

    wanted = plan if isinstance(plan, NormPlan) else NormPlan.parse(plan)
    _refuse_text(outside, "outside")
    graph = graph_of(model)
    found = plan_differences(graph, wanted, outside)
    if found:
        departs = "\n".join(f"- {line}" for line in found)
        raise AssertionError(
            f"{_named(model)} does not follow the plan.\n"
            f"  wanted: {wanted}\n"
            f"  found:  {infer_plan(graph)}\n"
            f"{indent(departs, '  ')}\n"
            "`normwise place` brings a model to a plan; outside=... allows normalizations that "
            "the plan does not name."
        )


def assert_no_findings(
    model: Any,
    *,
    at_least: str = "warning",
    ignore: Sequence[str] = (),
    **set_up: Any,
) -> None:
    """Fails if `nw.check` finds something in a model.

    What the project's `pyproject.toml` allows is left out, as on the command line.

    Args:
        model: As for `nw.check`.
        at_least: The severity from which findings count: `"error"`, `"warning"` or `"info"`.
        ignore: Rules to leave out, where wanted only for layers that match a pattern:
            `"wrong-axis:audio_*"`.
        **set_up: What is known of the training, as for `nw.check`: `batch_size=8`, `epochs=30`.

    Raises:
        AssertionError: There are findings. The message has each with its layers, the reason and
            the fix.
        CheckError: An unknown severity, rule or setting.
        ModelReadError: The model can't be read.

    Example:
        ```python
        nw.testing.assert_no_findings("model.keras", at_least="error", batch_size=8)
        ```
    """
    from normwise.rules.allowing import Allowance, allowed  # noqa: PLC0415 - light start-up
    from normwise.rules.project import project_allowances  # noqa: PLC0415
    from normwise.workflows.check import check  # noqa: PLC0415

    severity = _severity(at_least)
    _refuse_text(ignore, "ignore")
    _refuse_unknown(set_up, list(signature(check).parameters)[1:])
    allowances = (*map(Allowance.parse, ignore), *project_allowances())
    report, _ = allowed(check(model, **set_up), allowances)
    found = report.at_least(severity)
    if found:
        counted = "1 finding" if len(found) == 1 else f"{len(found)} findings"
        told = "\n".join(map(_told, found))
        raise AssertionError(f"{_named(model)}: {counted} of {severity} or worse.\n{told}")


def _severity(text: str) -> Severity:
    known = [str(severity) for severity in Severity]
    if text in known:
        return Severity(text)
    meant = did_you_mean(text, known)
    raise CheckError(f"at_least is {text!r}; expected one of {', '.join(known)}.{meant}")


def _refuse_unknown(given: Collection[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            meant = did_you_mean(name, known)
            raise CheckError(f"{name!r} is no setting of `nw.check`.{meant}")


def _refuse_text(names: Collection[str], argument: str) -> None:
    """A single text is a collection of letters, which nobody means."""
    if isinstance(names, str):
        raise CheckError(f"{argument} is {names!r}; expected a list: {argument}=[{names!r}].")


def _told(finding: Finding) -> str:
    kept = "outputs stay" if finding.keeps_outputs else "outputs change: train again"
    return (
        f"  {finding.severity} {finding.code} {finding.name}: {', '.join(finding.layers)}\n"
        f"    {finding.message}\n"
        f"    {finding.why}\n"
        f"    Fix ({kept}): {finding.fix}"
    )


def _named(model: Any) -> str:
    """The file, or the live model's name."""
    if isinstance(model, (str, PathLike)):
        return str(model)
    return f"model {getattr(model, 'name', type(model).__name__)!r}"

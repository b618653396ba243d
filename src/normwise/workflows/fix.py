"""Mending what `check` finds: the fixes that keep outputs and, on demand, those that don't."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normwise.backend import require_backend
from normwise.errors import PromiseError, SurgeryError
from normwise.keras_format.archive import read_keras_version
from normwise.keras_format.paths import layers_by_path, shared_paths
from normwise.keras_format.reading import model_file, read_compiled, read_graph
from normwise.rules import Context, Finding, Training
from normwise.rules import Report as Findings
from normwise.rules import check as look
from normwise.rules.allowing import Allowance, allowed
from normwise.rules.comparing import new_in
from normwise.workflows.check import check, running_keras
from normwise.workflows.check_training import Told, compiled_live
from normwise.workflows.models import is_callable_name, live_model, refuse_missing
from normwise.workflows.place import architecture_of

if TYPE_CHECKING:
    from normwise.keras_format.compiled import Compiled
    from normwise.norms.mends import Mend
    from normwise.surgery.mend import Bench
    from normwise.surgery.rewrite import Change, Report

RETRAINING = "the outputs would change, and the model has to be trained again: --fix unsafe"
ONLY_IN_FILES = "newer-config"
"""The rule that looks at what a file says, which a loaded model says otherwise."""

STALE = frozenset({"dropout-before-norm", "shared-batch-norm", "norm-before-pool"})
"""Rules whose fix keeps outputs, and leaves statistics that training would measure otherwise."""


@dataclass(frozen=True)
class Left:
    """A finding whose own fix was not made.

    Attributes:
        finding: The finding.
        reason: Why; or what ended it.
        ended: Whether it is gone all the same, because another fix removed its cause.
    """

    finding: Finding
    reason: str
    ended: bool = False


@dataclass(frozen=True)
class Fixed:
    """A mended model; the one it came from is as it was.

    Attributes:
        model: The mended model, not compiled; the source itself where nothing was mended.
        report: The edits, what they promise of the outputs, and what was left alone.
        mended: The findings that are gone because their fix was made.
        left: The others of the first check and of the last, each with the reason.
        after: What `check` finds now.
    """

    model: Any
    report: Report
    mended: tuple[Finding, ...]
    left: tuple[Left, ...]
    after: Findings

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **self.report.to_dict(),
            "mended": [finding.to_dict() for finding in self.mended],
            "left": [
                {**one.finding.to_dict(), "reason": one.reason, "ended": one.ended}
                for one in self.left
            ],
        }


def fix(  # noqa: PLR0913 - as for `check`
    model: Any,
    *,
    unsafe: bool = False,
    ignore: Sequence[str | Allowance] = (),
    batch_size: int | None = None,
    samples: int | None = None,
    epochs: int | None = None,
    loss: str | None = None,
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
        loss: Name of the loss; no present rule judges by it.
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
    mending = _Mending(live, training, _version(model), _has_weights(model), allowances)
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


@dataclass
class _Mending:
    """A model while it is mended, stage after stage."""

    model: Any
    training: Training
    version: tuple[int, ...] | None
    has_weights: bool
    allowances: Sequence[Allowance]
    reports: list[Report] = field(default_factory=list)
    mended: list[Finding] = field(default_factory=list)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    """Why fixes were not made, by rule and layer."""
    first: list[Finding] = field(default_factory=list)
    """What each stage started from."""
    names: dict[str, str] = field(default_factory=dict)
    """Layers that are called otherwise by now: to their first names."""

    def stage(self, keep: bool, also: Iterable[Finding] = ()) -> None:
        """Makes all fixes that keep the outputs, or all that don't."""
        from normwise.surgery.mend import finish  # noqa: PLC0415 - needs the backend

        graph, before = read_graph(self.model), self.found()
        self.first += [replace(f, layers=self._once(f.layers)) for f in before.findings]
        level = "safe" if keep else "unsafe"
        chosen = [f for f in (*before.findings, *also) if f.mended_by == level]
        if not chosen:
            return
        bench, accepted = self._tried(graph, chosen, keep, self.found(tried=False))
        if not any(not isinstance(made, str) for made in bench.done.values()):
            return
        rewrite = finish(bench, self.model)
        self.model = rewrite.model
        self._refuse_surprises(before, rewrite.names)
        self.reports.append(rewrite.report)
        self.mended += [replace(f, layers=self._once(f.layers)) for f in accepted]
        self.names |= {now: self.names.get(old, old) for now, old in rewrite.names.items()}

    def tidy(self) -> None:
        """Makes what keeps outputs once others have changed them, if that can be proved."""
        try:
            self.stage(True)
        except PromiseError:
            raise
        except SurgeryError as error:
            for finding in self.found().findings:
                if finding.mended_by == "safe":
                    self._refuse(finding, str(error), finding.layers)

    def found(self, tried: bool = True) -> Findings:
        """What is found in the model as it is now, without what is allowed.

        Args:
            tried: Whether to try what training moves, which no draft can.
        """
        from normwise.keras_format.live_weights import LiveWeights  # noqa: PLC0415
        from normwise.probes.state_change import TriedState  # noqa: PLC0415 - needs Keras

        graph = read_graph(self.model)
        weights = LiveWeights(self.model) if self.has_weights else None
        live = TriedState(self.model, graph) if tried else None
        context = Context(graph, weights, self.training, self.version, live=live)
        return allowed(look(context), self.allowances)[0]

    def _tried(
        self, graph: Any, chosen: Sequence[Finding], keep: bool, before: Findings
    ) -> tuple[Bench, list[Finding]]:
        """The edits of all findings, but for those that bring about new ones."""
        from normwise.surgery.mend import bench  # noqa: PLC0415 - needs the backend

        shared = shared_paths(layers_by_path(self.model))

        def made(findings: Sequence[Finding]) -> Bench:
            return bench(graph, [mend for f in findings for mend in f.mends], keep, shared)

        together = made(chosen)
        accepted = list(chosen)
        if new := self._new(together, before):
            accepted = self._harmless(
                chosen,
                _about(chosen, new, together.names),
                lambda findings: self._new(made(findings), before),
            )
            together = made(accepted)
        for finding in accepted:
            for mend in finding.mends:
                outcome = together.done[mend]
                if isinstance(outcome, str):
                    self._refuse(finding, outcome, _layers_of(mend) or finding.layers)
        return together, [f for f in accepted if self._is_mended(f, together)]

    def _harmless(
        self,
        chosen: Sequence[Finding],
        suspects: Sequence[int],
        new_of: Callable[[Sequence[Finding]], Sequence[Finding]],
    ) -> list[Finding]:
        """The findings whose edits bring about no new ones together; the others are refused.

        Args:
            chosen: All of them.
            suspects: The numbers of those that are tried one at a time, each beside those that
                are all right; all are, if the others aren't all right.
            new_of: What the edits of some bring about.
        """
        right = [number for number in range(len(chosen)) if number not in suspects]
        if new_of([chosen[number] for number in right]):
            suspects, right = range(len(chosen)), []
        for number in suspects:
            tried = sorted([*right, number])
            new = new_of([chosen[each] for each in tried])
            if new:
                reason = f"it would bring about {_said(new[0])}"
                self._refuse(chosen[number], reason, chosen[number].layers)
            else:
                right = tried
        return [chosen[number] for number in right]

    def _is_mended(self, finding: Finding, bench: Bench) -> bool:
        return any(not isinstance(bench.done[mend], str) for mend in finding.mends)

    def _refuse(self, finding: Finding, reason: str, layers: Iterable[str]) -> None:
        self.refused.update({(finding.name, layer): reason for layer in layers})

    def _new(self, bench: Bench, before: Findings) -> tuple[Finding, ...]:
        """The warnings and errors that edits bring about, seen in the draft."""
        from normwise.surgery.edited_weights import EditedWeights  # noqa: PLC0415

        weights = EditedWeights(bench.work, self.model) if self.has_weights else None
        context = Context(bench.edited, weights, self.training, self.version)
        return new_in(allowed(look(context), self.allowances)[0], before, bench.names)

    def _refuse_surprises(self, before: Findings, names: Mapping[str, str]) -> None:
        new = new_in(self.found(), before, names)
        if new:
            raise PromiseError(
                f"the mended model has a fault that the draft of it had not: {_said(new[0])} "
                "Nothing is written. This is a fault of normwise; check without --fix."
            )

    def done(self, in_file: Sequence[Finding]) -> Fixed:
        """What came of it."""
        after = self.found()
        still = {(f.name, self._once(f.layers)) for f in after.findings}
        mended = [f for f in self.mended if (f.name, f.layers) not in still]
        files = [f for f in in_file if f not in mended]
        left = (
            *(Left(f, self._reason(f)) for f in (*after.findings, *files)),
            *(Left(f, _ended_by(f, mended), True) for f in self._overtaken(after, mended)),
        )
        report = _joined(self.reports, left, {f.name for f in mended})
        return Fixed(self.model, report, tuple(dict.fromkeys(mended)), left, after)

    def _overtaken(self, after: Findings, mended: Sequence[Finding]) -> Iterable[Finding]:
        """The findings that are gone although their own fix was not made."""
        known = [(f.name, frozenset(self._once(f.layers))) for f in (*after.findings, *mended)]
        gone = {(f.name, f.layers): f for f in self.first}
        for (name, layers), finding in gone.items():
            # One that concerns fewer layers than before is an old one, as for `new_in`.
            if not any(name == rule and some <= set(layers) for rule, some in known):
                yield finding

    def _once(self, layers: Iterable[str]) -> tuple[str, ...]:
        """Layers by the names that they had at first."""
        return tuple(self.names.get(layer, layer) for layer in layers)

    def _reason(self, finding: Finding) -> str:
        keys = ((finding.name, layer) for layer in finding.layers)
        known = next((self.refused[key] for key in keys if key in self.refused), None)
        if known is not None:
            return known
        if finding.mended_by == "unsafe":
            return RETRAINING
        return finding.by_hand or "no automatic fix mends it"


def _ended_by(finding: Finding, mended: Sequence[Finding]) -> str:
    """What ended a finding whose own fix was not made: the fixes near it, if there are any."""
    layers = set(finding.layers)
    near = [f for f in mended if layers & {*f.layers, *_touched(f)}]
    names = dict.fromkeys(f"{f.name} ({', '.join(f.layers[:3])})" for f in near[:2])
    if not names:
        return "ended: the other fixes together removed its cause"
    fixes = "fix" if len(names) == 1 else "fixes"
    return f"ended: the {fixes} of {' and '.join(names)} removed its cause"


def _touched(finding: Finding) -> set[str]:
    """The calls and layers that the edits of a finding name."""
    found: set[str] = set()
    for mend in finding.mends:
        found.update(_layers_of(mend), getattr(mend, "calls", ()))
    return found


def _layers_of(mend: Mend) -> tuple[str, ...]:
    """The one layer that an edit is about, where it names a layer."""
    named = (getattr(mend, "layer", None), getattr(mend, "norm", None))
    return tuple(name for name in named if isinstance(name, str))


def _about(
    findings: Sequence[Finding], new: Sequence[Finding], names: Mapping[str, str]
) -> list[int]:
    """Which findings' edits are about layers of new ones, by their numbers."""
    layers = {names.get(layer, layer) for finding in new for layer in finding.layers}
    found = []
    for number, finding in enumerate(findings):
        if {*finding.layers, *_touched(finding)} & layers:
            found.append(number)
    return found


def _said(finding: Finding) -> str:
    return f"{finding.severity} {finding.name}: {finding.message}"


def _joined(reports: Sequence[Report], left: Sequence[Left], rules: set[str]) -> Report:
    """One report of all stages."""
    from normwise.surgery.rewrite import Promise, Report, Skip  # noqa: PLC0415

    changed: dict[Change, None] = dict.fromkeys(c for r in reports for c in r.changed)
    kept = all(report.promise is not Promise.NOT_KEPT for report in reports)
    promise = Promise.KEPT if not reports else Promise.NOT_KEPT
    promise = Promise.KEPT_IN_INFERENCE if reports and kept else promise
    differences = [r.max_difference for r in reports if r.max_difference is not None]
    notes = dict.fromkeys(note for report in reports for note in report.notes)
    if rules & STALE:
        notes["statistics are as they were; `normwise recalibrate` measures them anew"] = None
    if not kept:
        notes["the model has to be trained again; compile it first"] = None
    skipped = tuple(
        Skip(", ".join(one.finding.layers), f"{one.finding.name}: {one.reason}") for one in left
    )
    difference = max(differences) if differences and kept else None
    return Report(promise, tuple(changed), skipped, difference, tuple(notes))

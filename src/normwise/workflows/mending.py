"""A model while it is mended, in stages: each is checked, mended, verified and checked again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from normwise.errors import PromiseError, SurgeryError
from normwise.keras_format.paths import layers_by_path, shared_paths
from normwise.keras_format.reading import read_graph
from normwise.norms.mends import layers_in
from normwise.rules import Context, Finding, Report, Training
from normwise.rules import check as look
from normwise.rules.allowing import Allowance, allowed
from normwise.rules.comparing import new_in
from normwise.workflows.fixed import Fixed, Left, ended_by, joined, touched

if TYPE_CHECKING:
    from normwise.surgery.mend import Bench
    from normwise.surgery.rewrite import RewriteReport

RETRAINING = "the outputs would change, and the model has to be trained again: --fix unsafe"


@dataclass
class Mending:
    """A model while it is mended, stage after stage."""

    model: Any
    training: Training
    version: tuple[int, ...] | None
    has_weights: bool
    allowances: Sequence[Allowance]
    reports: list[RewriteReport] = field(default_factory=list)
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

    def found(self, tried: bool = True) -> Report:
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
        self, graph: Any, chosen: Sequence[Finding], keep: bool, before: Report
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
                    self._refuse(finding, outcome, layers_in(mend) or finding.layers)
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

    def _new(self, bench: Bench, before: Report) -> tuple[Finding, ...]:
        """The warnings and errors that edits bring about, seen in the draft."""
        from normwise.surgery.edited_weights import EditedWeights  # noqa: PLC0415

        weights = EditedWeights(bench.work, self.model) if self.has_weights else None
        context = Context(bench.edited, weights, self.training, self.version)
        return new_in(allowed(look(context), self.allowances)[0], before, bench.names)

    def _refuse_surprises(self, before: Report, names: Mapping[str, str]) -> None:
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
            *(Left(f, ended_by(f, mended), True) for f in self._overtaken(after, mended)),
        )
        report = joined(self.reports, left, {f.name for f in mended})
        return Fixed(self.model, report, tuple(dict.fromkeys(mended)), left, after)

    def _overtaken(self, after: Report, mended: Sequence[Finding]) -> Iterable[Finding]:
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


def _about(
    findings: Sequence[Finding], new: Sequence[Finding], names: Mapping[str, str]
) -> list[int]:
    """Which findings' edits are about layers of new ones, by their numbers."""
    layers = {names.get(layer, layer) for finding in new for layer in finding.layers}
    found = []
    for number, finding in enumerate(findings):
        if {*finding.layers, *touched(finding)} & layers:
            found.append(number)
    return found


def _said(finding: Finding) -> str:
    return f"{finding.severity} {finding.name}: {finding.message}"

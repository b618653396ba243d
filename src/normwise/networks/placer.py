"""Puts a plan's normalizations into a network while it is being built."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from normwise.errors import PlanError
from normwise.norms.kinds import (
    KINDS,
    NormSpec,
    cancels_bias,
    config_of,
    refuse_missing_kind,
    refuse_unfitting_groups,
)
from normwise.norms.plan import DOWN, INPUT, MERGE, POST, PRE, SKIP, NormPlan, Position


@dataclass(frozen=True)
class Taps:
    """What an activation hands on: `main` to the next layer, `skip` to the merge."""

    main: Any
    skip: Any


@final
class Placer:
    """Answers, for each place of a network under construction, what the plan puts there.

    A network asks for every place it has; `finish` then refuses the positions of the plan that
    no place answered to.

    Args:
        plan: The norm plan.
        reasons: Why positions may be missing in this network, by position or `region:position`,
            for the error.
    """

    def __init__(self, plan: NormPlan, reasons: Mapping[str, str]) -> None:
        self.plan = plan
        self.reasons = reasons
        self._used: set[Position] = set()

    def at(self, where: str, region: str) -> tuple[NormSpec, bool] | None:
        """The kind that the plan puts at a position of a region, and whether skips stay raw."""
        for clause in self.plan.clauses:
            for position in clause.positions:
                if position.where == where and (where == INPUT or region in position.regions):
                    self._used.add(position)
                    return clause.spec, position.raw_skip
        return None

    def input(self, x: Any, statistics: Any = None) -> Any:
        """The input, normalized where the plan says so."""
        found = self.at(INPUT, "")
        if found is None:
            return x
        spec = found[0]
        if spec.kind != "standardize":
            return norm_layer(spec, x.shape[-1], "input_norm")(x)
        return _standardize(x.shape[-1], statistics)(x)

    def keeps_bias(self, region: str, channels: int, where: str = PRE) -> bool:
        """Whether a layer needs its bias: no normalization at the place after it cancels it."""
        found = self.at(where, region)
        return found is None or not cancels_bias(found[0], channels)

    def activated(
        self, make: Any, x: Any, name: str, region: str, activation: Any, last: bool = False
    ) -> Taps:
        """A linear layer with its activation, normalized by plan.

        Args:
            make: Called with `activation`, `use_bias` and `name`; returns the layer.
            x: What the layer reads.
            name: The layer's name.
            region: Where it stands.
            activation: Name of the activation.
            last: Whether the result is the last tensor of its resolution, which the down step
                and the skip read.

        Returns:
            What the next layer and what the skip reads.
        """
        before = self.at(PRE, region)
        if before is None:
            x = make(activation=activation, use_bias=True, name=name)(x)
        else:
            x = self._pre_activation(make, x, name, region, activation, before[0])
        return self._after(x, name, region, last)

    def _pre_activation(
        self, make: Any, x: Any, name: str, region: str, activation: Any, spec: NormSpec
    ) -> Any:
        import keras  # noqa: PLC0415 - plans are handled without a backend

        layer = make(activation=None, use_bias=True, name=name)
        channels = layer.filters
        if not self.keeps_bias(region, channels):
            layer = make(activation=None, use_bias=False, name=name)
        x = norm_layer(spec, channels, f"{name}_norm")(layer(x))
        return keras.layers.Activation(activation, name=f"{name}_{activation}")(x)

    def linear(self, make: Any, x: Any, name: str, region: str, added_in: str) -> Any:
        """A linear layer whose result reaches its activation through an add (see `added`).

        Args:
            make: As for `activated`.
            x: What the layer reads.
            name: The layer's name.
            region: Where it stands.
            added_in: Where the add stands.

        Returns:
            A part of the add: the norm before an activation stands before the add.
        """
        layer = make(activation=None, use_bias=True, name=name)
        channels = layer.filters
        if self.cancels_bias(channels, region, added_in):
            layer = make(activation=None, use_bias=False, name=name)
        found = self.at(PRE, region)
        x = layer(x)
        return x if found is None else norm_layer(found[0], channels, f"{name}_norm")(x)

    def cancels_bias(self, channels: int, region: str, added_in: str) -> bool:
        """Whether a bias is dead that reaches an activation through an add in `added_in`."""
        if self.at(PRE, region) is not None:
            return not self.keeps_bias(region, channels)
        return not self.keeps_bias(added_in, channels, MERGE)

    def added(
        self, parts: Sequence[Any], name: str, region: str, activation: str, last: bool = False
    ) -> Taps:
        """The sum of some tensors with its activation, normalized by plan."""
        import keras  # noqa: PLC0415

        x = keras.layers.Add(name=f"{name}_add")(list(parts))
        x = self.merged(x, f"{name}_add", region)
        x = keras.layers.Activation(activation, name=f"{name}_{activation}")(x)
        return self._after(x, name, region, last)

    def _after(self, x: Any, name: str, region: str, last: bool) -> Taps:
        post, down = self.at(POST, region), self.at(DOWN, region) if last else None
        if post and down and post != down:
            raise PlanError(
                f"plan '{self.plan}': {POST} and {DOWN} mean the same tensor after {name}, but "
                "with different kinds or suffixes. Name regions so that they don't meet, or keep "
                "one of them."
            )
        main = skip = x
        found = post or down
        if found is not None:
            spec, raw = found
            suffix = "_post_norm" if self.at(PRE, region) else "_norm"
            main = norm_layer(spec, x.shape[-1], f"{name}{suffix}")(x)
            skip = x if raw else main
        return Taps(main, skip)

    def skip(self, x: Any, name: str, region: str) -> Any:
        """The branch from tap `name` to the merge."""
        found = self.at(SKIP, region)
        return x if found is None else norm_layer(found[0], x.shape[-1], f"{name}_skip_norm")(x)

    def merged(self, x: Any, name: str, region: str) -> Any:
        """What a merge hands on."""
        found = self.at(MERGE, region)
        return x if found is None else norm_layer(found[0], x.shape[-1], f"{name}_norm")(x)

    def finish(self) -> None:
        """Refuses positions that this network doesn't have.

        Raises:
            PlanError: With the reason for each of them.
        """
        unused = [
            position
            for clause in self.plan.clauses
            for position in clause.positions
            if position not in self._used
        ]
        if unused:
            reasons = "; ".join(f"'{p}': {self._reason(p)}" for p in unused)
            raise PlanError(f"plan '{self.plan}' can't hold in this network: {reasons}.")

    def _reason(self, position: Position) -> str:
        by_region = self.reasons.get(f"{position.region}:{position.where}")
        return by_region or self.reasons.get(position.where, "there is no such place")


def norm_layer(spec: NormSpec, channels: int, name: str) -> Any:
    """The Keras layer of a kind, for `channels_last` tensors.

    Raises:
        PlanError: Groups that don't divide the channels, or a kind this backend doesn't have.
    """
    import keras  # noqa: PLC0415

    refuse_missing_kind(spec.kind, keras.backend.backend())
    config = config_of(spec)
    refuse_unfitting_groups(spec, channels, name)
    return getattr(keras.layers, KINDS[spec.kind].class_name)(name=name, **config)


def _standardize(channels: int, statistics: Any) -> Any:
    import keras  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    mean, variance = ([0.0] * channels, [1.0] * channels) if statistics is None else statistics
    given = [np.asarray(s, "float64").reshape(-1) for s in (mean, variance)]
    if any(len(s) != channels for s in given):
        raise PlanError(
            f"standardize@input: got statistics of {len(given[0])} and {len(given[1])} channels "
            f"for an input of {channels} channels."
        )
    mean, variance = (s.tolist() for s in given)
    return keras.layers.Normalization(name="input_norm", mean=mean, variance=variance)

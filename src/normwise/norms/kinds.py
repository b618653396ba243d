"""The kinds of normalization a plan can name, and what each is in Keras' terms."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from normwise.errors import PlanError
from normwise.graph.catalogue import Role, role_of
from normwise.graph.graph import Node

Value = bool | int | float


@dataclass(frozen=True)
class Kind:
    """A kind of normalization.

    Attributes:
        name: As plans write it.
        class_name: The Keras layer.
        fixed: Configuration that makes the layer this kind.
        defaults: The arguments a plan may state, with Keras' defaults.
        cancels_bias: Whether it subtracts a mean per channel, so that a bias before it is dead.
        input_only: Whether it may only stand at the input.
    """

    name: str
    class_name: str
    fixed: Mapping[str, Value] = field(default_factory=dict)
    defaults: Mapping[str, Value] = field(default_factory=dict)
    cancels_bias: bool = False
    input_only: bool = False


_AFFINE: Mapping[str, Value] = {"epsilon": 1e-3, "center": True, "scale": True}
_BATCH: Mapping[str, Value] = {"momentum": 0.99, **_AFFINE}
# Keras keeps these in `renorm_clipping`, and has no schedule for them: from the first step on, the
# correction is bounded by what is stated, and by nothing else.
_CLIPPING: Mapping[str, Value] = {"rmin": 0.0, "rmax": float("inf"), "dmax": float("inf")}

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Kind("batch", "BatchNormalization", {}, _BATCH, cancels_bias=True),
            Kind(
                "batch-renorm",
                "BatchNormalization",
                {"renorm": True},
                {**_BATCH, "renorm_momentum": 0.99, **_CLIPPING},
                cancels_bias=True,
            ),
            Kind(
                "sync-batch",
                "BatchNormalization",
                {"synchronized": True},
                _BATCH,
                cancels_bias=True,
            ),
            Kind("group", "GroupNormalization", {}, {"groups": 32, **_AFFINE}),
            Kind("instance", "GroupNormalization", {"groups": -1}, _AFFINE, cancels_bias=True),
            Kind("layer", "LayerNormalization", {}, _AFFINE),
            Kind("rms", "RMSNormalization", {}, {"epsilon": 1e-6}),
            Kind("standardize", "Normalization", input_only=True),
        )
    }
)
"""Every kind but `none`, in the order in which plans list them."""


@dataclass(frozen=True)
class NormSpec:
    """A kind with the arguments that differ from Keras' defaults, or that a plan states."""

    kind: str
    args: tuple[tuple[str, Value], ...] = ()

    def __str__(self) -> str:
        if not self.args:
            return self.kind
        return f"{self.kind}({','.join(f'{k}={value_text(v)}' for k, v in self.args)})"


def value_text(value: Value) -> str:
    """An argument as plans write it: `true`, `8`, `0.9`, `1e-5`."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    text = repr(value)
    mantissa, _, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else text


def is_norm(node: Node) -> bool:
    """Whether a call normalizes; a fixed `Normalization` counts (see `spec_of`)."""
    return role_of(node) is Role.NORM


def spec_of(node: Node) -> NormSpec | None:
    """The kind and arguments of a normalization, None where no kind describes it."""
    name = _kind_name(node)
    if name is None:
        return None
    clipping = node.config.get("renorm_clipping")
    config = {**node.config, **(clipping if isinstance(clipping, Mapping) else {})}
    stated = tuple(
        (argument, config[argument])
        for argument, default in KINDS[name].defaults.items()
        if argument in config and config[argument] != default
    )
    # A file can hold anything; what a plan can't write is no kind of ours.
    writable = all(isinstance(value, (bool, int, float)) for _, value in stated)
    return NormSpec(name, stated) if writable else None


def _kind_name(node: Node) -> str | None:
    name, config = node.class_name, node.config
    if name == "BatchNormalization":
        if config.get("synchronized"):
            return "sync-batch"
        return "batch-renorm" if config.get("renorm") else "batch"
    if name == "GroupNormalization":
        return "instance" if config.get("groups") == -1 else "group"
    if name == "Normalization":
        return None if config.get("invert") else "standardize"
    others = {
        "SyncBatchNormalization": "sync-batch",
        "LayerNormalization": "layer",
        "RMSNormalization": "rms",
    }
    return others.get(name)


def cancels_bias(spec: NormSpec, channels: int) -> bool:
    """Whether a bias right before it has no effect: its mean is taken over each channel alone."""
    groups = dict(spec.args).get("groups", KINDS[spec.kind].defaults.get("groups"))
    return KINDS[spec.kind].cancels_bias or groups == channels


def config_of(spec: NormSpec) -> dict[str, Any]:
    """Keras' constructor arguments for a kind with its stated arguments."""
    stated = {name: value for name, value in spec.args if name not in _CLIPPING}
    clipping = {name: value for name, value in spec.args if name in _CLIPPING}
    config: dict[str, Any] = {**KINDS[spec.kind].fixed, **stated}
    return {**config, "renorm_clipping": clipping} if clipping else config


def allows(wanted: NormSpec, there: NormSpec, channels: int | None) -> bool:
    """Whether what stands there is what is wanted; arguments that aren't stated are free.

    An instance norm is also written as a group norm with one group for each channel.
    """
    same = wanted.kind == there.kind
    if {wanted.kind, there.kind} == {"group", "instance"} and channels is not None:
        group = wanted if wanted.kind == "group" else there
        same = dict(group.args).get("groups", KINDS["group"].defaults["groups"]) == channels
    stated = {**KINDS[there.kind].defaults, **dict(there.args)}
    args = {k: v for k, v in wanted.args if same and not (k == "groups" and k not in stated)}
    return same and all(stated[key] == value for key, value in args.items())


def refuse_unfitting_groups(spec: NormSpec, channels: int, name: str) -> None:
    """Refuses groups that don't divide the channels.

    Raises:
        PlanError: With the numbers of groups that fit.
    """
    groups = dict(spec.args).get("groups", KINDS[spec.kind].defaults.get("groups"))
    if groups and int(groups) > 0 and channels % int(groups):
        fitting = [str(n) for n in range(1, channels + 1) if channels % n == 0]
        raise PlanError(
            f"{spec}: {name} would normalize {channels} channels, which {groups} groups don't "
            f"divide. Numbers that fit: {', '.join(fitting)}; write for example "
            f"group(groups={fitting[len(fitting) // 2]})."
        )


def refuse_missing_kind(kind: str, backend: str) -> None:
    """Refuses a kind that Keras doesn't have on a backend.

    Args:
        kind: As plans write it.
        backend: The Keras backend, such as `jax`.

    Raises:
        PlanError: With the kind to use instead.
    """
    if kind == "sync-batch" and backend != "tensorflow":
        raise PlanError(
            f"sync-batch needs the TensorFlow backend, got {backend}. Use 'batch': on JAX with "
            "keras.distribution its statistics are over the global batch anyway."
        )

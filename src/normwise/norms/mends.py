"""What mends a normalization mistake: edits of a model as data.

A rule says them of a spot that it reports, surgery makes them. Calls are named as in the opened
graph (`Node.name`), layers by their paths (`Node.layer`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from normwise.norms.kinds import Value


@dataclass(frozen=True)
class RemoveNorm:
    """A normalization is taken out; where outputs stay, the layer before it does its work too."""

    norm: str

    @property
    def calls(self) -> tuple[str, ...]:
        """The calls that it is about."""
        return (self.norm,)


@dataclass(frozen=True)
class Reread:
    """A call reads another tensor: `new` in the place of `old`, each the result of a call."""

    reader: str
    old: str
    new: str

    @property
    def calls(self) -> tuple[str, ...]:
        """The calls that it is about."""
        return (self.reader, self.old, self.new)


@dataclass(frozen=True)
class MoveBehind:
    """A call with one input is taken out and stands after `target`, before all that read that."""

    moved: str
    target: str

    @property
    def calls(self) -> tuple[str, ...]:
        """The calls that it is about."""
        return (self.moved, self.target)


@dataclass(frozen=True)
class MoveBefore:
    """A call with one input is taken out and stands before `target`, which alone reads it."""

    moved: str
    target: str

    @property
    def calls(self) -> tuple[str, ...]:
        """The calls that it is about."""
        return (self.moved, self.target)


@dataclass(frozen=True)
class AddActivation:
    """An activation stands after a call: part of a linear layer, else a layer of its own."""

    behind: str
    activation: str

    @property
    def calls(self) -> tuple[str, ...]:
        """The calls that it is about."""
        return (self.behind,)


@dataclass(frozen=True)
class DropActivation:
    """A linear layer loses its fused activation, in all its calls."""

    layer: str


@dataclass(frozen=True)
class AddBias:
    """A linear layer gets a bias of zero."""

    layer: str


@dataclass(frozen=True)
class DropBias:
    """A linear layer loses the bias that the normalization after it cancels."""

    layer: str


@dataclass(frozen=True)
class SetArguments:
    """A normalization with other arguments that does the same in inference.

    Attributes:
        norm: Its path.
        arguments: Name and value, as plans write them: `("momentum", 0.9)`.
    """

    norm: str
    arguments: tuple[tuple[str, Value], ...]


@dataclass(frozen=True)
class Configure:
    """Settings of a layer that say nothing of what it computes in inference.

    Attributes:
        layer: Its path.
        settings: Names and values.
    """

    layer: str
    settings: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Restart:
    """A normalization with other settings, or of another class, that starts anew.

    Attributes:
        norm: Its path.
        class_name: A Keras class.
        settings: Names and values.
    """

    norm: str
    class_name: str
    settings: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class SplitNorm:
    """Each call of a shared normalization gets one of its own, with a copy of its weights."""

    norm: str


@dataclass(frozen=True)
class WriteAnew:
    """Nothing but that normwise writes the file: it leaves out what older Keras refuses."""

    layer: str


Mend: TypeAlias = (
    RemoveNorm
    | Reread
    | MoveBehind
    | MoveBefore
    | AddActivation
    | DropActivation
    | AddBias
    | DropBias
    | SetArguments
    | Configure
    | Restart
    | SplitNorm
    | WriteAnew
)
"""One edit."""


def configure(layer: str, settings: Mapping[str, Any]) -> Configure:
    """A `Configure` of settings in a mapping."""
    return Configure(layer, tuple(settings.items()))


def layers_in(mend: Mend) -> tuple[str, ...]:
    """The one layer that an edit is about, where it names a layer."""
    named = (getattr(mend, "layer", None), getattr(mend, "norm", None))
    return tuple(name for name in named if name is not None)


def names_in(mend: Mend) -> frozenset[str]:
    """The calls and layers that an edit names."""
    return frozenset((*getattr(mend, "calls", ()), *layers_in(mend)))

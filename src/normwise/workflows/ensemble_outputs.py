"""Whether the members of an ensemble predict the same: else their mean stands for nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from os import fspath
from typing import TYPE_CHECKING, Any, Final

from normwise.errors import NetworkError
from normwise.training.distribution import Distribution
from normwise.workflows.runs import class_names, output_names

if TYPE_CHECKING:
    from normwise.inference.heads import Head

Names = tuple[str, ...]

_MADE_UP: Final = re.compile(r"(class|target|band) \d+")
"""What a data folder's classes, targets and bands are called that nobody has named."""


@dataclass(frozen=True)
class _Told:
    """What a run tells of its model's outputs, in small letters; nothing where nobody named them.

    Attributes:
        member: The run.
        classes: Its classes or targets.
        channels: The names of the channels.
    """

    member: str = ""
    classes: Names = ()
    channels: Names = ()


def refuse_other_heads(each: Sequence[tuple[Head, ...]]) -> None:
    """Refuses members whose outputs are other ones, or the same in another order.

    Args:
        each: The outputs of each member.

    Raises:
        NetworkError: They have other channels, or several outputs with other names.
    """
    made = {tuple(head.channels for head in own) for own in each}
    if len(made) > 1:
        counts = " and ".join("+".join(map(str, channels)) for channels in sorted(made))
        raise NetworkError(
            f"the members of the ensemble have outputs of {counts} channels; name members with the "
            "same outputs, or choose with --outputs."
        )
    named = {tuple(head.name for head in own) for own in each}
    if len(each[0]) > 1 and len(named) > 1:
        orders = " and ".join(sorted(",".join(names) for names in named))
        raise NetworkError(
            f"the members of the ensemble name or order their outputs differently: {orders}. "
            "Choose them in one order with --outputs."
        )


def refuse_other_channels(
    named: Sequence[Any], models: Sequence[Any], checked: bool = True
) -> None:
    """Refuses members whose runs tell other classes or targets, or the same in another order.

    A model without a run tells nothing, and neither do names that nobody chose.

    Args:
        named: What names each member.
        models: Each, loaded, with one output.
        checked: Whether other names are refused; the same in another order always are.

    Raises:
        NetworkError: Their channels have other meanings.
    """
    _refuse_other_laws(models)
    told = [one for pair in zip(named, models, strict=True) if (one := _told_by(*pair)).channels]
    # A single channel is named after the second of two classes.
    orders, classes = {one.channels for one in told}, {one.classes for one in told}
    reordered = len(set(map(frozenset, classes))) < len(classes)
    if len(orders) > 1 and (checked or reordered):
        each = "; ".join(f"{one.member}: {', '.join(one.classes)}" for one in told)
        advice = "." if reordered else ", or go on with --unchecked if names alone differ."
        raise NetworkError(
            "the members of the ensemble predict other classes or targets, or the same in another "
            f"order, and their mean would mix them up ({each}). Name members that were trained on "
            f"the same in the same order{advice}"
        )


def _refuse_other_laws(models: Sequence[Any]) -> None:
    laws = {law for live in models if (law := _law_of(live)) is not None}
    if len(laws) > 1:
        each = " and ".join(sorted(", ".join(law.names(["target"])) for law in laws))
        raise NetworkError(
            f"the members of the ensemble predict different outputs for a target: {each}."
        )


def _law_of(live: Any) -> Distribution | None:
    """What a run's model says of each target; None where its layers don't tell."""
    layers = [layer.name for layer in live.layers]
    law = Distribution.of_layers(layers)
    return law if law.layer_name in layers else None


def _told_by(member: Any, live: Any) -> _Told:
    names = class_names(member)
    if all(map(_MADE_UP.fullmatch, names)):
        return _Told()
    channels = output_names(member, live)
    return _Told(fspath(member), _folded(names), _folded(channels))


def _folded(names: Names) -> Names:
    return tuple(name.casefold() for name in names)

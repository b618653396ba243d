"""What a prediction consists of: its channels, their names and type, and what classes mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from normwise.errors import NormwiseError
from normwise.rasters.class_map import Classes, rgb_of
from normwise.report.class_colours import class_colours
from normwise.workflows.runs import BINARY, class_names, output_names, record_of_run

if TYPE_CHECKING:
    from normwise.inference.heads import Head

Array = npt.NDArray[Any]

NO_CLASS: Final = 255
_OVER_HALF: Final = 0.5


@dataclass(frozen=True)
class Outputs:
    """The channels of a prediction.

    Attributes:
        heads: The outputs of the model, whose channels follow each other.
        member: What names the first model, for what its run knows.
        model: It, loaded.
        classes: Whether class ids are wanted, one channel for each output.
        spread: Whether the standard deviation between predictions follows.
        mean_and_std: Whether the outputs are a mean and a standard deviation in turn.
    """

    heads: tuple[Head, ...]
    member: Any
    model: Any
    classes: bool = False
    spread: bool = False
    mean_and_std: bool = False

    @property
    def channels(self) -> int:
        """How many are written."""
        if self.classes:
            return len(self.heads)
        made = sum(head.channels for head in self.heads)
        if not self.spread:
            return made
        return made + (made // 2 if self.mean_and_std else made)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of their pixels."""
        return np.dtype(np.uint8 if self.classes else np.float32)

    @property
    def nodata(self) -> float:
        """What marks pixels without data."""
        return float(NO_CLASS) if self.classes else float("nan")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """A name for each channel; empty where nothing tells."""
        if self.classes:
            several = len(self.heads) > 1
            return tuple(f"{head.name} class" if several else "class" for head in self.heads)
        names = self._own_names
        if not self.spread:
            return names
        names = names or tuple(f"output {index + 1}" for index in range(self.heads[0].channels))
        averaged = names[::2] if self.mean_and_std else names
        return names + tuple(f"std of {name}" for name in averaged)

    @property
    def _own_names(self) -> tuple[str, ...]:
        if len(self.heads) == 1:
            return output_names(self.member, self.model)
        return tuple(
            head.name if head.channels == 1 else f"{head.name} {channel + 1}"
            for head in self.heads
            for channel in range(head.channels)
        )

    @cached_property
    def legend(self) -> Classes | None:
        """What the class ids of a single output mean; None of others."""
        return legend_of(self.member, self.heads[0]) if self.classes and self._single else None

    @property
    def _single(self) -> bool:
        return len(self.heads) == 1

    def finished(self, values: Array) -> Array:
        """What is given back or written of a prediction that is NaN where there is no data."""
        if not self.classes:
            return np.asarray(values, np.float32)
        begin, maps = 0, []
        for head in self.heads:
            maps.append(self.class_ids(values[..., begin : begin + head.channels]))
            begin += head.channels
        return np.concatenate(maps, axis=-1)

    def drawn_as_classes(self, head: Head) -> bool:
        """Whether a picture shows an output as a map of classes, and not of its values."""
        return self.classes or head.probabilities

    def class_ids(self, found: Array) -> Array:
        """Class ids of the probabilities of one output, or as they are; 255 where there is no data.

        Args:
            found: Shape (..., channels).
        """
        return found if found.dtype == np.uint8 else _class_ids(found)


def refuse_no_classes(heads: tuple[Head, ...]) -> None:
    """Refuses class ids of outputs that are no probabilities, or of too many classes.

    Raises:
        NormwiseError: One isn't, or has more classes than a map of bytes tells apart.
    """
    many = [head for head in heads if head.channels > NO_CLASS]
    if many:
        raise NormwiseError(
            f"{many[0].name} has {many[0].channels} classes; a class map holds {NO_CLASS} at most. "
            "Predict probabilities, without --classes."
        )
    wrong = [head.name for head in heads if not head.probabilities]
    if not wrong:
        return
    if len(heads) == 1:
        raise NormwiseError(
            "class ids need a model that ends in a sigmoid or softmax; this one doesn't."
        )
    rest = ",".join(head.name for head in heads if head.probabilities)
    advice = f" Choose the others: --outputs {rest}" if rest else ""
    raise NormwiseError(
        f"class ids need outputs that end in a sigmoid or softmax; {', '.join(wrong)} "
        f"{'does' if len(wrong) == 1 else 'do'} not.{advice}"
    )


def notes_on_classes(heads: tuple[Head, ...]) -> Iterator[str]:
    """What has to be known of class ids of outputs whose channels don't exclude each other."""
    for head in heads:
        if head.independent:
            yield (
                f"{head.name} has a sigmoid for each of its {head.channels} channels: several may "
                "be likely, or none. Class ids name the one with the largest value; predict "
                "probabilities (without --classes) if labels overlap."
            )


def legend_of(member: Any, head: Head) -> Classes:
    """The names and colours of the classes that an output tells apart.

    Args:
        member: A run folder, a model file inside one, or anything else.
        head: An output that gives probabilities.
    """
    count = BINARY if head.channels == 1 else head.channels
    names, record = class_names(member), record_of_run(member)
    if len(names) != count:
        names = tuple(f"class {index}" for index in range(count))
    colours = tuple(record.colours or ()) if record is not None else ()
    if len(colours) != count:
        colours = class_colours(count)
    return Classes(names, rgb_of(colours), NO_CLASS)


def _class_ids(probabilities: Array) -> Array:
    empty = np.isnan(probabilities).any(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        if probabilities.shape[-1] == 1:
            found = probabilities > _OVER_HALF
        else:
            found = probabilities.argmax(-1)[..., None]
    return np.where(empty, NO_CLASS, found).astype(np.uint8)

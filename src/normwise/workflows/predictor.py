"""A model, or several, made ready to be applied to images of any size."""

from __future__ import annotations

import gc
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import and_, index
from os import PathLike
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from normwise.backend import require_backend
from normwise.data.pixels import marks_of
from normwise.errors import NormwiseError
from normwise.inference.engines.wanted import Wanted
from normwise.keras_format.live import describe
from normwise.memory import available_memory
from normwise.workflows.ensemble_outputs import refuse_other_channels, refuse_other_heads
from normwise.workflows.ensembles import members_of
from normwise.workflows.models import live_model
from normwise.workflows.predicted import Journal
from normwise.workflows.prediction_images import Image, Intake, Read, reader
from normwise.workflows.prediction_outputs import Outputs, notes_on_classes, refuse_no_classes
from normwise.workflows.prediction_progress import teller
from normwise.workflows.runs import data_settings, fill_of_run, reading_of, views_of_run

if TYPE_CHECKING:
    from normwise.inference.engines.choice import ChosenEngine
    from normwise.inference.heads import Head
    from normwise.inference.members import Member
    from normwise.inference.tiled import Tiles
    from normwise.workflows.predict_on_ray import Remote

Array = npt.NDArray[Any]

_OF_THE_FREE: Final = 0.5
_ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")
"""Of an object in memory, as Python prints those that can't be written."""


@dataclass(frozen=True)
class Settings:
    """What a prediction is asked for; see `predict`.

    Attributes:
        copied: Which models are copied for images of any size, where another process has found out
            and said what keeps the others; None finds out.
    """

    classes: bool = False
    bands: Sequence[int] | None = None
    nodata: float | None = None
    tta: str | None = None
    tile: int | Sequence[int] | None = None
    memory: int | None = None
    overwrite: bool = False
    resume: bool = False
    progress: bool = False
    remote: Remote | None = None
    outputs: Sequence[str] | None = None
    std: bool = False
    checked: bool = True
    wanted: Wanted = field(default_factory=Wanted)
    journal: Journal | None = None
    copied: tuple[bool, ...] | None = None

    def __post_init__(self) -> None:
        if self.bands is None:
            return
        try:
            # Numbers of NumPy too, which JSON has not.
            whole = tuple(index(band) for band in self.bands)
        except TypeError as error:
            raise NormwiseError(
                f"bands are {self.bands!r}; expected whole numbers, channels of the image from 0."
            ) from error
        object.__setattr__(self, "bands", whole)


class Predictor:
    """Loaded models with what is needed to read images for them.

    Args:
        model: Whatever names a model or an ensemble.
        settings: What is asked for.

    Attributes:
        models: Loaded, with the outputs that are wanted; those that were built for one size take
            any, where their layers allow it.
        copied: Which of them are copies for that.
        marks: The values that mark missing pixels in any image: the one that is asked for, or else
            those of the runs. What a file says of itself comes to them.
        intakes: What each model takes of an image.

    Raises:
        NormwiseError: Class ids are wanted of a model that gives no probabilities, or the
            standard deviation of a single prediction; or a model has no graph of layers.
    """

    def __init__(self, model: Any, settings: Settings) -> None:
        require_backend()
        _ = settings.wanted.engines  # says at once what isn't installed
        self.named = members = members_of(model)
        each = [data_settings(member) for member in members]
        self.settings = settings
        told_by_runs = [reading_of(member).nodata for member in members]
        self.marks = marks_of(*(told_by_runs if settings.nodata is None else [settings.nodata]))
        self.bands = [
            settings.bands if settings.bands is not None else told.bands if told else None
            for told in each
        ]
        heads = self._load()
        self.fills = [fill_of_run(member) for member in members]
        each_takes = zip(self.models, self.bands, self.fills, strict=True)
        self.intakes = [Intake(*takes) for takes in each_takes]
        self.views = [views_of_run(member, settings.tta) for member in members]
        self._engines: list[ChosenEngine] = []
        self.made = self._outputs(heads)

    def _load(self) -> list[tuple[Head, ...]]:
        """Loads the models; what their outputs are."""
        from normwise.inference.free_size import for_any_size  # noqa: PLC0415 - needs a backend
        from normwise.inference.heads import joined  # noqa: PLC0415

        decided = self.settings.copied or (None,) * len(self.named)
        found, sized = [], []
        for member, copied in zip(self.named, decided, strict=True):
            live = live_model(member)
            if not hasattr(live, "outputs"):
                describe(live)  # says what it lacks
            live, heads = joined(live, self.settings.outputs)
            sized.append(for_any_size(live, copied))
            found.append(heads)
        self.models = [one.model for one in sized]
        self.copied = tuple(one.copied for one in sized)
        self._held = [one.held for one in sized]
        del live
        loaded = (isinstance(member, (str, PathLike)) for member in self.named)
        if any(map(and_, self.copied, loaded)):
            gc.collect()  # a Keras model refers to itself, also when nobody else does any more
        return found

    def _outputs(self, each: Sequence[tuple[Head, ...]]) -> Outputs:
        from normwise.training.distribution import Distribution  # noqa: PLC0415 - light start-up

        heads, settings = each[0], self.settings
        refuse_other_heads(each)
        if len(heads) == 1:
            refuse_other_channels(self.named, self.models, settings.checked)
        if settings.classes:
            for own in each:
                refuse_no_classes(own)
            for note in notes_on_classes(heads):
                teller(settings.progress)(note)
        names = (layer.name for layer in self.models[0].layers)
        gaussian = len(heads) == 1 and Distribution.of_layers(names).gaussian
        if settings.std:
            self._refuse_no_spread()
        return Outputs(
            heads, self.named[0], self.models[0], settings.classes, settings.std, gaussian
        )

    def _refuse_no_spread(self) -> None:
        if self.settings.classes:
            raise NormwiseError(
                "a class map has no room for a standard deviation: with --std predict "
                "probabilities, without --classes."
            )
        if len(self.models) == 1 and self.views == ["none"]:
            raise NormwiseError(
                "a single prediction has no standard deviation: name several models (the folder "
                "of a cross-validation), or predict several views of an image (--tta flips)."
            )

    @property
    def axes(self) -> int:
        """The number of axes over space that the first model takes."""
        return len(self.models[0].input_shape) - 2

    @property
    def outputs(self) -> int:
        """Channels of a prediction."""
        return self.made.channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of a prediction's pixels."""
        return self.made.dtype

    def finished(self, values: Array) -> Array:
        """What is given back or written of a prediction that is NaN where there is no data."""
        return self.made.finished(values)

    @cached_property
    def fingerprint(self) -> str:
        """What tells the models apart from others: a hash of their layers, calls and weights."""
        found = hashlib.sha256()
        for live in self.models:
            text = json.dumps(describe(live), sort_keys=True, default=repr)
            found.update(_ADDRESS.sub("", text).encode())
            # In their order, without names: Keras numbers those of layers in layers anew with every
            # model of a process.
            for values in live.get_weights():
                found.update(f"{values.shape}".encode())
                found.update(np.ascontiguousarray(values, np.float32).tobytes())
        return found.hexdigest()[:16]

    @cached_property
    def members(self) -> list[Member]:
        """The models with their tilings and views."""
        from normwise.inference.members import member_of  # noqa: PLC0415 - needs a backend

        pairs = zip(self.models, self.views, strict=True)
        return [self._with_engine(member_of(live, views)) for live, views in pairs]

    def _with_engine(self, member: Member) -> Member:
        from normwise.inference.engines.choice import ChosenEngine  # noqa: PLC0415

        wanted = self.settings.wanted
        if wanted.is_plain:
            return member
        say = teller(self.settings.progress)
        engine = ChosenEngine(member.model, wanted, say, member.tiling.stride)
        self._engines.append(engine)
        return replace(member, engine=engine)

    @property
    def engines(self) -> list[str | None]:
        """What computes for each model, as far as that is chosen; nothing of Keras as it is."""
        return [engine.chosen for engine in self._engines]

    @property
    def undecided(self) -> bool:
        """Whether the first tile with data is still to choose what computes for some model."""
        _ = self.members  # they make the engines
        return None in self.engines

    def keep_engines(self, names: Sequence[str | None]) -> bool:
        """Takes what has computed before, whatever is faster or agrees now.

        Args:
            names: As `engines` gave them.

        Returns:
            Whether all of them can be used; if not, none is kept, and they are chosen anew.
        """
        _ = self.members  # they make the engines
        kept = len(names) == len(self._engines) and all(
            name is None or engine.keep(name)
            for engine, name in zip(self._engines, names, strict=True)
        )
        if not kept:
            for engine in self._engines:
                engine.forget()
        return kept

    def tiles(self, image: Image, begin: int = 0, tile: Sequence[int] | None = None) -> Tiles:
        """How an image is cut: whole if there is memory for it.

        Args:
            image: The image.
            begin: Rows that are done already, of tiles that are blended.
            tile: Pixels of a tile along each axis; None leaves it to the settings.

        Raises:
            NetworkError: No model takes such an image, the tile is too small or none fits into the
                memory that the settings name.
        """
        from normwise.inference import tile_size  # noqa: PLC0415 - needs a backend
        from normwise.inference.tiled import tiles_of  # noqa: PLC0415

        self.refuse_misfit(image.size, image.channels)
        self._say_held(image)
        fixed, memory = tile_size.fixed_sizes(self.members), self.settings.memory
        size, made = self._tile(image, tile, fixed), self.made
        tiles = tiles_of(self.members, image.size, size, made.mean_and_std, begin, made.spread)
        if memory is not None:
            tile_size.refuse_beyond(self.members, size, fixed, memory, not tiles.exact)
        return tiles

    def _say_held(self, image: Image) -> None:
        """Says once what keeps models at the size that they were built for, if it matters."""
        from normwise.inference.free_size import size_note  # noqa: PLC0415 - needs a backend

        settings = self.settings
        named = {"--tile": settings.tile, "--memory": settings.memory}
        unused = " and ".join(option for option, told in named.items() if told is not None)
        if settings.copied is not None:
            return  # somebody else has
        for place, (model, held) in enumerate(zip(self.models, self._held, strict=True)):
            sides = zip(model.input_shape[1:-1], image.size, strict=True)
            if held and (unused or any(side not in (None, own) for side, own in sides)):
                teller(settings.progress)(size_note(model, held, unused))
                self._held[place] = ""

    def refuse_misfit(self, size: Sequence[int], channels: int) -> None:
        """Refuses an image whose axes or channels no model takes.

        Args:
            size: Pixels along each axis.
            channels: Its channels.

        Raises:
            NetworkError: It has others.
            RasterError: It lacks bands that are wanted.
        """
        from normwise.inference.whole import check_image  # noqa: PLC0415 - needs a backend

        for intake in self.intakes:
            check_image(intake.model, (*size, len(intake.of(channels))))

    def _tile(
        self, image: Image, told: Sequence[int] | None, fixed: tuple[int | None, ...]
    ) -> tuple[int, ...]:
        from normwise.inference import tile_size  # noqa: PLC0415 - needs a backend
        from normwise.inference.tiled import tiles_of  # noqa: PLC0415

        asked = self.settings.tile if told is None else told
        wanted = tile_size.asked_for(asked, self.members, image.size)
        if wanted is not None:
            return tile_size.with_fixed(wanted, fixed)

        def computed(tile: tuple[int, ...]) -> int:
            return tiles_of(self.members, image.size, tile).computed

        free = available_memory() // self._sharing
        memory = self.settings.memory or int(_OF_THE_FREE * free)
        return tile_size.choose(self.members, image.size, fixed, memory, computed)

    @property
    def _sharing(self) -> int:
        """How many processes take their part of what is free."""
        remote = self.settings.remote
        return 1 if remote is None else remote.sharing

    def reader(self, image: Image) -> Read:
        """A function that reads a window of an image as each model takes it; see `reader`."""
        return reader(self.intakes, image)

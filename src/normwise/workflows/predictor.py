"""A model, or several, made ready to be applied to images of any size."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from normwise.backend import require_backend
from normwise.data.pixels import Marks, marks_of, missing_in
from normwise.errors import NetworkError, NormwiseError, RasterError
from normwise.inference.engines.wanted import Wanted
from normwise.keras_format.live import describe
from normwise.memory import available_memory
from normwise.rasters import ImageFiles, Raster, suffix_of
from normwise.workflows.ensembles import members_of
from normwise.workflows.models import live_model
from normwise.workflows.prediction_outputs import Outputs, refuse_no_classes
from normwise.workflows.prediction_progress import teller
from normwise.workflows.runs import data_settings, fill_of_run, reading_of, views_of_run

if TYPE_CHECKING:
    from normwise.inference.engines.choice import ChosenEngine
    from normwise.inference.heads import Head
    from normwise.inference.members import Member
    from normwise.inference.tiled import Tiles
    from normwise.workflows.predict_on_ray import Remote

Array = npt.NDArray[Any]
Region = tuple[slice, ...]

STRIPED: Final = (".tif", ".tiff")
_OF_THE_FREE: Final = 0.5
_HELD_ROW: Final = 2**28
_ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")
"""Of an object in memory, as Python prints those that can't be written."""


@dataclass(frozen=True)
class Settings:
    """What a prediction is asked for; see `predict`."""

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


class Image:
    """An image in memory or an open file, read by windows.

    Args:
        pixels: The array, shape (..., channels), or the open file.
        marks: The values that mark missing pixels; NaN always does.
    """

    def __init__(self, pixels: Array | Raster, marks: Marks | None) -> None:
        self._pixels, self.marks = pixels, marks or ()
        self._row: tuple[Any, Array] | None = None
        if isinstance(pixels, Raster):
            self.size, self.channels = pixels.info.shape, pixels.info.channels
        else:
            self.size, self.channels = pixels.shape[:-1], pixels.shape[-1]

    @property
    def files(self) -> ImageFiles | None:
        """What it is read from; None for an array in memory."""
        return self._pixels.files if isinstance(self._pixels, Raster) else None

    def read(self, region: Region, bands: Sequence[int] | None) -> Array:
        """A window of some channels, None for all."""
        if not isinstance(self._pixels, Raster):
            part = self._pixels[region]
            return part if bands is None else part[..., list(bands)]
        if not self._in_strips(region, bands):
            return self._pixels.read(*region, channels=bands)
        # A file of strips is unpacked over its whole width for each window: once a row is enough.
        key = region[:-1], None if bands is None else tuple(bands)
        if self._row is None or self._row[0] != key:
            self._row = key, self._pixels.read(*region[:-1], channels=bands)
        return self._row[1][..., region[-1], :].copy()

    def _in_strips(self, region: Region, bands: Sequence[int] | None) -> bool:
        """Whether a file stores whole rows, and a row of tiles of it is small enough to be held."""
        assert isinstance(self._pixels, Raster)
        info = self._pixels.info
        if suffix_of(info.path) not in STRIPED or self._pixels.block[-1] < info.width:
            return False
        values = prod(s.stop - s.start for s in region[:-1]) * info.width
        channels = info.channels if bands is None else len(bands)
        return bool(values * channels * info.dtype.itemsize <= _HELD_ROW)

    def windows(self, bands: Sequence[int] | None) -> Iterator[tuple[Array, Any]]:
        """Windows that cover it, and where they lack data, as percentiles are computed of."""
        from normwise.data.pixels import WINDOW_VALUES  # noqa: PLC0415 - light start-up

        whole = [tuple(slice(0, side) for side in self.size)]
        regions = (
            self._pixels.windows(WINDOW_VALUES // self.channels)
            if isinstance(self._pixels, Raster)
            else whole
        )
        for region in regions:
            part = self.read(region, bands)
            yield part, missing_in(part, self.marks)


class Predictor:
    """Loaded models with what is needed to read images for them.

    Args:
        model: Whatever names a model or an ensemble.
        settings: What is asked for.

    Attributes:
        marks: The values that mark missing pixels in any image: the one that is asked for, or else
            those of the runs. What a file says of itself comes to them.

    Raises:
        NormwiseError: Class ids are wanted of a model that gives no probabilities, or the
            standard deviation of a single prediction.
    """

    def __init__(self, model: Any, settings: Settings) -> None:
        require_backend()
        _ = settings.wanted.engines  # says at once what isn't installed
        from normwise.inference.heads import joined  # noqa: PLC0415 - needs a backend

        self.named = members = members_of(model)
        each = [data_settings(member) for member in members]
        self.settings = settings
        told_by_runs = [reading_of(member).nodata for member in members]
        self.marks = marks_of(*(told_by_runs if settings.nodata is None else [settings.nodata]))
        self.bands = [
            settings.bands if settings.bands is not None else told.bands if told else None
            for told in each
        ]
        pairs = [joined(live_model(member), settings.outputs) for member in members]
        self.models = [live for live, _ in pairs]
        self.fills = [fill_of_run(member) for member in members]
        self.views = [views_of_run(member, settings.tta) for member in members]
        self._engines: list[ChosenEngine] = []
        self.made = self._outputs([heads for _, heads in pairs])

    def _outputs(self, each: Sequence[tuple[Head, ...]]) -> Outputs:
        from normwise.training.distribution import Distribution  # noqa: PLC0415 - light start-up

        heads, settings = each[0], self.settings
        if len({tuple(head.channels for head in own) for own in each}) > 1:
            raise NetworkError("the members of the ensemble make different outputs.")
        named = {tuple(head.name for head in own) for own in each}
        if len(heads) > 1 and len(named) > 1:
            orders = " and ".join(sorted(",".join(names) for names in named))
            raise NetworkError(
                f"the members of the ensemble name or order their outputs differently: {orders}. "
                "Choose them in one order with --outputs."
            )
        if settings.classes:
            for own in each:
                refuse_no_classes(own)
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
            for weight, values in zip(live.weights, live.get_weights(), strict=True):
                found.update(f"{weight.path} {weight.shape}".encode())
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
        engine = ChosenEngine(member.model, wanted, say)
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
            NetworkError: No model takes such an image, the tile is too small or none fits.
        """
        from normwise.inference.tiled import tiles_of  # noqa: PLC0415 - needs a backend

        self.refuse_misfit(image.size, image.channels)
        size = self._tile(image, tile)
        made = self.made
        return tiles_of(self.members, image.size, size, made.mean_and_std, begin, made.spread)

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

        for live, bands in zip(self.models, self.bands, strict=True):
            count = channels if bands is None else len(_existing(bands, channels))
            check_image(live, (*size, count))

    def _tile(self, image: Image, told: Sequence[int] | None) -> tuple[int, ...]:
        from normwise.inference import tile_size  # noqa: PLC0415 - needs a backend
        from normwise.inference.tiled import tiles_of  # noqa: PLC0415

        fixed = tile_size.fixed_sizes(self.members)
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

    def reader(self, image: Image) -> Any:
        """A function that reads a window of an image as each model takes it.

        Returns:
            Called with a region, it gives the models' images and where there is no data. What
            has to be known of the whole image, such as its percentiles, is found before.
        """
        scalings = [self._scaling(live, i, image) for i, live in enumerate(self.models)]
        wanted = self._union(image.channels)

        def read(region: Region) -> tuple[list[Array], npt.NDArray[np.bool_]]:
            raw = image.read(region, wanted)
            images, empty = [], np.zeros((*raw.shape[:-1], 1), bool)
            for i, live in enumerate(self.models):
                chosen = self._chosen(raw, i, wanted)
                missing = missing_in(chosen, image.marks)
                scaled = scalings[i](chosen) if scalings[i] else chosen
                images.append(_filled(live, self.fills[i], scaled, missing))
                if missing is not None:
                    empty |= np.all(missing, axis=-1, keepdims=True)
            return images, empty

        return read

    def _scaling(self, live: Any, index: int, image: Image) -> Any:
        from normwise.data.scaling import scaled_between  # noqa: PLC0415 - light start-up
        from normwise.training.scaling import scaling_of_model  # noqa: PLC0415

        scaling = scaling_of_model(live)
        if scaling is None:
            return None
        bounds = scaling.bounds(lambda: image.windows(self.bands[index]))
        return lambda pixels: scaled_between(pixels, bounds)

    def _union(self, channels: int) -> list[int] | None:
        """The channels that any model takes; None for all."""
        if any(bands is None for bands in self.bands):
            return None
        return sorted({band for bands in self.bands for band in _existing(bands or (), channels)})

    def _chosen(self, raw: Array, index: int, union: Sequence[int] | None) -> Array:
        bands = self.bands[index]
        if bands is None:
            return raw
        places = list(bands) if union is None else [union.index(band) for band in bands]
        return raw[..., places]


def _filled(
    live: Any, fill: Sequence[float] | None, pixels: Array, missing: npt.NDArray[np.bool_] | None
) -> Array:
    """An image as a model was trained on it: filled where nothing was measured."""
    from normwise.training.evaluate import input_mean  # noqa: PLC0415 - light start-up

    if missing is None:
        return pixels
    known = fill is not None and len(fill) == missing.shape[-1]
    mean = np.asarray(fill if known else input_mean(live), np.float32)
    if mean.shape[-1] != missing.shape[-1]:
        raise NetworkError(f"the model takes {mean.shape[-1]} channels, not {missing.shape[-1]}.")
    return np.where(missing, np.broadcast_to(mean, missing.shape), pixels)


def _existing(bands: Sequence[int], count: int) -> list[int]:
    if any(not 0 <= band < count for band in bands):
        raise RasterError(f"the image has {count} channels, but bands {list(bands)} are wanted.")
    return list(bands)

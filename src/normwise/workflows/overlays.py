"""The picture of a prediction that `--overlay` asks for, of scenes of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import numpy.typing as npt

from normwise.data.pixels import Marks, marks_of
from normwise.errors import RasterError
from normwise.files import whole_file
from normwise.rasters import ImageFiles, Raster, open_raster, suffix_of
from normwise.rasters.reduced import factor_for, reduced
from normwise.rasters.tiff import open_with_gdal
from normwise.workflows.made_outputs import About, Source, about_picture, remembering
from normwise.workflows.predicted_files import refuse_output
from normwise.workflows.prediction_outputs import Outputs, legend_of

if TYPE_CHECKING:
    from normwise.report.quick_look import Panel
    from normwise.workflows.predictor import Predictor, Settings

Array = npt.NDArray[Any]

_LONGEST: Final = 1024
_MOST_VALUES: Final = 5
_COLOURS: Final = (("red", "b04", "b4"), ("green", "b03", "b3"), ("blue", "b02", "b2"))


@dataclass(frozen=True)
class Plane:
    """An image of two dimensions that is read by windows; of a volume its middle slice.

    Args:
        read: Gives rows, columns and chosen channels.
        size: Rows and columns.
        channels: How many there are.
        names: Of the channels, or empty.
        marks: The values that mark missing pixels.
        block: Rows and columns that are stored together.
        name: Of the image.
    """

    read: Callable[[slice, slice, Sequence[int]], Array]
    size: tuple[int, int]
    channels: int
    names: tuple[str, ...] = ()
    marks: Marks = ()
    block: tuple[int, int] = (1, 1)
    name: str = "image"

    def smaller(self, channels: Sequence[int], factor: int, nearest: bool = False) -> Array:
        """Some channels in a `factor`-th of its rows and columns."""
        return reduced(
            lambda rows, columns: self.read(rows, columns, channels),
            self.size, len(channels), factor, self.marks, nearest, self.block,
        )  # fmt: skip


def draw_overlay(
    predictor: Predictor, image: Source, predicted: Path | Array, path: Path, about: About
) -> None:
    """Draws an image with what was predicted for it.

    Large scenes are shown smaller: they are read once more, window by window.

    Args:
        predictor: What predicted it.
        image: The image, or its files.
        predicted: The prediction, or the file that holds it.
        path: The PNG to write.
        about: What the prediction is made from.

    Raises:
        RasterError: A file can't be read, or the PNG not be written.
        OutputExistsError: The PNG exists and may not be replaced.
    """
    from normwise.report.quick_look import draw_quick_look  # noqa: PLC0415 - loads matplotlib

    made, marks = predictor.made, predictor.marks
    axes = predictor.axes
    with _plane(image, axes, marks) as scene, _plane(predicted, axes, written=True) as found:
        factor = factor_for(scene.size, _LONGEST)
        channels = _shown(scene)
        picture = scene.smaller(channels, factor)
        panels = list(_panels(made, found, factor))
        names = ", ".join(scene.names[channel] for channel in channels) if scene.names else ""
        title = scene.name + (f", 1 pixel of {factor} x {factor}" if factor > 1 else "")
        values = len(_value_channels(made))
        if values > _MOST_VALUES:
            title += f", the first {_MOST_VALUES} of {values} outputs"
        ready = remembering(predictor, path, about_picture(predictor, about))
        try:
            with whole_file(path, predictor.settings.overwrite, ready) as temporary:
                draw_quick_look(temporary, picture, panels, title, names)
        except OSError as error:
            raise RasterError(
                f"{path}: can't be written ({error}). Is the disk full, or the folder protected?"
            ) from error


def refuse_picture(path: Path | None, settings: Settings) -> None:
    """Refuses a picture that can't be drawn, before the work is done.

    Args:
        path: The picture; None for none.
        settings: Whether an existing one may be replaced, or is left as it is.

    Raises:
        RasterError: It is no PNG.
        OutputExistsError: It exists and may be neither kept nor replaced.
    """
    if path is None:
        return
    if path.suffix.lower() != ".png":
        raise RasterError(f"{path}: the picture of a prediction (--overlay) is a .png file.")
    refuse_output(path, settings)


def _panels(made: Outputs, found: Plane, factor: int) -> Iterator[Panel]:
    from normwise.report.quick_look import ClassPanel, ValuePanel  # noqa: PLC0415

    begin = 0
    for index, head in enumerate(made.heads):
        channels = [index] if made.classes else range(begin, begin + head.channels)
        begin += head.channels
        if not made.drawn_as_classes(head):
            continue
        ids = made.class_ids(found.smaller(channels, factor, nearest=True))
        legend = legend_of(made.member, head)
        colours = tuple("#{:02x}{:02x}{:02x}".format(*colour) for colour in legend.colours)
        title = "classes" if len(made.heads) == 1 else head.name
        yield ClassPanel(ids[..., 0], legend.names, colours, legend.nodata, title)
    for channel in _value_channels(made)[:_MOST_VALUES]:
        name = made.names[channel] if made.names else f"output {channel + 1}"
        yield ValuePanel(found.smaller([channel], factor)[..., 0], name)


def _value_channels(made: Outputs) -> list[int]:
    """Those that aren't drawn as classes."""
    begin, found = 0, list[int]()
    for head in made.heads:
        if not made.drawn_as_classes(head):
            found += range(begin, begin + head.channels)
        begin += head.channels
    return found if made.classes else [*found, *range(begin, made.channels)]


def _shown(scene: Plane) -> list[int]:
    """Red, green and blue where names tell them, else the first channels."""
    lower = [name.lower() for name in scene.names]
    told = [
        next((i for i, name in enumerate(lower) if name.split("_")[0] in words), None)
        for words in _COLOURS
    ]
    found = [channel for channel in told if channel is not None]
    if len(found) == len(_COLOURS):
        return found
    return [0, 1, 2] if scene.channels >= 3 else [0]


@contextmanager
def _plane(
    image: ImageFiles | Array, axes: int, marks: Marks = (), written: bool = False
) -> Iterator[Plane]:
    """An image, or what was predicted of it; a class map that was written as a PNG may be larger
    than those that are decoded whole, so it is read row by row.
    """
    if isinstance(image, np.ndarray):
        array = image if image.ndim == 3 else image[len(image) // 2]

        def read(rows: slice, columns: slice, channels: Sequence[int]) -> Array:
            return array[rows, columns][..., list(channels)]

        height, width, count = array.shape
        yield Plane(read, (height, width), count, marks=marks)
        return
    by_rows = written and isinstance(image, Path) and suffix_of(image) == ".png"
    with (
        open_with_gdal(cast("Path", image), "PNG")
        if by_rows
        else open_raster(image, 3 if axes == 3 else 2)
    ) as raster:
        yield _plane_of(raster, marks)


def _plane_of(raster: Raster, marks: Marks) -> Plane:
    info = raster.info
    middle = [] if info.depth is None else [slice(info.depth // 2, info.depth // 2 + 1)]

    def read(rows: slice, columns: slice, channels: Sequence[int]) -> Array:
        pixels = raster.read(*middle, rows, columns, channels=channels)
        return pixels[0] if middle else pixels

    rows, columns = raster.block[-2:]
    return Plane(
        read,
        (info.height, info.width),
        info.channels,
        info.band_names,
        marks_of(*marks, info.nodata),
        (rows, columns),
        info.path.name,
    )

"""Predictions as tasks of a Ray cluster: blocks of a scene's tiles, and whole scenes.

A block goes back to the process that asks, which alone writes: blending, what `--resume` needs and
the output are those of a prediction on one machine. An image that is predicted whole is read,
predicted and written by the worker. What engine computes is decided by the process that asks.
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from math import prod
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy.typing as npt

from normwise.distributed.alike import as_here
from normwise.distributed.ray_tasks import Cluster, Task, cluster
from normwise.distributed.shared_files import (
    Seen,
    as_before,
    refuse_unseen,
    refuse_unwritten,
    seen,
)
from normwise.distributed.where import HERE, Where
from normwise.errors import DistributionError, NormwiseError, RasterError, UnseenImageError
from normwise.memory import keep_freed_memory
from normwise.rasters import ImageFiles
from normwise.rasters.outputs import refuse_taken
from normwise.workflows.decided_engines import Decided, decided_by, deciding, take
from normwise.workflows.ensembles import members_of
from normwise.workflows.made_outputs import About, about_output, stamps
from normwise.workflows.one_of_several import one_of_several
from normwise.workflows.own_modules import OwnModules
from normwise.workflows.predicted import Predicted, files_of
from normwise.workflows.predicted_files import opened, predict_file, values_here
from normwise.workflows.prediction_images import Image, Infinite, Read
from normwise.workflows.prediction_progress import watching
from normwise.workflows.predictor import Predictor, Settings
from normwise.workflows.resuming import tiles_for

if TYPE_CHECKING:
    from normwise.inference.tiled import Piece, Tiles

Array = npt.NDArray[Any]

_PIXELS: Final = 2**24
_MOST_TILES: Final = 16
_SHARES: Final = 4
"""A scene is at least so many blocks for each worker, so that they end at about the same time."""


@dataclass(frozen=True)
class Asked:
    """What all tasks of a prediction have in common; it is pickled once, and loaded once a worker.

    Attributes:
        models: Their files or run folders.
        settings: What is asked for.
        fingerprint: Of the models' layers and weights.
        engines: What computes for each model.
        modules: Those that register the models' own layers.
    """

    models: tuple[Seen, ...]
    settings: Settings
    fingerprint: str
    engines: Decided = field(default_factory=Decided)
    modules: OwnModules = field(default_factory=OwnModules)


@dataclass(frozen=True)
class Scene:
    """An image as a worker is asked for it.

    Attributes:
        asked: The pickled `Asked`.
        files: Of the image.
        single: Whether it is one file, and not the files of its bands.
        tile: Pixels along each axis.
    """

    asked: bytes
    files: tuple[Seen, ...]
    single: bool
    tile: tuple[int, ...]

    @property
    def paths(self) -> ImageFiles:
        """The file, or the files of the bands."""
        paths = tuple(Path(file.path) for file in self.files)
        return paths[0] if self.single else paths


@dataclass(frozen=True)
class Block:
    """Some pieces of an image."""

    scene: Scene
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Whole:
    """An image that is predicted in one piece, into a file of a folder that is there.

    Attributes:
        scene: The image.
        out: The file.
        about: What it is made from, as the machine that asks sees it.
    """

    scene: Scene
    out: str
    about: About


class Remote:
    """Predicts on a cluster in the place of this process.

    Args:
        cluster: The cluster.
        model: Whatever names a model or an ensemble by paths.
        modules: Those that register their own layers.
    """

    def __init__(self, cluster: Cluster, model: Any, modules: OwnModules) -> None:
        self._cluster, self._modules = cluster, modules
        self._models = seen(Path(fspath(member)) for member in members_of(model))

    @property
    def sharing(self) -> int:
        """How many processes can share a machine: its tasks, and the one that asks."""
        return self._cluster.sharing + 1

    def values(
        self, predictor: Predictor, image: Image, tiles: Tiles, pieces: Iterable[Piece]
    ) -> Generator[tuple[Piece, Array], None, None]:
        """Pieces with what is predicted of them, in their order.

        Raises:
            DistributionError: The image isn't a file.
        """
        if image.files is None:
            raise DistributionError(
                "An array in memory can't be predicted on Ray: write it to a file that all "
                "machines of the cluster see, and name that."
            )
        waiting = iter(pieces)
        yield from deciding(predictor, image, tiles, waiting)
        scene = self._scene(predictor, image.files, tiles)
        tasks = _blocks(scene, waiting, self._block_size(tiles))
        with closing(self._cluster.results(predict_block, tasks, ordered=True)) as results:
            for done in results:
                if done.error is not None:
                    raise _own(done.error, scene)
                values, infinite = done.value
                image.infinite.add(infinite)
                yield from zip(done.task.argument.pieces, values, strict=True)

    def whole_scenes(
        self, predictor: Predictor, scenes: Mapping[Path, ImageFiles], name: str
    ) -> dict[Path, NormwiseError | None]:
        """Predicts those images of a folder that need no tiles, each as a task.

        Args:
            predictor: What is asked for.
            scenes: The images by their outputs, without those that are kept.
            name: Of the folder.

        Returns:
            For each of them that was a task why it failed, or None.
        """
        tasks = list(self._wholes(predictor, scenes))
        ended: dict[Path, NormwiseError | None] = {}
        note, wanted = "images, each a task", predictor.settings.progress
        with (
            watching(wanted, name, len(tasks), 0, note, "images") as watch,
            closing(self._cluster.results(predict_whole_scene, tasks)) as results,
        ):
            for done in results:
                out = Path(done.task.name)
                scene = done.task.argument.scene
                ended[out] = None if done.error is None else _own(done.error, scene)
                if done.error is None:
                    refuse_unwritten(out)
                    if predictor.settings.journal is not None:
                        told = replace(done.value, files=files_of(scenes[out]), out=out)
                        predictor.settings.journal.written.append(told)
                watch()
        return ended

    def _wholes(self, predictor: Predictor, scenes: Mapping[Path, ImageFiles]) -> Iterator[Task]:
        for out, files in scenes.items():
            try:
                refuse_taken(out, predictor.settings.overwrite)
                before = stamps(files)
                with one_of_several(files), opened(predictor, files) as (image, _):
                    tiles = tiles_for(predictor, image, out)
                    if len(tiles) > 1:
                        continue
                    deque(deciding(predictor, image, tiles, tiles.pieces()), maxlen=0)
                    about = about_output(predictor, before, image, tiles)
                    scene = self._scene(predictor, files, tiles)
            except NormwiseError:
                continue  # said by who predicts it here
            out.parent.mkdir(parents=True, exist_ok=True)
            yield Task(str(out), Whole(scene, str(out.absolute()), about))

    def _scene(self, predictor: Predictor, files: ImageFiles, tiles: Tiles) -> Scene:
        told = replace(
            predictor.settings, tile=None, progress=False, remote=None, journal=None,
            copied=predictor.copied,
        )  # fmt: skip
        engines = decided_by(predictor)
        alike = self._models, told, predictor.fingerprint, engines, self._modules
        asked = pickle.dumps(Asked(*alike))
        found = seen(files_of(files))
        if not as_before(found):
            raise _changed(found)
        return Scene(asked, found, isinstance(files, Path), tiles.tile)

    def _block_size(self, tiles: Tiles) -> int:
        """How many tiles are a task: enough for it to be worth it, few enough for all workers."""
        most = min(_MOST_TILES, _PIXELS // prod(tiles.tile))
        return max(1, min(most, len(tiles) // (_SHARES * self._cluster.room)))


@contextmanager
def remotely(where: Where, model: Any, modules: OwnModules) -> Iterator[Remote | None]:
    """What predicts in the place of this process; None if nothing does.

    Args:
        where: Where predictions are made.
        model: Whatever names a model or an ensemble.
        modules: Those that register their own layers, which workers import too.

    Raises:
        DistributionError: The model has no file, or the cluster can't be used.
    """
    if where.kind == HERE:
        yield None
        return
    for member in members_of(model):
        if not isinstance(member, (str, PathLike)) or not Path(fspath(member)).exists():
            raise DistributionError(
                f"{type(member).__name__ if not isinstance(member, str) else member}: only model "
                "files and run folders can be used on Ray, where all machines of the cluster see "
                "them. Save the model."
            )
    with cluster(where, as_here()) as found:
        yield Remote(found, model, modules)


def predict_block(block: Block) -> tuple[list[Array], Infinite]:
    """Predicts some pieces of an image, in a worker.

    Returns:
        The values of each piece, and what was read for them that is infinite.
    """
    predictor = _told(block.scene)
    image, read = _read(block.scene)
    image.infinite = Infinite()
    tiles = predictor.tiles(image)
    return [values for _, values in values_here(tiles, read, block.pieces)], image.infinite


def predict_whole_scene(whole: Whole) -> Predicted:
    """Predicts an image into a file, in a worker; says how.

    Raises:
        PredictionError: It failed in a way nobody foresaw.
        UnseenImageError: This machine doesn't see the image.
        DistributionError: It doesn't see the model or the folder, or has others.
    """
    out = Path(whole.out)
    refuse_unseen([Seen(str(out.parent))])
    _refuse_unseen_image(whole.scene)
    with one_of_several(whole.scene.paths):
        predictor = _told(whole.scene)
        # Whoever asks has looked already: what is there may be replaced, or was written by an
        # attempt whose worker died.
        predictor.settings = replace(predictor.settings, overwrite=True, resume=False)
        return predict_file(predictor, whole.scene.paths, out, whole.about)


def _told(scene: Scene) -> Predictor:
    predictor = _predictor(scene.asked)
    predictor.settings = replace(predictor.settings, tile=scene.tile)
    return predictor


@lru_cache(maxsize=1)
def _predictor(packed: bytes) -> Predictor:
    keep_freed_memory()
    asked: Asked = pickle.loads(packed)
    refuse_unseen(asked.models)
    asked.modules.import_there()
    predictor = Predictor([model.path for model in asked.models], asked.settings)
    if predictor.fingerprint != asked.fingerprint:
        raise DistributionError(
            f"{asked.models[0].path}: holds another model for a worker than for the machine that "
            "asked. All machines of a Ray cluster must see the same files."
        )
    take(predictor, asked.engines)
    return predictor


_held: dict[Scene, tuple[ExitStack, Image, Read]] = {}
"""The image that was opened last: the next block is probably of the same one."""


def _read(scene: Scene) -> tuple[Image, Read]:
    """An open image and what reads it, with its percentiles where they are needed."""
    if scene not in _held:
        for stack, *_ in _held.values():
            stack.close()
        _held.clear()
        _refuse_unseen_image(scene)
        predictor, stack = _told(scene), ExitStack()
        image, _ = stack.enter_context(opened(predictor, scene.paths))
        _held[scene] = stack, image, predictor.reader(image)
    _, image, read = _held[scene]
    return image, read


def _refuse_unseen_image(scene: Scene) -> None:
    try:
        refuse_unseen(scene.files)
    except DistributionError as error:
        raise UnseenImageError(str(error)) from error


def _own(error: NormwiseError, scene: Scene) -> NormwiseError:
    """What stopped an image, on the machine that asked for it.

    Raises:
        DistributionError: A worker doesn't see the image, which is here as it was: nor will any
            worker see the others.
    """
    if not isinstance(error, UnseenImageError):
        return error
    if as_before(scene.files):
        raise DistributionError(str(error)) from error
    return _changed(scene.files)


def _changed(files: Sequence[Seen]) -> RasterError:
    return RasterError(f"{files[0].path}: is gone, or another file than when the work began.")


def _blocks(scene: Scene, pieces: Iterator[Piece], size: int) -> Iterator[Task]:
    first, number = Path(scene.files[0].path).name, 0
    while some := tuple(islice(pieces, size)):
        number += 1
        yield Task(f"{first}, block {number}", Block(scene, some))

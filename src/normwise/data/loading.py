"""Batches of patches for training."""

import math
from dataclasses import dataclass, field, replace
from threading import Lock
from types import TracebackType
from typing import Self

import numpy as np

from normwise.data.augmentation import Augmentation
from normwise.data.class_sampling import Sampling
from normwise.data.cutting import Array, Batch, Floats, check_patch, cut, fill_in, per_channel
from normwise.data.dataset import Dataset, Item
from normwise.data.patches import PatchPosition, epoch_patches, patch_positions
from normwise.data.sources import CACHE_BYTES, Source
from normwise.errors import DataError

# Sets these draws apart from others with the same seed.
_AUGMENTATION = 2


@dataclass(eq=False)
class PatchBatches:
    """Batches of random patches; each is a pure function of seed, epoch and step.

    Batches have always the same shape, hold raw pixel values, and may be asked for in any order
    and from several threads. Memory is bounded by `cache_bytes`, whatever the folder's size.

    Args:
        dataset: The data set.
        split: The split whose items are cut.
        patch: Rows and columns of a patch in pixels, of volumes slices, rows and columns. Images
            that are smaller are continued by
            their edge values, with weight 0.
        batch_size: Patches in a batch.
        fill: The value of each image channel where there is no measurement (its mean), of shape
            `(channels,)`.
        std: Standard deviation of each channel, of shape `(channels,)`; only augmentation of
            intensity needs it.
        seed: The run's seed.
        augmentation: What may happen to a patch. None: nothing.
        sampling: Which patches are centred on which classes. None: they are cut anywhere.
        steps: Batches in an epoch. None: as many as cover all images about once, rounded up.
        cache_bytes: How much decoded data is kept.

    Raises:
        DataError: If the split is empty, or `fill` or `std` don't fit the channels.

    Example:
        ```python
        statistics = channel_statistics(dataset)
        batches = PatchBatches(
            dataset, "train", (256, 256), 8, fill=statistics.mean, std=statistics.std,
            augmentation=Augmentation(),
        )
        x, y, weight = batches[0]
        ```
    """

    dataset: Dataset
    split: str
    patch: tuple[int, ...]
    batch_size: int
    fill: Array = field(kw_only=True)
    std: Array | None = field(default=None, kw_only=True)
    seed: int = field(default=0, kw_only=True)
    augmentation: Augmentation | None = field(default=None, kw_only=True)
    sampling: Sampling | None = field(default=None, kw_only=True)
    steps: int | None = field(default=None, kw_only=True)
    cache_bytes: int = field(default=CACHE_BYTES, kw_only=True)

    def __post_init__(self) -> None:
        self.items = self.dataset.nonempty_split(self.split)
        check_patch(self.dataset, self.patch)
        if min(*self.patch, self.batch_size, self.steps or 1) < 1:
            raise DataError(
                f"patch {self.patch}, batch_size {self.batch_size}, steps {self.steps}: "
                "expected numbers from 1."
            )
        self._fill = per_channel(self.fill, self.dataset.channels, "fill")
        if self.augmentation:
            self._check_offsets(self.augmentation)
        if self.augmentation and self.augmentation.values.changes:
            if self.std is None:
                raise DataError("Augmentation of intensity needs `std`, or intensity=0.")
            per_channel(self.std, self.dataset.channels, "std")
        self.epoch = 0
        self._source = Source(self.dataset, self.items, self.cache_bytes)
        self._placed: tuple[int, list[PatchPosition]] | None = None
        self._lock = Lock()

    def _check_offsets(self, augmentation: Augmentation) -> None:
        try:
            augmentation.check_channels(self.dataset.channels)
        except ValueError as error:
            raise DataError(f"data.augmentation.{error}") from None

    def __len__(self) -> int:
        """Batches in an epoch."""
        if self.steps is not None:
            return self.steps
        return math.ceil(epoch_patches(self.items, self.patch) / self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch whose batches `[step]` gives.

        Args:
            epoch: The epoch, from 0.
        """
        self.epoch = epoch

    def __getitem__(self, step: int) -> Batch:
        """The batch of a step of the chosen epoch; see `batch`."""
        return self.batch(self.epoch, step)

    def batch(self, epoch: int, step: int) -> Batch:
        """The batch of one step.

        Args:
            epoch: The epoch, from 0.
            step: The step, from 0.

        Returns:
            `(x, y, weight)`. `x`: raw values, float32 of shape `(batch_size, *patch, channels)`.
            `y`: class ids, uint8 of shape `(batch_size, *patch)`, or targets, float32 of shape
            `(batch_size, *patch, outputs)`; 0 without a label. `weight`: float32 of the
            shape of `y`, 0 where the label or every image channel is missing and in padding.

        Raises:
            IndexError: If the epoch has no such step.
            RasterError: If a file can't be read.
        """
        if not 0 <= step < len(self):
            raise IndexError(f"step {step}: an epoch has the steps 0 to {len(self) - 1}.")
        positions = self.positions(epoch)[step * self.batch_size : (step + 1) * self.batch_size]
        first = self._sample(positions[0], epoch, step, 0)
        batch = tuple(np.empty((self.batch_size, *part.shape), part.dtype) for part in first)
        for index, position in enumerate(positions):
            sample = first if index == 0 else self._sample(position, epoch, step, index)
            for part, whole in zip(sample, batch, strict=True):
                whole[index] = part
        fill_in(batch[0], self._fill)
        return batch  # type: ignore[return-value]

    def unvaried(self, epoch: int, step: int) -> Batch:
        """The batch of one step as it is cut, without augmentation."""
        with replace(self, augmentation=None) as plain:
            return plain.batch(epoch, step)

    def positions(self, epoch: int) -> list[PatchPosition]:
        """Where the patches of an epoch are cut, in the order of the batches.

        Args:
            epoch: The epoch, from 0.

        Returns:
            A position for each patch; their items are numbers in `items`.
        """
        # Only a memo: the same is found again without it.
        with self._lock:
            if self._placed is None or self._placed[0] != epoch:
                count = len(self) * self.batch_size
                placed = patch_positions(self.items, self.patch, self.seed, epoch, count)
                if self.sampling is not None:
                    placed = self.sampling.placed(placed, self.items, self.patch, self.seed, epoch)
                self._placed = (epoch, placed)
            return self._placed[1]

    def close(self) -> None:
        """Closes all files and forgets all decoded images; batches can still be asked for."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _sample(self, position: PatchPosition, epoch: int, step: int, index: int) -> Batch:
        item, change = self.items[position.item], self.augmentation
        if change is None:
            return cut(self._source, item, position.corner, self.patch)
        x, y, weight, patch = self._with_surroundings(item, position.corner, change)
        place = [self.seed, epoch, step, index, _AUGMENTATION]
        rng = np.random.default_rng(np.random.SeedSequence(place))
        return change.apply(x, y, weight, rng, mean=self._fill, std=self.std, patch=patch)

    def _with_surroundings(
        self, item: Item, corner: tuple[int, ...], change: Augmentation
    ) -> tuple[Floats, Array, Floats, tuple[slice, ...]]:
        """A patch in the middle of what a turn brings into it, and where it is in that."""
        axes = list(zip(corner, self.patch, change.margin(self.patch), item.shape, strict=True))
        first = tuple(max(start - margin, 0) for start, _, margin, _ in axes)
        # Only where nothing is moved does a patch that sticks out have to be continued.
        last = (
            min(start + side + margin, size) if margin else start + side
            for start, side, margin, size in axes
        )
        window = tuple(end - start for start, end in zip(first, last, strict=True))
        inside = tuple(
            slice(start - begin, start - begin + side)
            for (start, side, *_), begin in zip(axes, first, strict=True)
        )
        return (*cut(self._source, item, first, window), inside)

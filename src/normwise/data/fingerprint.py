"""What a data set is like: what every choice of a recipe is made from."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from normwise.data.blocks import sizes_of
from normwise.data.dataset import SPLITS, Dataset, Item
from normwise.data.leaks import Leak, find_leaks
from normwise.data.objects import ObjectSizes, object_sizes
from normwise.data.relations import FEWEST_A_CHANNEL, Relations
from normwise.data.sampling import PixelSample, sample_labels, sample_pixels
from normwise.data.scaling import Percentiles
from normwise.data.statistics import ChannelStatistics, channel_statistics, class_counts
from normwise.json_files import nulled

Doubles = NDArray[np.float64]

SHARES: Final = (0.1, 1.0, 25.0, 50.0, 75.0, 99.0, 99.9)
"""The percentiles of a channel that a fingerprint has."""

# The interquartile range of a normal distribution, in standard deviations.
_NORMAL_RANGE: Final = 1.349
# Labels of a target in the sample; of fewer more are drawn, where there are more.
_FEWEST_LABELS: Final = 10_000


@dataclass(frozen=True)
class Values:
    """How the values of a channel or target are distributed over the training pixels.

    Args:
        name: Its name.
        minimum: Smallest value, in the units of the files.
        maximum: Largest value.
        mean: Mean.
        std: Standard deviation.
        percentiles: At `SHARES`, of a sample of the pixels; if it has none with a value, as if
            there were the smallest and the largest alone.
        tails: How far the 0.1 and 99.9 percentiles are from the median, the farther one, in
            standard deviations of a normal distribution of the same quartiles (3.1 for a normal
            one). None if half of the pixels have one value, or the sample has none.
        missing: Share of pixels without a measurement or label.
    """

    name: str
    minimum: float
    maximum: float
    mean: float
    std: float
    percentiles: tuple[float, ...]
    tails: float | None
    missing: float

    @property
    def constant(self) -> bool:
        """Whether all pixels have one value."""
        return self.minimum == self.maximum


@dataclass(frozen=True)
class Exposure:
    """How one channel differs between images.

    Args:
        contrast: The range from the 1st to the 99.8th percentile of each image: how many times
            larger its 90th percentile over images is than its 10th. None if the latter is 0.
        between: Share of the channel's variance that lies between the means of images, 0 to 1.
        flat: Share of images in which the channel is constant.
    """

    contrast: float | None
    between: float
    flat: float


@dataclass(frozen=True)
class ClassTraits:
    """How often one class stands in the training masks.

    Args:
        name: Its name.
        share: Its share of the labelled pixels.
        objects: Its connected objects.
    """

    name: str
    share: float
    objects: ObjectSizes


@dataclass(frozen=True)
class TargetTraits:
    """What the channels of the same pixel say about one target.

    Args:
        channel: The channel that it goes with best.
        correlation: Pearson's r of the two.
        linear: The share of its variance that a linear function of all channels explains, adjusted
            for their number; 0 if there are fewer than 10 labelled pixels for each channel.
    """

    channel: str
    correlation: float
    linear: float


@dataclass(frozen=True)
class Fingerprint:
    """What a data set is like, from one look at its training images.

    Args:
        root: The folder.
        task: `segmentation` or `regression`.
        dtype: Type of the image files' pixels.
        nodata: The value without a measurement, None if there is none.
        images: Items of each split.
        pixels: Pixels of the training items.
        smallest: The least size of a training item along each axis.
        median: The median size.
        largest: The largest size.
        channels: The values of each image channel.
        exposure: How each channel differs between images.
        correlation: Pearson's r between the channels over pixels that have all of them; NaN beside
            a constant one, also of it with itself.
        classes: The classes of a segmentation.
        targets: The values of each target of a regression.
        relations: What the channels say about each target.
        leaks: Images of different splits that are not independent.
        notes: What was decided when the folder was opened, and what can't be told of it.
    """

    root: str
    task: str
    dtype: str
    nodata: float | None
    images: dict[str, int]
    pixels: int
    smallest: tuple[int, ...]
    median: tuple[int, ...]
    largest: tuple[int, ...]
    channels: tuple[Values, ...]
    exposure: tuple[Exposure, ...]
    correlation: tuple[tuple[float, ...], ...]
    classes: tuple[ClassTraits, ...]
    targets: tuple[Values, ...]
    relations: tuple[TargetTraits, ...]
    leaks: tuple[Leak, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain values that JSON can hold; what is no number is None."""
        plain: dict[str, Any] = nulled(json.loads(json.dumps(asdict(self))))
        return plain


def fingerprint(dataset: Dataset) -> Fingerprint:
    """Looks at the training images of a data set, in bounded memory.

    Means, variances and ranges are of all pixels; percentiles and correlations of a sample.

    Args:
        dataset: The data set.

    Returns:
        The fingerprint.

    Raises:
        DataError: If nothing trains, or a channel has no measurement.
    """
    items = dataset.nonempty_split("train")
    sizes = np.array([sizes_of(item) for item in items])
    pixels = int(prod(sizes.T.astype(float)).sum())
    statistics, sample = channel_statistics(dataset), sample_pixels(dataset, items)
    masks = dataset.task == "segmentation"
    channels = _channels(dataset, statistics, sample, pixels)
    targets, joints = _targets(dataset, items, sample, pixels) if not masks else ((), ())
    search = find_leaks(dataset)
    return Fingerprint(
        root=str(dataset.root),
        task=dataset.task,
        dtype=str(dataset.dtype),
        nodata=dataset.nodata,
        images={split: len(dataset.split(split)) for split in SPLITS},
        pixels=pixels,
        smallest=tuple(sizes.min(0).tolist()),
        median=tuple(np.median(sizes, 0).astype(int).tolist()),
        largest=tuple(sizes.max(0).tolist()),
        channels=channels,
        exposure=_exposure(dataset, sample),
        correlation=_correlation(sample),
        classes=_classes(dataset) if masks else (),
        targets=targets,
        relations=tuple(_target_traits(dataset, joint) for joint in joints),
        leaks=search.leaks,
        notes=(*dataset.notes, *_notes(channels, targets, joints), *search.notes),
    )


def _channels(
    dataset: Dataset, statistics: ChannelStatistics, sample: PixelSample, pixels: int
) -> tuple[Values, ...]:
    return tuple(
        _values(name, statistics, index, sample.values[:, index], pixels)
        for index, name in enumerate(dataset.bands)
    )


def _values(
    name: str, statistics: ChannelStatistics, index: int, sample: Doubles, pixels: int
) -> Values:
    minimum, maximum = float(statistics.minimum[index]), float(statistics.maximum[index])
    known = sample[np.isfinite(sample)]
    # A few values among millions of pixels are in no sample, but their range is known.
    quantiles = np.percentile(known if len(known) else [minimum, maximum], SHARES)
    return Values(
        name=name,
        minimum=minimum,
        maximum=maximum,
        mean=float(statistics.mean[index]),
        std=float(statistics.std[index]),
        percentiles=tuple(quantiles.tolist()),
        tails=_tails(quantiles) if len(known) else None,
        missing=max(0.0, 1 - int(statistics.count[index]) / pixels),
    )


def _tails(quantiles: Doubles) -> float | None:
    low, _, first, median, third, _, high = quantiles
    spread = (third - first) / _NORMAL_RANGE
    return float(max(high - median, median - low) / spread) if spread > 0 else None


def _exposure(dataset: Dataset, sample: PixelSample) -> tuple[Exposure, ...]:
    scaling, items = Percentiles(), dataset.split("train")
    traits = (dataset.band_index, dataset.nodata, dataset.dimensions)
    bounds = np.stack([scaling.bounds_of_file(item.image, *traits) for item in items])
    spans = bounds[:, 1] - bounds[:, 0]
    narrow, wide = np.percentile(spans, [10, 90], axis=0)
    shares = _between(sample)
    return tuple(
        Exposure(
            float(wide[channel] / narrow[channel]) if narrow[channel] > 0 else None,
            float(shares[channel]),
            float((spans[:, channel] == 0).mean()),
        )
        for channel in range(dataset.channels)
    )


def _between(sample: PixelSample) -> Doubles:
    """Share of each channel's variance that lies between the means of images."""
    known = np.isfinite(sample.values)
    values = np.where(known, sample.values, 0)
    numbers = np.stack([np.bincount(sample.image, k) for k in known.T], -1)
    sums = np.stack([np.bincount(sample.image, v) for v in values.T], -1)
    total = np.maximum(numbers.sum(0), 1)
    mean = sums.sum(0) / total
    means = sums / np.maximum(numbers, 1)
    between = (numbers * (means - mean) ** 2).sum(0) / total
    variance = (np.where(known, sample.values - mean, 0) ** 2).sum(0) / total
    shares: Doubles = np.zeros(between.shape)
    np.divide(between, variance, out=shares, where=variance > 0)
    return shares


def _correlation(sample: PixelSample) -> tuple[tuple[float, ...], ...]:
    kept = sample.values[np.isfinite(sample.values).all(-1)]
    found = Relations.of(kept, kept[:, :0]).correlation
    constant = np.diag(found) == 0
    found[constant, :] = found[:, constant] = np.nan
    return tuple(tuple(row) for row in found.tolist())


def _classes(dataset: Dataset) -> tuple[ClassTraits, ...]:
    counts = class_counts(dataset)
    objects = object_sizes(dataset, dataset.split("train"))
    total = max(int(counts.sum()), 1)
    return tuple(
        ClassTraits(name, int(count) / total, sizes)
        for name, count, sizes in zip(dataset.classes, counts, objects, strict=True)
    )


def _targets(
    dataset: Dataset, items: Sequence[Item], sample: PixelSample, pixels: int
) -> tuple[tuple[Values, ...], tuple[Relations, ...]]:
    """The values of each target, and how the channels go with it where it has a label."""
    statistics = channel_statistics(dataset, of="labels")
    values, joints = [], []
    for index, name in enumerate(dataset.target_names):
        count = int(statistics.count[index])
        seen = int(np.isfinite(sample.labels[:, index]).sum())
        enough = seen >= min(count, _FEWEST_LABELS)
        own = sample if enough else sample_labels(dataset, items, index, count)
        values.append(_values(name, statistics, index, own.labels[:, index], pixels))
        labels = own.labels[:, index : index + 1]
        kept = np.isfinite(own.values).all(-1) & np.isfinite(labels).all(-1)
        joints.append(Relations.of(own.values[kept], labels[kept]))
    return tuple(values), tuple(joints)


def _target_traits(dataset: Dataset, joint: Relations) -> TargetTraits:
    across = joint.correlation[: dataset.channels, -1]
    best = int(np.abs(across).argmax())
    return TargetTraits(dataset.bands[best], float(across[best]), float(joint.adjusted_r2()[0]))


def _notes(
    channels: Sequence[Values], targets: Sequence[Values], joints: Sequence[Relations]
) -> Iterator[str]:
    constant = [channel.name for channel in channels if channel.constant]
    if constant:
        yield (
            f"constant in all training images: {', '.join(constant)}; the network learns nothing "
            "from that, and `data.bands` can leave it out"
        )
    for target, joint in zip(targets, joints, strict=True):
        if not joint.tells:
            yield (
                f"{target.name}: {joint.count} labelled pixels have all channels, too few to tell "
                f"how much of it {joint.channels} channels explain (expected "
                f"{FEWEST_A_CHANNEL} for each channel)"
            )

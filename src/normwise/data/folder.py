"""Opening a data folder."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

from normwise.data.as_trained import as_trained, refuse_other_order
from normwise.data.dataset import SPLITS, Dataset, Item, Labels
from normwise.data.description import IGNORE, Description, read_description
from normwise.data.examination import Examination, Facts, dimensions_of
from normwise.data.layout import Layout, find_layout
from normwise.data.manifest import manifest_of, read_manifest
from normwise.data.problems import black_and_white, infer_class_ids, problems_of, refuse
from normwise.data.reading import Record
from normwise.data.splitting import Division, divide
from normwise.data.validation_blocks import with_validation_blocks
from normwise.rasters import RasterInfo


@dataclass(frozen=True)
class _Selection:
    bands: tuple[int, ...] | None
    targets: tuple[int, ...] | None


def open_dataset(  # noqa: PLR0913 - what a recipe says of its data, each by name
    root: str | PathLike[str],
    *,
    validation: float = 0.2,
    fold: tuple[int, int] | None = None,
    seed: int = 0,
    labels: Labels | None = None,
    bands: Sequence[int] | None = None,
    targets: Sequence[int] | None = None,
    read_pixels: bool = True,
    record: Record | None = None,
    trains: bool = True,
) -> Dataset:
    """Opens a data folder and checks all of it.

    The folder has `images/` and `masks/` (class ids, 255 = ignore) or `targets/` (floats, NaN or
    the file's nodata = no label), matched by stem. The split stands in `split.csv` (columns
    `name`, `split`, and `group` where images must stay together), or in folders `train/`, `val/`
    and `test/`, or is made from a seed, also where `split.csv` has groups alone. Where nothing
    validates, some of the training images do.
    Other files and folders don't matter. Or a CSV file says all of it: `manifest.csv` in the
    folder, or another one in its place, with the columns `image`, `mask` or `target`, and as
    wanted `name`, `split` and `group`.

    Args:
        root: The data folder, or a CSV file of paths.
        validation: The share of the training images that validate where nothing says which do.
        fold: (2, 5) for the second of five folds of a cross-validation: its images validate, and
            all others that don't test train. None: no folds.
        seed: For the choice of those images, and for the folds.
        labels: `masks` or `targets`, where the folder has both.
        bands: The image channels to use, counted from 0. None: all.
        targets: The label channels to use, counted from 0. None: all.
        read_pixels: Whether to read every file to its end, which finds truncated files, NaN and
            equal files in two splits. Masks are read anyway if their classes are not described.
        record: How the images of a run were read: those of this folder are read alike. The order
            of bands in several files is the run's; pattern and nodata are the folder's, where it
            tells them.
        trains: Whether something is to learn from it, so that it needs images that train.

    Returns:
        The data set.

    Raises:
        DataError: If anything is wrong; `.problems` has all of it. Or if parts of images must
            validate, and none can be cut so that both parts have labels.

    Example:
        ```python
        data = open_dataset("hls_water", labels="masks", bands=range(8))
        data.channels, data.outputs  # (8, 2)
        ```
    """
    root, manifest = Path(root), manifest_of(Path(root))
    root = manifest.parent if manifest is not None else root
    layout, description = _read(root, manifest, labels, record)
    division = divide(layout, validation, seed, fold)
    examination = Examination(
        root=root,
        labels=layout.labels,
        nodata=description.nodata,
        images=read_pixels,
        answers=read_pixels or description.class_ids is None,
        dimensions=description.dimensions or dimensions_of(layout.pairs),
    )
    facts = examination.run(division.pairs)
    known, doubts = _class_ids(facts, examination, description)
    selection = _Selection(_picked(bands), _picked(targets))
    refuse(
        root,
        [
            *layout.problems,
            *division.problems,
            *problems_of(facts, examination, description, known, trains),
            *doubts,
            *_beyond(facts, selection, layout.labels),
        ],
    )
    dataset = _dataset(examination, division, facts, description, known or {}, selection)
    dataset = replace(dataset, record=_record(layout, description, facts))
    return _in_blocks(dataset, division.block_share) if division.block_share else dataset


def _in_blocks(dataset: Dataset, share: float) -> Dataset:
    blocks = with_validation_blocks(dataset, share)
    notes = (*dataset.notes, *blocks.notes)
    return replace(dataset, items=_in_order(blocks.items), notes=notes)


def _read(
    root: Path, manifest: Path | None, labels: Labels | None, record: Record | None
) -> tuple[Layout, Description]:
    """The files of a folder, and what it says about itself, as the run read its own."""
    own = read_description(root)
    told = own if record is None else as_trained(own, record, root)
    if manifest is not None:
        layout = read_manifest(manifest, labels, told.bands)
    else:
        layout = find_layout(root, labels, told)
    if record is not None:
        refuse_other_order(own, record, root, layout.bands)
    # Names that the run alone knows tell files apart; there may be several channels in each.
    named = own.bands is not None and bool(layout.bands)
    return layout, told.model_copy(update={"bands": told.bands if named else own.bands})


def _record(layout: Layout, description: Description, facts: Sequence[Facts]) -> Record:
    order = layout.bands or description.bands or ()
    images = [found.image for found in facts if found.image is not None]
    return Record(
        bands=list(order) or None,
        nodata=description.nodata,
        images=description.images,
        channels=list(images[0].band_names) or None,
        dtype=None if any(image.masked for image in images) else images[0].dtype.name,
        placed=all(image.crs is not None for image in images),
        colours=description.colours,
    )


def _picked(wanted: Sequence[int] | None) -> tuple[int, ...] | None:
    return None if wanted is None else tuple(int(index) for index in wanted)


def _class_ids(
    facts: Sequence[Facts], examination: Examination, description: Description
) -> tuple[dict[int, int] | None, list[str]]:
    if examination.labels == "targets":
        return None, []
    if description.class_ids is None:
        return infer_class_ids(facts)
    told = description.mask_values is not None or isinstance(description.classes, dict)
    return description.class_ids, [] if told else black_and_white(facts)


def _beyond(facts: Sequence[Facts], selection: _Selection, labels: Labels) -> list[str]:
    """The chosen channels that the files don't have."""
    if labels == "masks" and selection.targets is not None:
        return ["targets can't be chosen: the labels are masks"]
    chosen = (
        ("bands", selection.bands, [found.image for found in facts]),
        ("targets", selection.targets, [found.label for found in facts]),
    )
    problems = []
    for word, index, infos in chosen:
        count = min((info.channels for info in infos if info), default=0)
        if index is None or not count:
            continue
        if not index or len(set(index)) < len(index) or not set(index) <= set(range(count)):
            problems.append(
                f"{word} {list(index)}: expected different numbers from 0 to {count - 1}"
            )
    return problems


def _dataset(
    examination: Examination,
    division: Division,
    facts: Sequence[Facts],
    description: Description,
    known: dict[int, int],
    selection: _Selection,
) -> Dataset:
    image, label = _headers(facts)
    masks = examination.labels == "masks"
    bands = _chosen(tuple(description.bands or _names(image)), selection.bands)
    classes = (description.class_names or _class_names(known)) if masks else ()
    target_names = () if masks else _chosen(_names(label), selection.targets)
    return Dataset(
        root=examination.root,
        task="segmentation" if masks else "regression",
        items=_items(facts),
        channels=len(bands),
        outputs=len(classes) if masks else len(target_names),
        classes=classes,
        bands=bands,
        target_names=target_names,
        nodata=_nodata(facts, description),
        dtype=image.dtype,
        band_index=selection.bands,
        target_index=selection.targets,
        class_ids=known,
        colours=tuple(description.colours or ()),
        notes=division.notes,
        dimensions=examination.dimensions,
    )


def _headers(facts: Sequence[Facts]) -> tuple[RasterInfo, RasterInfo]:
    found = facts[0]
    assert found.image is not None
    assert found.label is not None
    return found.image, found.label


def _items(facts: Sequence[Facts]) -> tuple[Item, ...]:
    return _in_order(
        Item(
            name=found.pair.name,
            image=found.pair.image,
            label=found.pair.label,
            split=found.pair.split,
            height=found.image.height,
            width=found.image.width,
            depth=found.image.depth,
            weight=found.pair.weight,
            group=found.pair.group,
        )
        for found in facts
        if found.image is not None and found.pair.split is not None
    )


def _in_order(items: Iterable[Item]) -> tuple[Item, ...]:
    return tuple(sorted(items, key=lambda item: (SPLITS.index(item.split), item.name)))


def _names(info: RasterInfo) -> tuple[str, ...]:
    return info.band_names or tuple(f"band {index + 1}" for index in range(info.channels))


def _chosen(names: tuple[str, ...], index: tuple[int, ...] | None) -> tuple[str, ...]:
    return names if index is None else tuple(names[position] for position in index)


def _class_names(known: dict[int, int]) -> tuple[str, ...]:
    ids = {index for index in known.values() if index != IGNORE}
    return tuple(f"class {index}" for index in range(max(ids) + 1)) if ids else ()


def _nodata(facts: Sequence[Facts], description: Description) -> float | None:
    """What the description says, or the one value that the files name."""
    if description.nodata is not None:
        return description.nodata
    images = (found.image for found in facts if found.image)
    return next((image.nodata for image in images if image.nodata is not None), None)

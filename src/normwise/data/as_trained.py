"""Reading a data folder as a run read its own: the same bands in the same order, and nodata."""

from collections.abc import Sequence
from pathlib import Path

from normwise.data.band_files import by_pattern
from normwise.data.description import Description
from normwise.data.layout import IMAGES
from normwise.data.reading import Record
from normwise.errors import DataError


def as_trained(own: Description, record: Record, root: Path) -> Description:
    """What a folder says about itself, with the run's word where it says nothing.

    The order of bands in several files is always the run's, for that is what the model takes.

    Args:
        own: The folder's `dataset.yaml`.
        record: The run's.
        root: The folder.
    """
    told = own.bands or record.bands or []
    known = record.bands is not None and set(record.bands) <= set(told)
    pattern = own.images or (record.images if _fits(root, record) else None)
    return own.model_copy(
        update={
            "bands": record.bands if known else own.bands,
            "images": pattern,
            "nodata": own.nodata if own.nodata is not None else record.nodata,
        }
    )


def _fits(root: Path, record: Record) -> bool:
    """Whether files of a folder are called as those of the run were."""
    if record.images is None:
        return False
    folders = (root / IMAGES, *root.glob(f"*/{IMAGES}"))
    return any(by_pattern(folder, record.images, record.bands or ())[0] for folder in folders)


def refuse_other_order(own: Description, record: Record, root: Path, bands: Sequence[str]) -> None:
    """Refuses images of several files whose order can't be brought to the run's.

    Args:
        own: The folder's `dataset.yaml`.
        record: The run's.
        root: The folder.
        bands: Those of its images of several files, in the order in which `as_trained` finds them;
            empty where there are none, or a manifest lists the files in their order.

    Raises:
        DataError: If the folder's bands are others, or neither the run nor the folder says in
            which order they stand.
    """
    if bands and record.bands is None and own.bands is None:
        raise DataError(
            f"{root}: has images of several files, {', '.join(bands)}, and the run "
            "doesn't know their order. Write it to dataset.yaml: `bands: [...]`, in the order of "
            "the channels that the run was trained with."
        )
    if bands and record.bands is not None and list(bands) != record.bands:
        raise DataError(
            f"{root}: has the bands {', '.join(bands)}; the run was trained with "
            f"{', '.join(record.bands)}. Call them alike in dataset.yaml and in the files' names."
        )

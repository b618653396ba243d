"""Images appear under their names whole or not at all, and never in the place of something else."""

from contextlib import AbstractContextManager
from pathlib import Path

from normwise.files import refuse_existing, whole_file, whole_folder
from normwise.rasters.reading import FOLDER_SUFFIX, suffix_of
from normwise.rasters.zarr_arrays import METADATA


def refuse_taken(path: Path, overwrite: bool) -> None:
    """Refuses an output that would replace what must not be replaced, before work starts.

    Args:
        path: Of an image, which is a folder if it is a Zarr.
        overwrite: Whether an image that is there may be replaced.

    Raises:
        OutputExistsError: There is one and `overwrite` is False, or something else is there.
        NormwiseError: Its folder may not be looked into.
    """
    refuse_existing(path, overwrite, METADATA if suffix_of(path) == FOLDER_SUFFIX else None)


def whole_image(path: Path, overwrite: bool) -> AbstractContextManager[Path]:
    """A temporary path that becomes the image's when the block ends without an exception.

    Args:
        path: As for `refuse_taken`.
        overwrite: As for `refuse_taken`.

    Raises:
        OutputExistsError: As for `refuse_taken`.
    """
    if suffix_of(path) == FOLDER_SUFFIX:
        return whole_folder(path, overwrite, METADATA)
    return whole_file(path, overwrite)

"""Images appear under their names whole or not at all, and never in the place of something else."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from normwise.files import Ready, refuse_existing, whole_file, whole_folder
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


@dataclass(frozen=True)
class Naming:
    """How an image gets its name.

    Args:
        overwrite: As for `refuse_taken`.
        ready: Is called with the temporary path when the image is whole, right before; see
            `normwise.files.Ready`.
    """

    overwrite: bool = False
    ready: Ready | None = None

    def whole(self, path: Path) -> AbstractContextManager[Path]:
        """A temporary path that becomes the image's when the block ends without an exception.

        Args:
            path: As for `refuse_taken`.

        Raises:
            OutputExistsError: As for `refuse_taken`.
        """
        if suffix_of(path) == FOLDER_SUFFIX:
            return whole_folder(path, self.overwrite, METADATA, self.ready)
        return whole_file(path, self.overwrite, self.ready)


NEW: Final = Naming()
"""An image that takes no other one's place."""
